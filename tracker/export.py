"""Outputs: the annotated video or still, and data by the ending of the name."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream

from engines.engine import MissingCapability
from tracker.config import VideoSettings
from tracker.feed import Source
from tracker.overlay import Overlay, draw
from tracker.records import CocoSink, CsvSink, JsonLinesSink, ParquetSink, RunInfo
from tracker.sinks import PartFile, Sink, SinkError, part_of
from tracker.sound import Sound
from tracker.sources import open_container
from tracker.stills import PICTURES
from tracker.timing import Stopwatch
from tracker.values import Result

VIDEO_SUFFIXES = (".mp4", ".m4v")
_ENCODERS = {"h264": "libx264", "hevc": "libx265", "h264_nvenc": "h264_nvenc"}
# Fragments of half a second until the file is closed, so that a killed run leaves a file that plays. The
# first fragment waits for all streams (delay_moov): else there is no edit list, and all times would shift.
_FRAGMENTS = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "500000", "flush_packets": "1"}


def open_sink(
    path: str | Path,
    source: Source,
    overlay: Overlay | None = None,
    video: VideoSettings | None = None,
    stopwatch: Stopwatch | None = None,
) -> Sink:
    """An annotated video (``.mp4``) or, for a name that ends in .jpg, .png, …, an annotated still.

    Stages ``draw`` and ``encode`` are timed on ``stopwatch``. Raises ``SinkError`` where the file
    cannot be written or is the source itself, ``MissingCapability`` for an encoder this machine
    lacks, ``ValueError`` for another ending.
    """
    path = Path(path)
    overlay, stopwatch = overlay or Overlay(), stopwatch or Stopwatch()
    _refuse_source(path, source)
    if path.suffix.lower() in PICTURES:
        return StillSink(path, overlay, stopwatch)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return VideoSink(path, source, overlay, video or VideoSettings(), stopwatch)
    raise ValueError(f"{path.name}: choose a name that ends in {', '.join(VIDEO_SUFFIXES + PICTURES)}")


def open_data(path: str | Path, source: Source, info: RunInfo) -> Sink:
    """Data by the ending of the name: .parquet, .csv, .jsonl, .json (COCO).

    Raises ``SinkError`` where the file cannot be written, ``ValueError`` for another ending.
    """
    path = Path(path)
    _refuse_source(path, source)
    match path.suffix.lower():
        case ".parquet":
            return ParquetSink(path, source, info)
        case ".csv":
            return CsvSink(path)
        case ".jsonl":
            return JsonLinesSink(path)
        case ".json":
            return CocoSink(path, source, info)
    raise ValueError(f"{path.name}: choose a name that ends in .parquet, .csv, .jsonl or .json (COCO)")


def _refuse_source(path: Path, source: Source) -> None:
    for name in (path, part_of(path)):  # under which it is written
        if source.path is not None and name.exists() and name.samefile(source.path):
            raise SinkError(f"{name}: the output is the input itself; choose another name")


class StillSink(PartFile):
    """One annotated picture."""

    def __init__(self, path: Path, overlay: Overlay, stopwatch: Stopwatch) -> None:
        super().__init__(path)
        self._overlay, self._stopwatch = overlay, stopwatch
        self._written = False

    def write(self, result: Result) -> None:
        """Write the picture. Raises ``SinkError``, also for a second one."""
        if self._written:
            raise SinkError(f"{self.path}: a picture holds one frame; choose a name that ends in .mp4")
        with self._stopwatch("draw"):
            image = draw(result, self._overlay)
        with self._stopwatch("encode"):
            good, data = cv2.imencode(self.path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        if not good:
            raise SinkError(f"{self.path}: OpenCV cannot write this kind of picture")
        try:
            self.part.write_bytes(data.tobytes())
        except OSError as error:
            raise self.failure(error) from error
        self._written = True

    def finish(self) -> None:
        """Refuse to be empty."""
        if not self._written:
            raise SinkError(f"{self.path}: no frame was written")


class VideoSink(PartFile):
    """Annotated MP4: even sizes (the last row or column repeated), yuv420p, BT.709.

    Times and sound are the source's. An untrimmed source keeps its timestamps; one that
    was trimmed at its start begins at 0 with its first frame.
    """

    def __init__(
        self, path: Path, source: Source, overlay: Overlay, settings: VideoSettings, stopwatch: Stopwatch
    ) -> None:
        super().__init__(path)
        if settings.codec == "h264_nvenc":
            _probe_nvenc()
        self._source, self._overlay = source, overlay
        self._settings, self._stopwatch = settings, stopwatch
        self._first_pts: int | None = None
        self._end_s = 0.0
        self._size = (source.width + source.width % 2, source.height + source.height % 2)
        try:
            self._output = av.open(f"file:{self.part}", "w", format="mp4", container_options=_FRAGMENTS)
        except OSError as error:
            raise self.failure(error) from error
        try:
            self._stream = self._add_video()
            self._sound = self._add_sound()
        except BaseException:
            self._output.close()
            self.part.unlink(missing_ok=True)
            raise

    def _add_video(self) -> VideoStream:
        source, settings = self._source, self._settings
        options = {"preset": settings.preset, "crf": str(settings.crf)}
        if settings.codec == "h264_nvenc":
            options = {"rc": "vbr", "cq": str(settings.crf)}
        if settings.codec == "hevc":
            options["x265-params"] = "log-level=none"
        rate = Fraction(source.fps).limit_denominator(1001)
        stream = cast(VideoStream, self._output.add_stream(_ENCODERS[settings.codec], rate, options))
        stream.width, stream.height = self._size
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = source.time_base
        context.sample_aspect_ratio = source.pixel_aspect
        # No more threads than help: each holds pictures.
        context.thread_count = min(4, os.cpu_count() or 1)
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        if settings.codec == "hevc":
            context.codec_tag = "hvc1"  # what Apple's players look for
        return stream

    def _add_sound(self) -> Sound | None:
        if self._settings.audio == "none" or self._source.address is None or self._source.live:
            return None
        try:
            container = open_container(self._source.address, timeout_s=10.0)
        except (OSError, av.error.FFmpegError) as error:
            self.notes.append(f"no sound: {error.strerror}")
            return None
        if not container.streams.audio:
            container.close()
            return None
        return Sound(container, self._output, self.notes)

    def write(self, result: Result) -> None:
        """Draw and encode one frame. Raises ``SinkError``."""
        frame = result.frame
        with self._stopwatch("draw"):
            image = draw(result, self._overlay)
        with self._stopwatch("encode"):
            if self._first_pts is None:
                self._first_pts = frame.pts
            pts = frame.pts - self._origin_pts()
            time_s = float(pts * self._source.time_base)
            try:
                if self._sound is not None:
                    self._sound.feed(time_s, self._origin_s())
                self._output.mux(self._stream.encode(self._picture(image, pts)))
            except (OSError, av.error.FFmpegError) as error:
                raise self._failure(error) from error
            self._end_s = time_s + 1 / self._source.fps

    def _origin_pts(self) -> int:
        """Source time, in its ``time_base``, that becomes 0."""
        source = self._source
        if source.start_s > 0 or source.live:
            return self._first_pts or 0
        return round(source.begin_s / source.time_base)

    def _origin_s(self) -> float:
        return float(self._origin_pts() * self._source.time_base)

    def _picture(self, image: np.ndarray, pts: int) -> VideoFrame:
        width, height = self._size
        if image.shape[:2] != (height, width):
            right, below = width - image.shape[1], height - image.shape[0]
            image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
        picture = VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), "rgb24").reformat(
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        picture.pts, picture.time_base = pts, self._source.time_base
        picture.colorspace, picture.color_range = Colorspace.ITU709, ColorRange.MPEG
        picture.color_primaries, picture.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        return picture

    def finish(self) -> None:
        """Flush the encoder, add the rest of the sound and write the index."""
        if self._first_pts is None:
            self._close_containers()
            self.part.unlink(missing_ok=True)
            raise SinkError(f"{self.path}: no frame was written")
        try:
            self._flush()
            self._close_containers()
            if self._settings.faststart:
                self._move_index_to_front()
        except (OSError, av.error.FFmpegError) as error:
            with suppress(OSError, av.error.FFmpegError):
                self._close_containers()
            raise self._failure(error) from error

    def _flush(self) -> None:
        self._output.mux(self._stream.encode(None))
        if self._sound is not None:
            whole = self._source.ended and not self._source.trimmed
            self._sound.feed(math.inf if whole else self._end_s, self._origin_s())
            self._sound.flush()

    def discard(self) -> None:
        """Leave what was written as a file that plays, under the name of the part."""
        if self._first_pts is None:
            self._close_containers()
            self.part.unlink(missing_ok=True)
            return
        # On a full disk neither succeeds, and the fragments that are there play.
        for finish in (self._flush, self._close_containers):
            with suppress(OSError, av.error.FFmpegError):
                finish()

    def _close_containers(self) -> None:
        if self._sound is not None:
            self._sound.close()
        self._output.close()

    def _move_index_to_front(self) -> None:
        """Copy the packets into a file whose index comes first, for players over a network."""
        front = self.path.with_suffix(f".front.part{self.path.suffix}")
        options = {"movflags": "faststart"}
        try:
            with (
                open_container(f"file:{self.part}") as whole,
                av.open(f"file:{front}", "w", format="mp4", container_options=options) as output,
            ):
                streams = {each.index: output.add_stream_from_template(each) for each in whole.streams}
                for packet in whole.demux():
                    if packet.dts is not None:
                        packet.stream = streams[packet.stream.index]
                        output.mux_one(packet)
            os.replace(front, self.part)
        finally:
            front.unlink(missing_ok=True)

    def _failure(self, error: OSError | av.error.FFmpegError) -> SinkError:
        return SinkError(f"{self.path}: cannot be written: {error.strerror or type(error).__name__}")


def _probe_nvenc() -> None:
    """Encode one picture: NVENC says only then that there is no GPU."""
    try:
        context = av.CodecContext.create("h264_nvenc", "w")
        context.width, context.height, context.pix_fmt = 256, 256, "yuv420p"
        context.time_base = Fraction(1, 25)
        context.encode(VideoFrame(256, 256, "yuv420p"))
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise MissingCapability(
            "h264_nvenc does not work here: it needs an NVIDIA GPU with its driver; choose --codec h264"
        ) from error
