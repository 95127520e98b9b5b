"""Times of a stream, made to increase: files that are written from it and smoothing take nothing else."""

from __future__ import annotations

from fractions import Fraction

_JUMP_S = 1.0


class Clock:
    """Where times fall back by more than a second, recordings were joined: what follows is moved behind.

    A time that is repeated, or falls back by less, is a damaged file's: it comes a tick after the last one.
    """

    def __init__(self, time_base: Fraction, begin: int = 0) -> None:
        """``time_base``: seconds a tick; ``begin``: the time, in ticks, of a first one without any."""
        self._jump = round(_JUMP_S / time_base)
        self._shift = 0
        self._last: int | None = None
        self._end = begin

    def after(self, time: int | None, duration: int) -> int:
        """The time, in ticks, of what begins at ``time``, or if that is None, when the last one ends."""
        moved = self._end if time is None else time + self._shift
        if self._last is not None and moved <= self._last:
            if self._last - moved > self._jump:
                self._shift += self._end - moved
                moved = self._end
            else:
                moved = self._last + 1
        self._last, self._end = moved, moved + max(1, duration)
        return moved
