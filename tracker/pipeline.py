"""The owner of the threads: capture, infer, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tracker.feed import Source
from tracker.sinks import Sink
from tracker.timing import StageTime, Stopwatch
from tracker.values import Frame, Result


class Step(Protocol):
    """What runs in the inference thread: a ``Tracker`` or something like it."""

    def step(self, frame: Frame) -> Result:
        """The subjects of the next frame."""
        ...


@dataclass(frozen=True)
class Status:
    """How far a pipeline is."""

    read: int  # frames that came out of the source
    dropped: int  # frames that were too many for the inference (policy drop_oldest)
    done: int  # frames inferred and written
    with_subject: int  # of these, frames in which somebody was found
    lost: int  # frames the source could not decode
    seconds: float  # since start
    fps: float  # done / seconds
    running: bool
    stages: dict[str, StageTime]


class Pipeline:
    """Runs source → step → sinks in three threads."""

    def __init__(
        self,
        source: Source,
        build: Callable[[], Step],
        sinks: Sequence[Sink] = (),
        policy: str = "wait",
        stopwatch: Stopwatch | None = None,
    ) -> None:
        """``build`` makes the tracker and runs in the inference thread; sinks stay the caller's to close."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the threads."""

    def stop(self) -> None:
        """Ask all threads to end after the frame in hand; does not wait."""

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait; True when all threads have ended. Re-raises the first failure."""
        raise NotImplementedError

    def status(self) -> Status:
        """A snapshot; cheap, from any thread."""
        raise NotImplementedError
