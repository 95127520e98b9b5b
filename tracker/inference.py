"""The engines of a live run: one in use, perhaps one being built, each in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Lock, Semaphore, Thread

from engines.engine import BuildCancelled, Engine, Report
from tracker.channel import Channel
from tracker.config import TrackerSettings
from tracker.detect import make_detector
from tracker.faults import one_line
from tracker.feed import Source
from tracker.live_status import EngineStatus
from tracker.meters import Rate
from tracker.records import RunInfo
from tracker.timing import Stopwatch
from tracker.track import Tracker
from tracker.values import Frame, Result

_LOOK_EVERY_S = 0.1


@dataclass(frozen=True, eq=False)
class Captured:
    """A frame, when it was captured on the clock of ``time.monotonic``, and where it comes from.

    ``connection`` counts how often a source was opened: track ids start anew with it.
    """

    frame: Frame
    captured_s: float
    source: Source
    connection: int


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture to display: ``result`` with its landmarks, and where it comes from as in ``Captured``.

    ``info`` is what made the landmarks; None while no engine is ready, when ``result`` is the bare picture.
    """

    result: Result
    captured_s: float
    source: Source
    connection: int
    info: RunInfo | None


class Inference:
    """Tracks what it is offered and hands it to ``publish``, in the thread of the engine in use.

    ``over`` is called once after ``stop``, when nothing more will be published.
    """

    def __init__(
        self,
        publish: Callable[[Shown], None],
        over: Callable[[], None],
        settings: TrackerSettings,
        stopwatch: Stopwatch,
    ) -> None:
        self._publish, self._over = publish, over
        self._settings, self._watch = settings, stopwatch
        self._tracker: Tracker | None = None  # belongs to the thread of the engine in use
        self._connection = 0  # that it follows
        self.processed = Rate()
        # Two at a time: many may be asked for in a row, and a quick one need not wait for a slow one.
        self._turns = Semaphore(2)
        self._lock = Lock()  # guards what follows
        self._stopping = False
        self._workers: list[_Worker] = []  # all whose threads may run
        self._current: _Worker | None = None
        self._asked: _Worker | None = None  # being built
        self._status = EngineStatus()
        self._dropped = 0  # by those before the current one
        self._waiting: Captured | None = None  # the newest that there was no engine for

    def swap(
        self, build: Callable[[], Engine], model: str, better: Callable[[Report], Engine] | None = None
    ) -> None:
        """Build an engine and change to it; see ``LiveSession.swap_engine``."""
        with self._lock:
            if not self._stopping:
                self._give_up()
                self._begin(_Worker(self, lambda report: build(), model, better))

    def cancel_build(self) -> None:
        """Give up the engine that is being built."""
        with self._lock:
            self._give_up()

    def _give_up(self) -> None:
        if self._asked is not None:
            self._asked.dismiss()
            self._asked = None
            self._status = replace(self._status, building=False, phase="", share=None)

    def _begin(self, worker: _Worker) -> None:
        self._asked = worker
        self._workers = [*(each for each in self._workers if each.thread.is_alive()), worker]
        self._status = replace(self._status, building=True, failure="", error=None)
        worker.thread.start()

    def offer(self, captured: Captured) -> bool:
        """Track a frame if it is still the newest when its turn comes; False while there is no engine.

        Does not block. Raises ``Closed`` after ``stop``.
        """
        with self._lock:
            if self._current is None:
                self._waiting = captured
                return False
            self._waiting = None
            self._current.inbox.put(captured)
            return True

    def set_settings(self, settings: TrackerSettings) -> None:
        """Follow from the next frame on. Raises as ``make_detector`` does."""
        engine = None if self._current is None else self._current.engine
        if engine is not None and settings.detector != self._settings.detector:
            make_detector(settings.detector, engine.skeleton, engine.crop_scale)
        self._settings = settings

    def status(self) -> tuple[EngineStatus, int]:
        """A snapshot, and how many frames were dropped."""
        with self._lock:
            dropped = 0 if self._current is None else self._current.inbox.dropped
            return self._status, self._dropped + dropped

    def stop(self) -> None:
        """End after the frame that waits. Does not block."""
        with self._lock:
            self._stopping = True
            for worker in self._workers:
                worker.dismiss()
            idle = self._current is None
        if idle:
            self._over()

    def join(self, deadline_s: float) -> bool:
        """Wait until that time of ``time.monotonic``; whether every thread has ended."""
        for worker in self._workers:
            if worker.thread.is_alive():
                worker.thread.join(max(0.0, deadline_s - time.monotonic()))
        return not any(worker.thread.is_alive() for worker in self._workers)

    # What an engine's thread does.

    def build(self, worker: _Worker) -> Engine | None:
        """The worker's engine, when its turn comes; None if it is not wanted any more."""

        def report(phase: str, share: float | None) -> bool:
            with self._lock:
                if worker is self._asked:
                    self._status = replace(self._status, phase=phase, share=share)
            return not worker.dismissed

        with self._turns:
            return None if worker.dismissed else worker.make(report)

    def admit(self, worker: _Worker, engine: Engine) -> bool:
        """Put an engine to use, after its predecessor has ended; False if it is not wanted any more."""
        if worker.dismissed:
            return False
        # What does not suit the settings fails here, while the old engine still runs.
        make_detector(self._settings.detector, engine.skeleton, engine.crop_scale)
        with self._lock:
            if worker is not self._asked or self._stopping:
                return False
            before, self._current, self._asked = self._current, worker, None
            self._status = EngineStatus(engine.runtime, engine.precision, engine.describe)
            if self._waiting is not None and not self._waiting.source.live:
                # Of a picture or a short clip nothing may follow.
                worker.inbox.put(self._waiting)
                self._waiting = None
            if before is None:
                return True
            before.dismiss()
            self._dropped += before.inbox.dropped
        while before.thread.is_alive() and not self._stopping:
            before.thread.join(_LOOK_EVERY_S)
        return not before.thread.is_alive()

    def improve(self, worker: _Worker, better: _Worker) -> None:
        """Build a better engine than the worker's, unless something else is wanted already."""
        with self._lock:
            if worker is self._current and self._asked is None and not self._stopping:
                self._begin(better)

    def track(self, captured: Captured, engine: Engine, info: RunInfo) -> None:
        """Track one frame and publish it."""
        settings, tracker = self._settings, self._tracker
        if tracker is None or captured.connection != self._connection:
            tracker = self._tracker = Tracker(engine, settings, self._watch)
            self._connection = captured.connection
        elif tracker.engine is not engine or tracker.settings is not settings:
            tracker.change(engine, settings)
        result = tracker.step(captured.frame)
        self.processed.tick()
        self._publish(Shown(result, captured.captured_s, captured.source, captured.connection, info))

    def retire(self, worker: _Worker, error: Exception | None) -> None:
        """The thread ends: dismissed, or because of ``error``."""
        if isinstance(error, BuildCancelled):
            error = None
        with self._lock:
            current, asked = worker is self._current, worker is self._asked
            if current:
                self._current = None
                self._dropped += worker.inbox.dropped
            if asked:
                self._give_up()
            if current and not self._stopping:
                self._status = replace(self._status, runtime="", precision="", describe="")
            if error is not None and (current or asked):
                self._status = replace(self._status, failure=one_line(error), error=error)
            last = current and self._stopping
        if last:
            self._over()


class _Worker:
    """One engine with the thread that builds it, runs it and closes it: some engines know no other thread."""

    def __init__(
        self,
        owner: Inference,
        make: Callable[[Report], Engine],
        model: str,
        better: Callable[[Report], Engine] | None = None,
    ) -> None:
        self.inbox = Channel[Captured](1, "drop_oldest")
        self.make, self._better = make, better
        self.engine: Engine | None = None
        self.dismissed = False
        self._owner, self._model = owner, model
        self.thread = Thread(target=self._run, name="kptrack infer", daemon=True)

    def dismiss(self) -> None:
        """End it after the frame that waits, or as soon as it is built. Does not block."""
        self.dismissed = True
        self.inbox.end()

    def _run(self) -> None:
        """The thread; its one guard."""
        error: Exception | None = None
        try:
            self._work()
        except Exception as failure:  # noqa: BLE001 (kept for status)
            error = failure
        self._owner.retire(self, error)

    def _work(self) -> None:
        engine = self.engine = self._owner.build(self)
        if engine is None:
            return
        with closing(engine):
            info = RunInfo(engine.skeleton, self._model, engine.runtime, engine.precision)
            if self._owner.admit(self, engine):
                if self._better is not None:
                    self._owner.improve(self, _Worker(self._owner, self._better, self._model))
                for captured in self.inbox:
                    self._owner.track(captured, engine, info)
