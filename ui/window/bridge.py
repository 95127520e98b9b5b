"""Where a live session meets Qt, and the only place: Qt's timers ask it for news.

A signal a picture would queue pictures without end behind a slow display; who asks gets the newest.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from PyQt6.QtCore import QObject, Qt, QTimer, pyqtSignal

from tracker.live import LiveSession, LiveStatus, Shown

# A picture waits half of it on average.
_LOOK_EVERY_MS = 8
_STATUS_EVERY_MS = 500
# Longer than that only a driver or a library that hangs holds a session up, and it is not waited for.
_PATIENCE_S = 5.0
_RECORDING_PATIENCE_S = 60.0


class Bridge(QObject):
    """Owns the ``session`` that runs, the one that is to follow, and those that are ending.

    ``display`` is given each new picture, in Qt's thread. ``status_changed`` has the status of the session
    that runs, twice a second and when another source or engine begins to give pictures; ``finished`` has
    the last status of one that has ended.
    """

    status_changed = pyqtSignal(LiveStatus)
    finished = pyqtSignal(LiveStatus)

    def __init__(self, display: Callable[[Shown], None]) -> None:
        super().__init__()
        self._display = display
        self._ending: list[tuple[LiveSession, float]] = []  # with when they were stopped
        self._seen: Shown | None = None
        self._next: LiveSession | None = None
        self.session: LiveSession | None = None
        self._looks = QTimer(self)
        self._looks.setTimerType(Qt.TimerType.PreciseTimer)
        self._looks.setInterval(_LOOK_EVERY_MS)
        self._looks.timeout.connect(self._look)
        self._reports = QTimer(self)
        self._reports.setInterval(_STATUS_EVERY_MS)
        self._reports.timeout.connect(self.report)

    def begin(self, session: LiveSession) -> None:
        """Start this session when the one before has given back its camera and files, and show it."""
        self.end()
        self._next = session
        self._looks.start()
        self._reports.start()
        self._look()

    def end(self) -> None:
        """Stop the session that runs. Does not wait for it: see ``quiet`` and ``finished``."""
        session, self.session, self._next = self.session, None, None
        self._reports.stop()
        if session is not None:
            session.stop()
            self._ending.append((session, time.monotonic()))

    def mark_shown(self, shown: Shown) -> None:
        """Tell the session that a picture is on the screen."""
        if self.session is not None and shown is self._seen:
            self.session.mark_shown(shown)

    @property
    def active(self) -> bool:
        """Whether a session runs, or is to start as soon as the one before has ended."""
        return self.session is not None or self._next is not None

    @property
    def quiet(self) -> bool:
        """Whether no session is left that is worth waiting for."""
        return not self.active and not self._ending

    def _release(self) -> None:
        """Part with the sessions that have ended, and with those that hang."""
        waiting = []
        for session, since_s in self._ending:
            ended, status = session.join(0), session.status()
            patience_s = _RECORDING_PATIENCE_S if status.recording.active else _PATIENCE_S
            if ended or time.monotonic() - since_s > patience_s:
                self.finished.emit(status)
            else:
                waiting.append((session, since_s))
        self._ending = waiting

    def _look(self) -> None:
        if self._ending:
            self._release()
        if self._next is not None and not self._ending:
            self.session, self._next, self._seen = self._next, None, None
            self.session.start()
            self.report()
        if self.quiet:
            self._looks.stop()
        if self.session is None:
            return
        shown = self.session.latest()
        if shown is None or shown is self._seen:
            return
        before, self._seen = self._seen, shown
        self._display(shown)
        if before is None or (before.connection, before.info) != (shown.connection, shown.info):
            self.report()

    def report(self) -> None:
        """Tell the status now, as something was asked of the session."""
        if self.session is not None:
            self.status_changed.emit(self.session.status())
