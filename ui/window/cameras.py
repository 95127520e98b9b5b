"""Which cameras are plugged in, kept up to date."""

from __future__ import annotations

import threading

from PyQt6.QtCore import QObject, pyqtSignal

from tracker.camera import find_cameras

_LOOK_EVERY_S = 2.0
_PATIENCE_S = 0.5  # for a driver that is slow to answer, when the window closes


class CameraWatch(QObject):
    """Looks again and again, in a thread as some systems are slow to say; ``changed`` has the new list."""

    changed = pyqtSignal(list)  # of tracker.camera.Camera

    def __init__(self) -> None:
        super().__init__()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="kptrack cameras", daemon=True)

    def start(self) -> None:
        """Begin to look; the first list comes at once."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_S)

    def _watch(self) -> None:
        before = None
        while True:
            found = find_cameras()
            if found != before:
                self.changed.emit(found)
                before = found
            if self._stopping.wait(_LOOK_EVERY_S):
                return
