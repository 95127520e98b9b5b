"""Runs live for as long as wanted and watches for what grows: ``python -m ui.soak CLIP --minutes 30``.

Prints a line a minute on stderr and one JSON object at the end. Ctrl-C ends it early, with its figures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from engines.automatic import live_model
from tracker import Overlay
from tracker.live import LiveStatus
from ui.bench_live import write_steady
from ui.failures import Exit, complain
from ui.headless import run_session
from ui.interrupt import Interrupt, leave
from ui.live import LiveOptions, open_session
from ui.machine import resident_mb

_SAMPLE_EVERY_S = 1.0
_SAY_EVERY_S = 60.0
# Libraries fill their pools in the first minute; of a shorter run it is the first quarter.
_SETTLE_S = 60.0


class Samples:
    """Memory and latency, once a second, and what a frame costs, once a minute.

    That cost, in processor time, tells a program that does more and more from a machine that becomes slower
    or busier: latencies rise with both.
    """

    def __init__(self) -> None:
        self._rows: list[tuple[float, float, float]] = []  # seconds, RSS in MB, latency p50 in ms
        self._minutes: list[dict[str, float]] = []
        self._next_s, self._say_s = 0.0, _SAY_EVERY_S
        self._spent_s, self._processed = time.process_time(), 0

    def hear(self, status: LiveStatus) -> None:
        """Take a sample if it is time."""
        if status.seconds < self._next_s:
            return
        self._next_s = status.seconds + _SAMPLE_EVERY_S
        rss_mb = resident_mb()
        if rss_mb is not None and status.latency_p50_ms is not None:
            self._rows.append((status.seconds, rss_mb, status.latency_p50_ms))
        if status.seconds >= self._say_s:
            self._say_s += _SAY_EVERY_S
            minute = self._minute(status)
            self._minutes.append(minute)
            print(
                f"{status.seconds / 60:.0f} min: {minute['frames'] / _SAY_EVERY_S:.1f} frames/s processed, "
                f"{minute['processor_ms']} ms of processor time each, latency {minute['latency_p50_ms']} ms, "
                f"p95 {minute['latency_p95_ms']} ms, {rss_mb} MB, dropped {status.dropped}",
                file=sys.stderr,
            )

    def _minute(self, status: LiveStatus) -> dict[str, float]:
        """Frames and what one cost since the last time; the latency of the last ten seconds."""
        spent_s, frames = time.process_time() - self._spent_s, status.processed - self._processed
        self._spent_s, self._processed = self._spent_s + spent_s, status.processed
        return {
            "frames": frames,
            "processor_ms": round(1000 * spent_s / max(frames, 1), 1),
            "latency_p50_ms": round(status.latency_p50_ms or 0),
            "latency_p95_ms": round(status.latency_p95_ms or 0),
        }

    def figures(self) -> dict[str, object]:
        """What grew after the run had settled; None where the run was too short to say."""
        rows = np.array(self._rows).reshape(-1, 3)
        settled = rows[rows[:, 0] >= min(_SETTLE_S, rows[-1, 0] / 4)] if len(rows) else rows
        growth_mb = slope = None
        if len(settled) >= 3:
            seconds, rss_mb, latency_ms = settled.T
            growth_mb = round(float(rss_mb[-1] - rss_mb[0]), 1)
            slope = round(float(np.polyfit(seconds / 60, latency_ms, 1)[0]), 4)
        return {
            "rss_growth_mb": growth_mb,
            "latency_slope_ms_per_minute": slope,
            "samples": len(rows),
            "minutes": self._minutes,
        }


def soak(clip: Path, minutes: float, model: str) -> dict[str, object]:
    """Play the clip at 720p and 30 frames a second, over and over; the figures of the run.

    Threads and file handles are counted before and after it. Raises ``SourceError`` and ``UsageError``.
    """
    samples = Samples()
    with tempfile.TemporaryDirectory() as folder, Interrupt() as cancel, cancel.held():
        steady = write_steady(clip, Path(folder) / "steady.mp4")
        session = open_session(str(steady), LiveOptions(model=model), loop=True)
        handles = _open_handles()
        status, figures = run_session(session, Overlay(), 60 * minutes, cancel, samples.hear)
        left = [thread.name for thread in threading.enumerate() if thread.name.startswith("kptrack")]
        handles_left = None if handles is None else (_open_handles() or 0) - handles
    for error in (status.error, status.engine.error):
        if error is not None:
            raise error
    return {**figures, **samples.figures(), "threads_left": left, "handles_left": handles_left}


def _open_handles() -> int | None:
    """Files, sockets and the like that this process holds; None where the system does not say."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return None


def main() -> Exit:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ui.soak", description=__doc__)
    parser.add_argument("clip", type=Path, help="a video with a face")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--model", default=live_model(), help="default: that of kptrack live")
    arguments = parser.parse_args()
    try:
        print(json.dumps(soak(arguments.clip, arguments.minutes, arguments.model)))
    except Exception as error:  # noqa: BLE001 (the guard of this program)
        return complain(error)
    return Exit.FINE


if __name__ == "__main__":
    leave(main())
