"""The application around the window: start, and an end without a hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Collection
from dataclasses import fields, replace
from pathlib import Path

from PyQt6 import sip
from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication

from engines import MissingCapability
from tracker import TrackerSettings
from ui import theme
from ui.errors import ErrorHooks
from ui.failures import Exit
from ui.live import LiveOptions
from ui.settings import Settings, load_settings, settings_file
from ui.window import Window

_PATIENCE_S = 20
_PULSE_MS = 200


def run_window(source: str | None, options: LiveOptions, asked: Collection[str]) -> int:
    """Open the window, on ``source`` if there is one; the exit code when it is closed.

    ``asked`` names the options that were typed; of the others the window takes what it remembers.
    Raises ``MissingCapability`` where no window can be opened.
    """
    drop_opencv_plugins()
    check_display()
    app = QApplication(["kptrack"])
    app.setApplicationName("kptrack")
    theme.follow_system(app)
    hooks = ErrorHooks()
    hooks.install()
    settings, complaint = _remembered()
    window = Window(merged(settings, options, asked), options, settings_file())
    hooks.caught.connect(window.banner.problem)
    if complaint:
        window.banner.problem(complaint)
    code = Exit.FINE

    def interrupt(*_: object) -> None:
        nonlocal code
        code = Exit.INTERRUPTED
        window.close()

    before = signal.signal(signal.SIGINT, interrupt)
    # Python hears a signal only when it runs, and an idle window does not let it.
    pulse = QTimer()
    pulse.timeout.connect(lambda: None)
    pulse.start(_PULSE_MS)
    window.show()
    if source is not None:
        window.live.open(source)
    if options.duration_s is not None:
        QTimer.singleShot(round(1000 * options.duration_s), window.close)
    app.exec()
    signal.signal(signal.SIGINT, before)
    hooks.remove()
    _leave(code)
    sip.delete(window)  # before the application, which otherwise could go first
    return code


def drop_opencv_plugins() -> None:
    """Forget the Qt plug-ins that opencv-python sets on import: they are Qt 5's."""
    import cv2

    home = str(Path(cv2.__file__).parent)
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"):
        if os.environ.get(name, "").startswith(home):
            del os.environ[name]


def check_display() -> None:
    """Try in another process whether a window can be opened: Qt ends the process where it cannot.

    Raises ``MissingCapability`` with the reason.
    """
    command = [sys.executable, "-m", "ui.probes", "display"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise MissingCapability("no window can be opened: the display does not answer") from error
    if done.returncode:
        raise MissingCapability(f"no window can be opened: {_reason(done.stderr)}")


def _reason(said: str) -> str:
    """What Qt means, and what to do."""
    if "could not connect to display" in said:
        display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        what = f"display {display} does not answer" if display else "there is no display"
        return f"{what}; --no-window works without one"
    if "xcb-cursor" in said:
        return "a system library is missing; on Debian or Ubuntu: sudo apt-get install libxcb-cursor0"
    lines = [line.partition(": ")[2] or line for line in said.splitlines() if line.strip()]
    return lines[0] if lines else "Qt does not start"


def _remembered() -> tuple[Settings, str]:
    """The settings of the last time, and what is wrong with them."""
    try:
        return load_settings(settings_file()), ""
    except ValueError as error:
        return Settings(), f"Settings are back at their defaults: {error}"


def merged(settings: Settings, options: LiveOptions, asked: Collection[str]) -> Settings:
    """The settings, but as in ``options`` where the command line ``asked`` for it; names are its options'."""
    changes: dict[str, object] = {
        name: getattr(options, name) for name in ("model", "runtime", "mirror") if name in asked
    }
    if "model" in asked and Path(options.model).is_file():
        changes["model"] = str(Path(options.model).absolute())
    if "camera_size" in asked and options.camera.size is not None:
        changes["camera_width"], changes["camera_height"] = options.camera.size
    if "camera_fps" in asked and options.camera.fps is not None:
        changes["camera_fps"] = round(options.camera.fps)
    tracking = {
        each.name: getattr(options.settings, each.name)
        for each in fields(TrackerSettings)
        if each.name in asked
    }
    changes["tracking"] = replace(settings.tracking, **tracking)
    return replace(settings, **changes)  # type: ignore[arg-type]


def _leave(code: int) -> None:
    """End the process here if a driver or library still hangs in a thread: it could crash an orderly end."""
    if any(thread.name.startswith("kptrack") for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
