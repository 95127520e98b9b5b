"""One live run: camera, stream or file at its own pace → landmarks → whatever displays them.

The whole program, without a window:

session = LiveSession("0", lambda: open_engine("face"))
session.start()
for shown in session.results():
    paint(shown.result)
    session.mark_shown(shown)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from engines.engine import Engine, Report
from tracker.camera import CameraRequest
from tracker.capture import SOURCE_TIMEOUT_S, STATES, Capture
from tracker.channel import Channel
from tracker.config import TrackerSettings
from tracker.feed import Source, is_url, shown_name
from tracker.inference import Captured, Inference, Shown
from tracker.live_status import EngineStatus, LiveStatus, RecordingStatus
from tracker.meters import Latency, Rate
from tracker.overlay import Overlay
from tracker.recorder import Recorder, take_picture
from tracker.sinks import SinkError
from tracker.timing import Stopwatch
from tracker.values import NOBODY, Frame, Result

# What a display needs, in one place.
__all__ = ["STATES", "CameraRequest", "EngineStatus", "LiveSession", "LiveStatus", "RecordingStatus", "Shown"]

_TICKS = 90_000


class LiveSession:
    """Owner of all threads of one live run: capture, inference, recording.

    ``source`` is a camera's index or name, a URL, or a file, which is played at its own pace (``loop``:
    again and again). ``build``, ``model`` and ``better`` are those of ``swap_engine``; until the engine is
    ready the bare picture is shown.

    Methods may be called from any thread and do not block unless they say so. Nothing is raised for what
    happens to the source, the engine or the recording: ``status`` says it, in one line each.
    """

    def __init__(
        self,
        source: str,
        build: Callable[[], Engine],
        model: str = "",
        better: Callable[[Report], Engine] | None = None,
        settings: TrackerSettings | None = None,
        *,
        mirror: bool = False,
        camera: CameraRequest | None = None,
        loop: bool = False,
    ) -> None:
        self._first_engine, self._mirror = (build, model, better), mirror
        self._watch = Stopwatch()
        self._inference = Inference(self._publish, self._finish, settings or TrackerSettings(), self._watch)
        self._results = Channel[Shown](1, "drop_oldest")
        self._newest: Shown | None = None
        self._taken: Shown | None = None
        self._marked: Shown | None = None
        self._in, self._out, self._latency = Rate(), Rate(), Latency()
        self._connection = 0  # the newest that gave a picture
        self._begin_s = time.monotonic()
        self._end_s: float | None = None
        self._lock = Lock()  # guards what follows
        self._connections = count(1)
        self._spec, self._camera, self._loop = source, camera, loop
        self._captures = [self._new_capture()]  # the last one is in use, others may hang
        self._recorder: Recorder | None = None
        self._unrecorded = 0  # dropped by the recorders before it

    # Beginning and end.

    def start(self) -> None:
        """Start the threads; once."""
        self._begin_s = time.monotonic()
        self._captures[-1].start()
        self._inference.swap(*self._first_engine)

    def stop(self) -> None:
        """Let every thread end after what it has in hand, and close the recording. Does not block."""
        with self._lock:
            if self._end_s is not None:
                return
            self._end_s = time.monotonic()
            for capture in self._captures:
                capture.stop()
        self._inference.stop()

    def _finish(self) -> None:
        """Nobody makes results any more."""
        self._results.end()
        self.stop_recording()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end after ``stop``; whether it came in time.

        False: a thread hangs in a driver, a library or a build. It is a daemon and touches nothing any more.
        """
        deadline_s = time.monotonic() + timeout_s
        ended = [capture.join(deadline_s) for capture in self._captures]
        ended.append(self._inference.join(deadline_s))
        if self._recorder is not None:
            ended.append(self._recorder.join(deadline_s))
        return all(ended)

    # The display.

    def latest(self) -> Shown | None:
        """The newest picture, for a display that polls; None before the first. Older ones are dropped."""
        self._taken = self._results.poll() or self._taken
        return self._taken

    def results(self) -> Iterator[Shown]:
        """The newest pictures as they come, for a display with a thread of its own; ends with ``stop``.

        Not together with ``latest``: each picture goes to one display.
        """
        return iter(self._results)

    def mark_shown(self, shown: Shown) -> None:
        """Say that a picture is on the screen now; a second time for the same one counts nothing."""
        if shown is not self._marked:
            self._marked = shown
            self._out.tick()
            # While there is no engine the picture is early, which says nothing about the run.
            self._latency.add(1000 * (time.monotonic() - shown.captured_s), shown.info is not None)

    def status(self) -> LiveStatus:
        """A snapshot; a few milliseconds, so some times a second and not with every picture."""
        with self._lock:
            spec, capture, recorder = self._spec, self._captures[-1].status(), self._recorder
            unrecorded = self._unrecorded
        engine, untracked = self._inference.status()
        recording = RecordingStatus() if recorder is None else recorder.status()
        source, processed = capture.source, self._inference.processed
        p50, p95 = self._latency.recent_ms()
        run_p50, run_p95 = self._latency.run_ms()
        return LiveStatus(
            state=capture.state,
            message=capture.message.replace(spec, shown_name(spec)) if is_url(spec) else capture.message,
            error=capture.error,
            source=shown_name(spec) if source is None else source.name,
            width=0 if source is None else source.width,
            height=0 if source is None else source.height,
            source_fps=0.0 if source is None else source.fps,
            seconds=(self._end_s or time.monotonic()) - self._begin_s,
            captured=self._in.count,
            processed=processed.count,
            shown=self._out.count,
            fps_in=self._in.per_second(),
            fps_processed=processed.per_second(),
            fps_shown=self._out.per_second(),
            latency_p50_ms=p50,
            latency_p95_ms=p95,
            run_latency_p50_ms=run_p50,
            run_latency_p95_ms=run_p95,
            dropped={
                "infer": untracked,
                "display": self._results.dropped,
                "record": unrecorded + recording.dropped,
            },
            stages=self._watch.stages(),
            engine=engine,
            reconnects=capture.reconnects,
            recording=recording,
        )

    # The source.

    def switch_source(self, source: str, camera: CameraRequest | None = None, loop: bool = False) -> None:
        """Go on with another source and the same engine; ids start anew, a recording in a new segment."""
        with self._lock:
            self._spec, self._camera, self._loop = source, camera, loop
        self.reconnect()

    def reconnect(self) -> None:
        """Open the same source again at once, for instance after it failed."""
        with self._lock:
            if self._end_s is not None:
                return
            self._captures[-1].stop()
            before = [each for each in self._captures if not each.join(0)]
            self._captures = [*before, self._new_capture([] if is_url(self._spec) else before)]
            self._captures[-1].start()

    def _new_capture(self, after: Sequence[Capture] = ()) -> Capture:
        spec, camera = self._spec, self._camera

        def open_spec() -> Source:
            from tracker.sources import open_source

            return open_source(spec, timeout_s=SOURCE_TIMEOUT_S, camera=camera)

        return Capture(
            open_spec,
            self._take,
            lambda: next(self._connections),
            patient=is_url(spec),
            loop=self._loop,
            after=after,
            stopwatch=self._watch,
        )

    def _take(self, frame: Frame, source: Source, connection: int) -> None:
        """A frame is due, in a reading thread: to the engine, or as it is to the display."""
        if connection < self._connection:
            return  # its reader was abandoned in this moment
        self._connection = connection
        now_s = time.monotonic()
        time_s = now_s - self._begin_s
        image = np.asarray(cv2.flip(frame.image, 1)) if self._mirror else frame.image
        stamped = Frame(image, self._in.count, time_s, round(time_s * _TICKS))
        self._in.tick()
        if not self._inference.offer(Captured(stamped, now_s, source, connection)):
            self._publish(Shown(Result(stamped, (), NOBODY), now_s, source, connection, None))

    def _publish(self, shown: Shown) -> None:
        self._newest = shown
        self._results.put(shown)
        recorder = self._recorder
        if recorder is not None:
            recorder.offer(shown)

    # The engine and how it is used.

    def swap_engine(
        self, build: Callable[[], Engine], model: str = "", better: Callable[[Report], Engine] | None = None
    ) -> None:
        """Build another engine, in the thread that will run it, and change to it when it is ready.

        The old one goes on until then, and for good where the new one fails (``status().engine.failure``).
        Of several asked for in a row the last one wins. ``model`` is the digest of the model file, for the
        metadata of recorded data; ``better``, which may take long to build, follows on ``build``: what it
        reports is in ``status().engine``, and it is cancelled when it is not wanted any more. Track ids go
        on; subjects are found anew where the skeleton is another.
        """
        self._inference.swap(build, model, better)

    def cancel_build(self) -> None:
        """Give up the engine that is being built; the one in use goes on."""
        self._inference.cancel_build()

    def set_settings(self, settings: TrackerSettings) -> None:
        """Change threshold, subjects, search period, smoothing, …, from the next frame on.

        Raises ``ValueError`` or ``MissingCapability`` for a detector that does not suit the engine in use.
        """
        self._inference.set_settings(settings)

    def set_mirror(self, mirror: bool) -> None:
        """Show the next pictures as a mirror would, or as they are. Recordings get what is shown."""
        self._mirror = mirror

    # Files.

    def start_recording(
        self, path: Path | None, data_path: Path | None = None, overlay: Overlay | None = None
    ) -> None:
        """Record from now on: an annotated ``.mp4``, data by its ending, or both. See ``Recorder``.

        It begins with the first frame that went through an engine. After a reconnect it goes on in
        ``out.2.mp4``. Raises ``ValueError`` for names that cannot be and while a recording is active,
        ``SinkError`` where a file of that name exists; what happens later is in ``status().recording``.
        """
        with self._lock:
            if self._recorder is not None and self._recorder.status().active:
                raise ValueError("a recording is running already; stop it first")
            recorder = Recorder(path, data_path, overlay, self._watch)
            if self._recorder is not None:
                self._unrecorded += self._recorder.status().dropped
            self._recorder = recorder
            recorder.start()
            if self._end_s is not None:
                recorder.end()

    def stop_recording(self) -> None:
        """Close the recording, in its own thread: ``status().recording.active`` until that is done."""
        recorder = self._recorder
        if recorder is not None:
            recorder.end()

    def snapshot(self, path: Path, overlay: Overlay | None = None) -> None:
        """Write the newest picture with its landmarks (.png, .jpg, …). Blocks for some milliseconds.

        Raises ``SinkError`` where there is no picture yet or it cannot be written, ``ValueError`` for
        another ending.
        """
        if self._newest is None:
            raise SinkError(f"{path}: there is no picture yet")
        take_picture(self._newest, path, overlay)
