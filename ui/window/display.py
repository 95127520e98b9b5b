"""Whether Qt can open a window here, found out before it ends the process because it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PyQt6.QtCore import QT_VERSION_STR
from PyQt6.QtWidgets import QApplication

_PATIENCE_S = 20
# All that Qt's plug-in for X loads and a server lacks: Qt speaks of the first whichever is missing.
_X_LIBRARIES = (
    "libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-randr0 libxcb-shape0 libxcb-sync1 libxcb-xfixes0 "
    "libx11-xcb1 libxkbcommon-x11-0"
)


def begin_qt(*arguments: str) -> str:
    """Open an application and say on what; where Qt cannot, it ends the process."""
    app = QApplication(["kptrack", *arguments])
    return f"Qt {QT_VERSION_STR} on {app.platformName()}"


def drop_opencv_plugins() -> None:
    """Forget the Qt plug-ins that opencv-python sets on import: they are Qt 5's."""
    import cv2

    home = str(Path(cv2.__file__).parent)
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR"):
        if os.environ.get(name, "").startswith(home):
            del os.environ[name]


def check_display(otherwise: str = "--no-window works without one") -> None:
    """Try in another process whether a window can be opened; ``otherwise`` is how to do without.

    Raises ``MissingCapability`` with the reason.
    """
    # Here, because it loads PyTorch, which the probe would wait for.
    from engines import MissingCapability

    command = [sys.executable, "-m", "ui.probes", "display"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise MissingCapability("no window can be opened: the display does not answer") from error
    if done.returncode:
        raise MissingCapability(f"no window can be opened: {_reason(done.stderr, otherwise)}")


def _reason(said: str, otherwise: str) -> str:
    """What Qt means, and what to do."""
    if "could not connect to display" in said:
        display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        what = f"display {display} does not answer" if display else "there is no display"
        return f"{what}; {otherwise}"
    if "xcb-cursor" in said:
        return f"a system library is missing; on Debian or Ubuntu: sudo apt-get install {_X_LIBRARIES}"
    lines = [line.partition(": ")[2] or line for line in said.splitlines() if line.strip()]
    return lines[0] if lines else "Qt does not start"
