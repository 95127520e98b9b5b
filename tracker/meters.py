"""Rates and latencies of a run that may last for days: their memory stays flat."""

from __future__ import annotations

import time
from collections import deque
from itertools import takewhile
from threading import Lock

import numpy as np

_RATE_OVER_S = 3.0
_LEAST_S = 0.5
_LATENCY_OVER_S = 10.0
_MOST_EVENTS = 4096  # beyond any camera's rate times the time above
# The whole run's latencies are counted in bins of a millisecond, up to a minute.
_BINS = 60_000


class Rate:
    """Events a second over the last 3 s, and their ``count`` since the beginning."""

    def __init__(self) -> None:
        self.count = 0
        self._times_s: deque[float] = deque(maxlen=_MOST_EVENTS)

    def tick(self) -> None:
        """One event, now; from one thread at a time."""
        # In this order: a reader in between must not take the run for older than its events.
        self._times_s.append(time.monotonic())
        self.count += 1

    def per_second(self) -> float:
        """The rate now, from any thread; it falls to 0 when nothing comes any more."""
        now_s = time.monotonic()
        # From the newest back: most of what is kept is older. The copy is whole while another thread appends.
        newest_first = reversed(tuple(self._times_s))
        recent = list(takewhile(lambda each: each >= now_s - _RATE_OVER_S, newest_first))
        if len(recent) < self.count:
            return len(recent) / _RATE_OVER_S
        # Younger than the window: measured from its first event on, but a burst at the start is no rate.
        return (len(recent) - 1) / max(now_s - recent[-1], _LEAST_S) if recent else 0.0


class Latency:
    """Median and 95th percentile of durations: of recent ones, and of a whole run to a millisecond."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque(maxlen=_MOST_EVENTS)
        self._bins = np.zeros(_BINS, np.int64)
        self._lock = Lock()

    def add(self, ms: float, of_run: bool) -> None:
        """One duration that ended now; ``of_run``: it counts for the whole run too."""
        with self._lock:
            self._recent.append((time.monotonic(), ms))
            self._bins[min(max(0, int(ms)), _BINS - 1)] += of_run

    def recent_ms(self) -> tuple[float | None, float | None]:
        """Median and p95 of what ended in the last 10 s; None where nothing did."""
        since_s = time.monotonic() - _LATENCY_OVER_S
        with self._lock:
            found = [ms for _, ms in takewhile(lambda each: each[0] >= since_s, reversed(self._recent))]
        if not found:
            return None, None
        p50, p95 = np.percentile(found, (50, 95))
        return float(p50), float(p95)

    def run_ms(self) -> tuple[float | None, float | None]:
        """Median and p95 of the run; None where nothing was added."""
        with self._lock:
            reached = np.cumsum(self._bins)
        if not reached[-1]:
            return None, None
        p50, p95 = (int(np.searchsorted(reached, share * reached[-1])) + 0.5 for share in (0.5, 0.95))
        return p50, p95
