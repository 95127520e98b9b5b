"""When the frames of a file are due that is played as if it were live."""

from __future__ import annotations

import time

# A reader that is later than this will not catch up, and a gap longer than this is a fault of the file: the
# next frame is due at once, and those after it follow from there.
_LATE_S = 0.5
_LONGEST_GAP_S = 10.0


class Pace:
    """Turns a source's times into times of ``time.monotonic``, on and on over repetitions of the source."""

    def __init__(self) -> None:
        self._shift_s: float | None = None
        self._last_s = 0.0

    def due_s(self, time_s: float) -> float:
        """When to show the frame of that time of the source."""
        now_s = time.monotonic()
        due_s = now_s if self._shift_s is None else self._shift_s + time_s
        if self._shift_s is None or not now_s - _LATE_S <= due_s <= now_s + _LONGEST_GAP_S:
            self._shift_s, due_s = now_s - time_s, now_s
        self._last_s = due_s
        return due_s

    def repeat(self, first_s: float, step_s: float) -> None:
        """The source begins again at ``first_s``, which follows ``step_s`` after the last frame."""
        self._shift_s = self._last_s + step_s - first_s
