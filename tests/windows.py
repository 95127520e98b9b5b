"""The main window in tests: opened, driven and closed as a person would."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from PyQt6.QtCore import QMimeData, QPoint, QPointF, Qt
from PyQt6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PyQt6.QtWidgets import QApplication, QComboBox, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from tracker import Source, TrackerSettings, sources
from ui.live import LiveOptions
from ui.window.mainwindow import Window
from ui.window.settings import Settings

# Takes the middle of the picture for a face, so that any clip will do.
TRACKING = TrackerSettings(detector="center")
PATIENCE_MS = 10_000


@contextmanager
def open_window(
    qtbot: QtBot, home: Path, options: LiveOptions | None = None, **settings: object
) -> Iterator[Window]:
    """A window on the screen with these settings; at the end it closes and leaves no thread.

    Its settings lie in ``window.json`` and its recordings in ``saved``, both in ``home``.
    """
    plain = Settings(tracking=TRACKING, folder=str(home / "saved"))
    remembered = replace(plain, **settings)  # type: ignore[arg-type]
    window = Window(remembered, options or LiveOptions(), home / "window.json")
    # Not by ``qtbot.addWidget``: that would delete it before it has closed.
    try:
        with qtbot.waitActive(window):  # keys reach the active window only
            window.show()
        yield window
    finally:
        close(qtbot, window)
        window.deleteLater()


def close(qtbot: QtBot, window: Window) -> None:
    """Close it and wait until it and its threads are gone."""
    window.close()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: not threads(), timeout=PATIENCE_MS)


def threads() -> list[str]:
    """Names of the application's threads that run."""
    return [each.name for each in threading.enumerate() if each.name.startswith("kptrack")]


def press(qtbot: QtBot, window: Window, key: Qt.Key) -> None:
    """Press a key in the window, wherever its focus is."""
    qtbot.keyClick(window.focusWidget() or window, key)


def wait(qtbot: QtBot, check: Callable[[], object]) -> None:
    """Wait until ``check`` is true."""
    qtbot.waitUntil(lambda: bool(check()), timeout=PATIENCE_MS)


def running(window: Window, frames: int = 3) -> bool:
    """Whether the session has tracked so many frames and shown them."""
    session = window.live.bridge.session
    if session is None:
        return False
    status = session.status()
    return status.processed >= frames and status.shown >= frames


def press_action(window: Window) -> None:
    """Press the button of the message that is shown."""
    next(each for each in window.banner.findChildren(QPushButton) if each.isVisible()).click()


def offers(window: Window) -> list[str]:
    """What the message that is shown offers to do."""
    return [each.text() for each in window.banner.findChildren(QPushButton) if each.isVisible()]


def choose(window: Window, name: str, text: str) -> None:
    """Choose an entry of the list of that accessible name, as a person would."""
    box = listed(window, name)
    box.setCurrentIndex(box.findText(text))
    box.activated.emit(box.currentIndex())


def listed(window: Window, name: str) -> QComboBox:
    """The list of that accessible name."""
    return next(each for each in window.findChildren(QComboBox) if each.accessibleName() == name)


def drop(widget: QWidget, data: QMimeData) -> bool:
    """Drag something over a widget and, if it takes it, let it go; whether it does."""
    keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, *keys)
    enter.ignore()
    QApplication.sendEvent(widget, enter)
    if enter.isAccepted():
        QApplication.sendEvent(widget, QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, *keys))
    return enter.isAccepted()


def pixels(widget: QWidget) -> np.ndarray:
    """What a widget shows, ``(H, W, 3)`` uint8 RGB."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    bits = image.constBits()
    assert bits is not None
    data = bytes(bits.asarray(image.sizeInBytes()))
    rows = np.frombuffer(data, np.uint8).reshape(image.height(), -1)
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def serve(monkeypatch, make: Callable[[], Source]) -> None:
    """Have every source opened from now on be what ``make`` returns."""
    monkeypatch.setattr(sources, "open_source", lambda *_, **__: make())
