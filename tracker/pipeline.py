"""The owner of the threads: capture, infer and write overlap; all else in the package is synchronous."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Protocol

from tracker.channel import Channel, Closed
from tracker.feed import Source
from tracker.sinks import Sink
from tracker.timing import StageTime, Stopwatch
from tracker.values import Frame, Result

# Pictures waiting between two threads: enough to even out key frames, few enough for 4K.
_DEPTH = 3
# A wait without an end would keep Ctrl-C from the main thread.
_SHORT_S = 0.1


class Step(Protocol):
    """What runs in the inference thread: a ``Tracker``."""

    def step(self, frame: Frame) -> Result:
        """The subjects of the next frame."""
        ...


@dataclass(frozen=True)
class Status:
    """How far a pipeline is."""

    read: int  # frames that came out of the source
    dropped: int  # of these, frames that inference had no time for
    done: int  # frames that are in every sink
    with_subject: int  # of these, frames in which somebody was found
    lost: int  # frames that the source could not decode
    seconds: float  # since the start, until the end
    fps: float  # done / seconds
    running: bool
    stages: dict[str, StageTime]  # decode, what the tracker and the sinks time on the same stopwatch, write


class Pipeline:
    """Source → step → sinks in three threads, with at most a few frames in between.

    ``build`` makes the tracker and runs in the inference thread, as some engines belong to the thread
    that made them. ``policy`` is that of ``Channel``, for the frames that wait for inference; it
    follows from the source unless given. Sinks and source stay the caller's to close, after ``join``.

    The first failure in any thread stops the others and is raised by ``join``.
    """

    def __init__(
        self,
        source: Source,
        build: Callable[[], Step],
        sinks: Sequence[Sink] = (),
        policy: str | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._source, self._build, self._sinks = source, build, tuple(sinks)
        self._watch = stopwatch or Stopwatch()
        self._frames = Channel[Frame](_DEPTH, policy or ("drop_oldest" if source.live else "wait"))
        self._results = Channel[Result](_DEPTH)
        self._stopping = Event()
        self._lock = Lock()
        self._failure: BaseException | None = None
        self._read = self._done = self._with_subject = 0
        self._begin_s = self._end_s = 0.0
        parts = {"capture": self._capture, "infer": self._infer, "write": self._write}
        self._threads = [
            Thread(target=self._guard, args=(part,), name=f"kptrack {name}", daemon=True)
            for name, part in parts.items()
        ]

    def start(self) -> None:
        """Start the threads; once."""
        self._begin_s = time.perf_counter()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let every thread end after what it has in hand, leaving frames that wait. Does not block."""
        self._stopping.set()
        self._frames.cut()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the threads and raise the first failure; False when they still run after ``timeout_s``.

        Ctrl-C gets through: call ``stop`` then, and ``join`` again.
        """
        deadline = None if timeout_s is None else time.perf_counter() + timeout_s
        while any(thread.is_alive() for thread in self._threads):
            if deadline is not None and time.perf_counter() >= deadline:
                return False
            for thread in self._threads:
                thread.join(_SHORT_S if deadline is None else min(_SHORT_S, timeout_s or 0))
        if self._failure is not None:
            raise self._failure
        return True

    def status(self) -> Status:
        """A snapshot, from any thread."""
        running = any(thread.is_alive() for thread in self._threads)
        end_s = time.perf_counter() if running else self._end_s
        seconds = max(0.0, end_s - self._begin_s)
        return Status(
            read=self._read,
            dropped=self._frames.dropped,
            done=self._done,
            with_subject=self._with_subject,
            lost=self._source.lost,
            seconds=seconds,
            fps=self._done / seconds if seconds else 0.0,
            running=running,
            stages=self._watch.stages(),
        )

    def _guard(self, part: Callable[[], None]) -> None:
        """Run one thread's part; its failure is the pipeline's."""
        try:
            part()
        except Closed:
            pass
        except BaseException as error:  # noqa: BLE001 -- the one place a thread's failure can be kept
            with self._lock:
                self._failure = self._failure or error
            self._stopping.set()
            self._frames.cut()
            self._results.cut()
        finally:
            self._end_s = time.perf_counter()

    def _capture(self) -> None:
        """Source to frames."""
        frames = iter(self._source)
        while not self._stopping.is_set():
            with self._watch("decode"):
                frame = next(frames, None)
            if frame is None:
                break
            self._read += 1
            self._frames.put(frame)
        self._frames.end()

    def _infer(self) -> None:
        """Frames to results."""
        tracker = self._build()
        for frame in self._frames:
            self._results.put(tracker.step(frame))
        self._results.end()

    def _write(self) -> None:
        """Results to sinks."""
        for result in self._results:
            with self._watch("write"):
                for sink in self._sinks:
                    sink.write(result)
            self._done += 1
            self._with_subject += bool(result.tracks)
