"""``kptrack process``: inputs become annotated videos and data files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from engines import BuildCancelled, Engine, Model, load_model
from engines.engine import check_names
from tracker import (
    Overlay,
    Pipeline,
    RunInfo,
    Sink,
    Source,
    SourceError,
    Status,
    Stopwatch,
    Tracker,
    TrackerSettings,
    VideoSettings,
    open_data,
    open_sink,
    open_source,
)
from tracker.detect import check_detector
from tracker.feed import check_limits
from tracker.sinks import part_of
from ui.engines import open_told
from ui.failures import Exit, explain, usage
from ui.interrupt import Cancel, Interrupt, hear_signals
from ui.jobs import Job
from ui.progress import Progress

_LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class Request:
    """What is the same for all inputs of a run."""

    model: str = "face"
    runtime: str = "auto"
    precision: str = "auto"
    device: str = "auto"
    settings: TrackerSettings = field(default_factory=TrackerSettings)
    video: VideoSettings = field(default_factory=VideoSettings)
    overlay: Overlay = field(default_factory=Overlay)
    start_s: float = 0.0
    end_s: float | None = None
    max_frames: int | None = None

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for what no input could be processed with."""
        check_names(self.runtime, self.precision)
        check_limits(self.start_s, self.end_s, self.max_frames)


class Runner:
    """Processes jobs one after the other with one engine, opened when the first input needs it."""

    def __init__(self, request: Request, progress: Progress) -> None:
        """Load the model. Raises ``UsageError`` for one that is not there or cannot be read.

        Also for a detector that does not find its subjects.
        """
        self._request, self._progress = request, progress
        with usage():
            self._model: Model = load_model(request.model)
            check_detector(request.settings.detector, self._model.skeleton)
        self._opened: Engine | None = None

    def run(self, jobs: Sequence[Job], cancel: Cancel | None = None) -> Exit:
        """All jobs; the exit code of the run. What stops every input (no engine) is raised.

        Ends early when ``cancel`` is asked for: by Ctrl-C unless given, which needs the main thread.
        """
        codes: list[Exit] = []
        with cancel or Interrupt() as cancel:
            for job in jobs:
                try:
                    codes.append(self.attempt(job, cancel))
                except KeyboardInterrupt:  # while nothing was open
                    break
                if cancel.asked:
                    break
        self.close()
        return self._conclude(jobs, codes, cancel.asked)

    def attempt(self, job: Job, cancel: Cancel) -> Exit:
        """One job; its failure is said here and must not stop the others.

        Raises ``KeyboardInterrupt`` when it was cancelled before there was anything worth keeping.
        """
        if not job.outputs:
            self._progress.say(f"{job.shown}: skipped, the results exist")
            self._report(job, None)
            return Exit.FINE
        request = self._request
        try:
            source = hear_signals(
                lambda: open_source(job.source, request.start_s, request.end_s, request.max_frames)
            )
        except Exception as error:  # noqa: BLE001 (the guard of one input)
            return self._failed(job, error)
        with source:
            engine = self._engine(cancel)
            try:
                return self._process(job, source, engine, cancel)
            except Exception as error:  # noqa: BLE001 (the guard of one input)
                return self._failed(job, error)

    def _engine(self, cancel: Cancel) -> Engine:
        if self._opened is None:
            request = self._request
            try:
                self._opened = open_told(
                    self._model,
                    request.runtime,
                    request.precision,
                    request.device,
                    self._progress.say,
                    lambda: cancel.asked,
                )
            except BuildCancelled:
                raise KeyboardInterrupt from None
            self._progress.say(f"model {self._model.name}: {self._opened.describe}")
        return self._opened

    def close(self) -> None:
        """Give back the engine."""
        if self._opened is not None:
            self._opened.close()

    def _process(self, job: Job, source: Source, engine: Engine, cancel: Cancel) -> Exit:
        stopwatch = Stopwatch()
        broken: SourceError | None = None
        stopped = False
        with cancel.held(), ExitStack() as stack:
            sinks = self._sinks(job, source, engine, stopwatch)
            for sink in sinks:
                stack.enter_context(sink)
            pipeline = Pipeline(
                source,
                lambda: Tracker(engine, self._request.settings, stopwatch),
                sinks,
                _policy(source),
                stopwatch,
            )
            try:
                stopped = self._watch(pipeline, job, source, cancel)
            except SourceError as error:
                # A stream that breaks off or a camera that is unplugged: what came before is kept.
                if not pipeline.status().done:
                    raise
                broken = error
            status = pipeline.status()
            if stopped and not status.done:
                raise KeyboardInterrupt  # there is nothing worth a name
            # A stream has no end but this one; of a file the rest would never be asked for again.
            cut = stopped and not source.live and status.done != source.frames
            if cut:
                for sink in sinks:
                    sink.close(whole=False)
                job = replace(
                    job, video=job.video and part_of(job.video), data=job.data and part_of(job.data)
                )
        for note in [note for sink in sinks for note in sink.notes]:
            self._progress.say(f"{job.shown}: {note}")
        self._summarise(job, status, source, stopped)
        self._report(job, status)
        if broken is not None:
            self._progress.say(f"kptrack: {broken}; what came before is kept")
        return Exit.FAILED if broken is not None or status.lost else Exit.FINE

    def _sinks(self, job: Job, source: Source, engine: Engine, stopwatch: Stopwatch) -> list[Sink]:
        """What the job writes. An output that does not open closes those before it."""
        request = self._request
        sinks: list[Sink] = []
        try:
            if job.video is not None:
                sinks.append(open_sink(job.video, source, request.overlay, request.video, stopwatch))
            if job.data is not None:
                info = RunInfo(engine.skeleton, self._model.digest, engine.runtime, engine.precision)
                sinks.append(open_data(job.data, source, info))
        except BaseException:
            for sink in sinks:
                sink.abort()
            raise
        return sinks

    def _watch(self, pipeline: Pipeline, job: Job, source: Source, cancel: Cancel) -> bool:
        """Run the pipeline to its end, or to the frame in hand when asked to end; whether that came.

        Raises the pipeline's failure.
        """
        self._progress.begin(job.shown, source.frames)
        stopped = False
        try:
            pipeline.start()
            while not pipeline.join(_LOOK_EVERY_S):
                self._progress.update(pipeline.status())
                if cancel.asked and not stopped:
                    stopped = True
                    self._progress.say(f"stopping: the files are being closed{cancel.hint}")
                    pipeline.stop()
        finally:
            self._progress.end()
        return stopped

    def _summarise(self, job: Job, status: Status, source: Source, interrupted: bool) -> None:
        say = self._progress.say
        names = ", ".join(path.name for path in job.outputs)
        of = f" of {source.frames}" if interrupted and source.frames else ""
        say(
            f"{job.shown}: {status.done}{of} frames, {status.with_subject} with a subject, "
            f"{status.seconds:.1f} s, {status.fps:.1f} frames/s → {names}"
        )
        if interrupted:
            say(f"{job.shown}: interrupted; what came before is in {names}")
        if not status.with_subject:
            say(f"{job.shown}: warning: no subject found; try a lower --min-score, or --detector center")
        if status.dropped:
            say(f"{job.shown}: {status.dropped} frames left out: this machine is too slow for the stream")
        if status.lost:
            say(f"{job.shown}: damaged: {status.lost} frames could not be decoded and are missing")

    def _failed(self, job: Job, error: Exception) -> Exit:
        line, code = explain(error)
        named = line if Path(job.shown).name in line else f"{job.shown}: {line}"
        self._progress.say(f"kptrack: {named}")
        self._report(job, None, failed=True)
        return code

    def _report(self, job: Job, status: Status | None, failed: bool = False) -> None:
        """One object an input, also for one that failed or was skipped: names as in the README."""
        stages = {} if status is None else status.stages
        self._progress.report(
            {
                "input": job.shown,
                "output": None if failed or job.video is None else str(job.video),
                "data": None if failed or job.data is None else str(job.data),
                "frames": 0 if status is None else status.done,
                "frames_left_out": 0 if status is None else status.dropped,
                "frames_with_subject": 0 if status is None else status.with_subject,
                "seconds": 0.0 if status is None else round(status.seconds, 3),
                "fps": 0.0 if status is None else round(status.fps, 2),
                "stages_ms": {name: round(each.median_ms, 3) for name, each in stages.items()},
            }
        )

    def _conclude(self, jobs: Sequence[Job], codes: Sequence[Exit], interrupted: bool) -> Exit:
        bad = [code for code in codes if code is not Exit.FINE]
        if len(jobs) > 1:
            rest = len(jobs) - len(codes)
            self._progress.say(
                f"{len(jobs)} inputs: {len(codes) - len(bad)} done, {len(bad)} failed or damaged"
                + (f", {rest} not begun" if rest else "")
            )
        if interrupted:
            return Exit.INTERRUPTED
        if not bad:
            return Exit.FINE
        if len(bad) < len(codes):
            return Exit.SOME_FAILED
        return bad[0] if len(set(bad)) == 1 else Exit.FAILED


def _policy(source: Source) -> str | None:
    """What becomes of frames that inference has no time for, where that does not follow from the source.

    A file that a web server gives may tell no length, as a live stream; but it waits.
    """
    return "wait" if source.address and source.address.startswith(("http://", "https://")) else None
