"""Records a live run in a thread of its own, which may be slower than the picture."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Thread

from tracker.channel import Channel, Closed
from tracker.config import VideoSettings
from tracker.faults import one_line
from tracker.feed import Source
from tracker.inference import Shown
from tracker.live_status import RecordingStatus
from tracker.overlay import Overlay
from tracker.records import DATA_SUFFIXES, RunInfo
from tracker.sinks import Sink, SinkError, part_of
from tracker.stills import PICTURES
from tracker.timing import Stopwatch
from tracker.values import Frame

# Pictures that may wait for the disk or the encoder: half a second, 44 MB at 720p.
_DEPTH = 16
_TICKS = 90_000


class Recorder:
    """Writes what it is offered into files: annotated video ``path``, data ``data_path``, or both.

    A picture of another connection, model or skeleton goes into the next segment: ``out.mp4`` is followed
    by ``out.2.mp4``. Bare pictures, from before an engine is ready or after it failed, are recorded only
    where a segment is open. Times are those of capture, the first frame of a segment at 0.

    Raises ``ValueError`` for names that cannot be and ``SinkError`` for one that exists.
    """

    def __init__(
        self,
        path: Path | None,
        data_path: Path | None,
        overlay: Overlay | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        _check_names(path, data_path)
        self._paths = (path, data_path)
        self._overlay, self._watch = overlay or Overlay(), stopwatch or Stopwatch()
        self._queue = Channel[Shown](_DEPTH, "drop_oldest")
        self._segment: _Segment | None = None
        self._segments = 0
        self._frames = 0
        self._active, self._message = True, ""
        self._thread = Thread(target=self._run, name="kptrack record", daemon=True)

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def offer(self, shown: Shown) -> None:
        """Record a picture if there is time for it. Does not block."""
        with suppress(Closed):
            self._queue.put(shown)

    def end(self) -> None:
        """Write what waits and close the files, in the thread. Does not block."""
        self._queue.end()

    def join(self, deadline_s: float) -> bool:
        """Wait until that time of ``time.monotonic``; whether it has ended."""
        if self._thread.is_alive():
            self._thread.join(max(0.0, deadline_s - time.monotonic()))
        return not self._thread.is_alive()

    def status(self) -> RecordingStatus:
        """A snapshot, from any thread."""
        video, data = self._paths if self._segment is None else self._segment.paths
        return RecordingStatus(self._active, video or data, self._frames, self._queue.dropped, self._message)

    def _run(self) -> None:
        """The thread; its one guard."""
        try:
            for shown in self._queue:
                self._record(shown)
            if self._segment is None:
                raise SinkError(f"{self.status().path}: nothing was recorded; there were no landmarks yet")
            self._segment.close()
        except Exception as error:  # noqa: BLE001 (told by status)
            self._queue.cut()
            kept = self._segment.give_up() if self._segment else []
            self._message = f"the recording stopped: {one_line(error)}"
            if kept:
                self._message += f"; what was written is kept as {', '.join(kept)}"
        self._active = False

    def _record(self, shown: Shown) -> None:
        if self._segment is None or not self._segment.takes(shown):
            if shown.info is None:
                return
            if self._segment is not None:
                self._segment.close()
            self._segment = self._open(shown, shown.info)
        self._segment.write(shown)
        self._frames += 1

    def _open(self, shown: Shown, info: RunInfo) -> _Segment:
        """The next segment, under the next number that is free, also of what a killed recording left."""
        self._segments += 1
        while any(
            each.exists() or part_of(each).exists() for each in _given(_numbered(self._paths, self._segments))
        ):
            self._segments += 1
        return _Segment(_numbered(self._paths, self._segments), shown, info, self._overlay, self._watch)


def take_picture(shown: Shown, path: Path, overlay: Overlay | None) -> None:
    """Write one annotated picture. Raises ``SinkError``, and ``ValueError`` for another ending."""
    from tracker.export import open_sink

    if path.suffix.lower() not in PICTURES:
        raise ValueError(f"{path.name}: choose a name that ends in {', '.join(PICTURES)}")
    _refuse_existing(path)
    with open_sink(path, _Recorded(shown), overlay) as sink:
        sink.write(shown.result)


Paths = tuple[Path | None, Path | None]


def _numbered(paths: Paths, number: int) -> Paths:
    """The names of a segment: out.mp4, out.2.mp4, out.3.mp4, …"""
    if number == 1:
        return paths
    video, data = (each and each.with_suffix(f".{number}{each.suffix}") for each in paths)
    return video, data


def _given(paths: Paths) -> list[Path]:
    return [each for each in paths if each is not None]


def _check_names(path: Path | None, data_path: Path | None) -> None:
    from tracker.export import VIDEO_SUFFIXES

    if path is None and data_path is None:
        raise ValueError("a recording needs a name for its video or its data")
    if path is not None and path.suffix.lower() not in VIDEO_SUFFIXES:
        raise ValueError(f"{path.name}: choose a name that ends in {', '.join(VIDEO_SUFFIXES)}")
    if data_path is not None and data_path.suffix.lower() not in DATA_SUFFIXES.values():
        raise ValueError(f"{data_path.name}: choose a name that ends in {', '.join(DATA_SUFFIXES.values())}")
    for each in _given((path, data_path)):
        _refuse_existing(each)


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise SinkError(f"{path}: exists; choose another name")


class _Recorded(Source):
    """What the files of a segment say of their source. Its sound cannot be had a second time."""

    time_base = Fraction(1, _TICKS)
    live = True

    def __init__(self, shown: Shown) -> None:
        source = shown.source
        # Without its path, of which the data would give a checksum: over a large file that takes too long.
        self.name, self.path, self.fps = source.name, None, source.fps
        self.pixel_aspect = source.pixel_aspect
        self.height, self.width = shown.result.frame.image.shape[:2]


class _Segment:
    """The files of one connection and model."""

    def __init__(
        self, paths: Paths, first: Shown, info: RunInfo, overlay: Overlay, stopwatch: Stopwatch
    ) -> None:
        """Open the files. Raises ``SinkError`` and ``MissingCapability``."""
        from tracker.export import open_data, open_sink

        self.paths = paths
        self._kind = (first.connection, info.skeleton.name, info.model)
        self._first_s, self._frames, self._last_pts = first.captured_s, 0, -1
        self._sinks: list[Sink] = []
        source, (video, data) = _Recorded(first), paths
        try:
            if video is not None:
                self._sinks.append(open_sink(video, source, overlay, VideoSettings(), stopwatch))
            if data is not None:
                self._sinks.append(open_data(data, source, info))
        except BaseException:
            for sink in self._sinks:
                sink.abort()
            raise

    def takes(self, shown: Shown) -> bool:
        """Whether a picture belongs here; a bare one does while its connection lasts."""
        if shown.info is None:
            return shown.connection == self._kind[0]
        return (shown.connection, shown.info.skeleton.name, shown.info.model) == self._kind

    def write(self, shown: Shown) -> None:
        """Add a picture at the time of its capture. Raises ``SinkError``."""
        time_s = max(0.0, shown.captured_s - self._first_s)
        self._last_pts = max(self._last_pts + 1, round(time_s * _TICKS))
        frame = Frame(shown.result.frame.image, self._frames, time_s, self._last_pts)
        for sink in tuple(self._sinks):
            try:
                sink.write(replace(shown.result, frame=frame))
            except BaseException:
                self._sinks.remove(sink)
                sink.abort()
                raise
        self._frames += 1

    def close(self) -> None:
        """Finish all files. Raises ``SinkError``."""
        while self._sinks:
            self._sinks.pop().close()

    def give_up(self) -> list[str]:
        """After a failure: finish what can be finished. The names of what there is, finished or not."""
        for sink in self._sinks:
            with suppress(SinkError):
                sink.close()
        self._sinks.clear()
        left = [each for path in _given(self.paths) for each in (path, part_of(path))]
        return [each.name for each in left if each.exists()]
