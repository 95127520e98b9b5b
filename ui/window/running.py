"""The application around a window: start, and an end without a hang."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TypeVar

from PyQt6 import sip
from PyQt6.QtCore import QTimer, pyqtSignal
from PyQt6.QtWidgets import QApplication, QMainWindow

from ui.failures import Exit
from ui.interrupt import leave_if_stuck
from ui.window import theme
from ui.window.display import check_display, drop_opencv_plugins
from ui.window.errors import ErrorHooks

_PULSE_MS = 200
_W = TypeVar("_W", bound="AppWindow")


class AppWindow(QMainWindow):
    """A window to ``run``; ``stayed`` when a person decided that it does not close after all."""

    stayed = pyqtSignal()


def run(make: Callable[[ErrorHooks], _W], begin: Callable[[_W], None], otherwise: str) -> Exit:
    """Show the window that ``make`` makes, ``begin`` with it, and the exit code when it is closed.

    ``otherwise`` is how to do without a window. Raises ``MissingCapability`` where none can be opened.
    """
    drop_opencv_plugins()
    check_display(otherwise)
    app = QApplication(["kptrack"])
    app.setApplicationName("kptrack")
    theme.follow_system(app)
    hooks = ErrorHooks()
    hooks.install()
    window = make(hooks)
    code = Exit.FINE

    def end() -> None:
        nonlocal code
        window.close()
        code = Exit.INTERRUPTED  # unless a person is being asked, and decides to stay

    def interrupt(*_: object) -> None:
        # In the loop: a window that closes before it would not end it.
        QTimer.singleShot(0, end)

    def stay() -> None:
        nonlocal code
        code = Exit.FINE

    window.stayed.connect(stay)
    before = signal.signal(signal.SIGINT, interrupt)
    # Python hears a signal only when it runs, and an idle window does not let it.
    pulse = QTimer()
    pulse.timeout.connect(lambda: None)
    pulse.start(_PULSE_MS)
    window.show()
    begin(window)
    app.exec()
    signal.signal(signal.SIGINT, before)
    hooks.remove()
    leave_if_stuck(code)
    sip.delete(window)  # before the application, which otherwise could go first
    return code
