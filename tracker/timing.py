"""Where the time of a frame goes: wall and processor time a stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

# Enough for a median of two minutes of video, and flat on a stream that never ends.
_KEPT = 4096


@dataclass(frozen=True)
class StageTime:
    """One stage: how often it ran, median and mean wall time and mean processor time in ms."""

    count: int
    median_ms: float
    mean_ms: float
    cpu_ms: float


@dataclass
class _Stage:
    count: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    last_s: np.ndarray = field(default_factory=lambda: np.zeros(_KEPT))


class Stopwatch:
    """Times named stages. Each stage belongs to one thread; different threads may share a stopwatch.

    ``cpu_clock`` is ``time.thread_time`` where threads overlap (it misses the helpers that torch or
    FFmpeg start) and ``time.process_time`` where everything runs one after the other (it misses nothing).
    """

    def __init__(self, cpu_clock: Callable[[], float] = time.thread_time) -> None:
        """Start with no stages."""
        self._cpu_clock = cpu_clock
        self._stages: dict[str, _Stage] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the body of a ``with`` statement under ``stage``; a body that raises is not counted."""
        wall, cpu = time.perf_counter(), self._cpu_clock()
        yield
        wall, cpu = time.perf_counter() - wall, self._cpu_clock() - cpu
        entry = self._stages.setdefault(stage, _Stage())
        entry.last_s[entry.count % _KEPT] = wall
        entry.count += 1
        entry.wall_s += wall
        entry.cpu_s += cpu

    def stages(self) -> dict[str, StageTime]:
        """Every stage so far, in the order in which they first ended."""
        return {
            name: StageTime(
                count=each.count,
                median_ms=1000 * float(np.median(each.last_s[: each.count])),
                mean_ms=1000 * each.wall_s / each.count,
                cpu_ms=1000 * each.cpu_s / each.count,
            )
            for name, each in list(self._stages.items())
            if each.count
        }
