"""Where frames come from: files and streams through FFmpeg, pictures, cameras."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote, urlsplit

import av
import av.error
import cv2
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from tracker.camera import CameraRequest, CameraSource, camera_called
from tracker.clock import Clock
from tracker.feed import Source, SourceError, check_limits, is_url, shown_name
from tracker.stills import PICTURES, FolderSource, StillSource
from tracker.values import Frame

# A damaged container may fail to give a packet, and go on; one that fails this often in a row is at its end.
_MOST_READ_FAILURES = 50
_SEEK_BACK_S = (0.0, 4.0, 16.0, 64.0, math.inf)
# A playlist whose pieces are missing or forbidden is otherwise asked again and again, for minutes.
_LOCAL_OPTIONS = {"protocol_whitelist": "file", "max_reload": "1", "m3u8_hold_counters": "1"}
# A gap in UDP is a few damaged pictures, not the end of the stream.
_REMOTE_OPTIONS = {
    "rtsp": {"rtsp_transport": "tcp"},
    "rtsps": {"rtsp_transport": "tcp"},
    "udp": {"overrun_nonfatal": "1"},
}
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED, which PyAV has no name for
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def open_source(
    spec: str | int | Path,
    start_s: float = 0.0,
    end_s: float | None = None,
    max_frames: int | None = None,
    timeout_s: float = 10.0,
    camera: CameraRequest | None = None,
) -> Source:
    """A source by its name: a video, a picture, a folder of pictures, a camera's index or name, or a URL.

    ``start_s`` (inclusive) and ``end_s`` (exclusive) are on the source's clock; at most ``max_frames``
    frames are given. A single picture has no clock, and is given whatever they are. A URL has ``timeout_s``
    seconds to answer, and again for every read; ``camera`` is what to ask of a camera.

    Raises ``SourceError`` for what cannot be read, ``MissingCapability`` for a camera that does not
    open, ``ValueError`` for limits that make no sense.
    """
    check_limits(start_s, end_s, max_frames)
    if isinstance(spec, int) or (isinstance(spec, str) and spec.isdecimal() and not Path(spec).exists()):
        return CameraSource(int(spec), max_frames, end_s, request=camera, start_s=start_s)
    if isinstance(spec, str) and is_url(spec):
        return StreamSource(spec, None, start_s, end_s, max_frames, timeout_s)
    if isinstance(spec, str) and spec.startswith("file://"):
        spec = unquote(urlsplit(spec).path)
    path = Path(spec)
    name = shown_name(path)
    if path.is_dir():
        first = math.ceil(start_s * FolderSource.fps - 1e-6)
        last = 10**9 if end_s is None else math.ceil(end_s * FolderSource.fps - 1e-6)
        return FolderSource(path, first, min(last, first + (max_frames or 10**9)))
    if not path.exists():
        called = camera_called(str(spec))
        if called is None:
            raise SourceError(f"{name}: no such file or camera; check the name and the folder")
        return CameraSource(called.index, max_frames, end_s, called.name, camera, start_s)
    if path.suffix.lower() in PICTURES:
        return StillSource(path)
    if not path.is_file():
        raise SourceError(f"{name}: neither a file nor a folder; give a file, or a camera by its index")
    if path.stat().st_size == 0:
        raise SourceError(f"{name}: the file is empty (0 bytes); copy or record it again")
    return StreamSource(f"file:{path}", path, start_s, end_s, max_frames, None)


def open_container(address: str, timeout_s: float | None = None) -> InputContainer:
    """Open a file (``file:…``) or URL for reading. Raises PyAV's errors.

    A local file may name further files only, never the network: a playlist otherwise could.
    """
    if address.startswith("file:"):
        return av.open(address, options=_LOCAL_OPTIONS)
    scheme = address.partition("://")[0]
    return av.open(address, options=_REMOTE_OPTIONS.get(scheme, {}), timeout=timeout_s)


class StreamSource(Source):
    """A video file or network stream through FFmpeg."""

    def __init__(
        self,
        address: str,
        path: Path | None,
        start_s: float,
        end_s: float | None,
        max_frames: int | None,
        timeout_s: float | None,
    ) -> None:
        """Open and decode up to the first frame. Raises ``SourceError``."""
        self.address, self.path = address, path
        self.name = shown_name(path or address)
        self.start_s, self._end_s, self._most = start_s, end_s, max_frames
        self.trimmed = start_s > 0 or end_s is not None or max_frames is not None
        try:
            self._container = open_container(address, timeout_s)
        except (OSError, av.error.FFmpegError, ValueError) as error:
            # Neither the error's text nor its chain: both hold the address, password included.
            raise SourceError(f"{self.name}: {_reason(error, path is None, timeout_s)}") from None
        try:
            self._prepare()
        except BaseException:
            self._container.close()
            raise

    def _prepare(self) -> None:
        container = self._container
        duration_s = (container.duration or 0) / av.time_base
        self.live = self.path is None and not duration_s
        self._stream = self._open_stream()
        self.time_base = self._stream.time_base or Fraction(1, 90_000)
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.fps = float(rate) if rate else 25.0
        # Streams of a broadcast begin anywhere, shortly before their clock starts anew below 0; a clip whose
        # sound alone begins a little before 0 does not.
        first_s = float((self._stream.start_time or 0) * self.time_base)
        self.begin_s = max(min(0.0, first_s), (container.start_time or 0) / av.time_base)
        self.frames = self._expected(duration_s)
        self._go_to_start()
        if self._first is None:
            if self.start_s > 0 and duration_s:
                lasts = f"it lasts {duration_s:.3g} s"
                raise SourceError(f"{self.name}: no frame lies between start and end; {lasts}")
            raise SourceError(f"{self.name}: no frame can be decoded; check the file in a player")
        picture = self._first[0]
        self.rotation = round(-picture.rotation / 90) * 90 % 360
        self._coded = (picture.width, picture.height)
        on_side = self.rotation in (90, 270)
        self.width, self.height = self._coded[::-1] if on_side else self._coded
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        self.pixel_aspect = 1 / aspect if on_side else aspect

    def _open_stream(self) -> VideoStream:
        stream = self._choose_stream()
        # No more threads than help: each holds pictures.
        stream.codec_context.thread_count = min(4, os.cpu_count() or 1)
        # Threads by frames hold back as many pictures as there are threads, which a live one cannot wait for.
        stream.thread_type = "SLICE" if self.live else "AUTO"
        return stream

    def _choose_stream(self) -> VideoStream:
        """The first video stream that is not the cover of a piece of music."""
        for stream in self._container.streams.video:
            if not stream.disposition & Disposition.attached_pic:
                return stream
        kinds = sorted({stream.type for stream in self._container.streams})
        raise SourceError(
            f"{self.name}: no video stream (only {' and '.join(kinds) or 'an empty container'}); "
            "give a file with a picture"
        )

    def _expected(self, duration_s: float) -> int | None:
        """About how many frames there will be."""
        total = self._stream.frames or round(duration_s * self.fps)
        if not total:
            return self._most
        if self._end_s is not None:
            total = min(total, round(self._end_s * self.fps))
        total = max(1, total - round(self.start_s * self.fps))
        return total if self._most is None else min(total, self._most)

    def _go_to_start(self) -> None:
        """Decode up to the first picture from the start on.

        Without an index, as in transport streams, a seek ends at any packet and pictures come from the next
        key frame on: later than the start, or never. Then it is tried from ever farther before.
        """
        for back_s in _SEEK_BACK_S:
            seeks = self.start_s > 0 and self._seek(back_s)
            self._clock = Clock(self.time_base, self._stream.start_time or 0)
            self._packets, self.lost, self._came_before = 0, 0, False
            self._pictures = self._decoded()
            self._first = next(self._pictures, None)
            late = self._first is None or self._first[2] > self.start_s + 1 / self.fps
            if self._came_before or not late or not seeks:
                break

    def _seek(self, back_s: float) -> bool:
        """Go to the key frame so far before the start; a stream that cannot is read from where it is."""
        if back_s == math.inf and self.path is not None:
            # A seek to the beginning may lead past the first key frame as well.
            self._container.close()
            self._container = open_container(f"file:{self.path}")
            self._stream = self._open_stream()
            return True
        target = int((max(0.0, self.start_s - back_s) + self.begin_s) / self.time_base)
        try:
            self._container.seek(target, stream=self._stream)
        except (OSError, OverflowError, av.error.FFmpegError):
            return False
        return True

    def _decoded(self) -> Iterator[tuple[VideoFrame, int, float]]:
        """Sound pictures from the start on, with pts and time; damaged ones are counted and left out."""
        half = float(self.time_base) / 2
        for picture in self._all_pictures():
            pts = self._pts(picture)
            time_s = float(pts * self.time_base) - self.begin_s
            if time_s < self.start_s - half:
                self._came_before = True
                self.lost = 0  # what was damaged before the start is nobody's loss
            elif picture.is_corrupt:
                self.lost += 1
            else:
                yield picture, pts, time_s

    def _all_pictures(self) -> Iterator[VideoFrame]:
        """Whatever the decoder gives, the end of the file flushed out of it."""
        packets, failures = self._container.demux(self._stream), 0
        while failures < _MOST_READ_FAILURES:
            try:
                packet = next(packets, None)
            except (OSError, av.error.FFmpegError) as error:
                if self.path is None:
                    raise SourceError(f"{self.name}: the stream broke off: {_words(error)}") from None
                failures += 1
                packets = self._container.demux(self._stream)
                continue
            if packet is None:
                break
            failures = 0
            self._packets += packet.size > 0
            try:
                yield from packet.decode()
            except (OSError, av.error.FFmpegError):
                self.lost += 1
        if not self.trimmed:
            # The index of a truncated file still lists what is gone.
            self.lost += max(0, len(self._stream.index_entries) - self._packets)

    def _pts(self, picture: VideoFrame) -> int:
        """The picture's time, made to increase."""
        pts = picture.pts if picture.pts is not None else picture.dts
        return self._clock.after(pts, max(1, round(1 / (self.fps * self.time_base))))

    def __iter__(self) -> Iterator[Frame]:
        """The frames. Raises ``SourceError`` when a network stream breaks off."""
        index, item = 0, self._first
        self._first = None
        while item is not None:
            picture, pts, time_s = item
            if self._end_s is not None and time_s >= self._end_s - float(self.time_base) / 2:
                break
            yield Frame(self._upright(picture), index, time_s, pts)
            index += 1
            if self._most is not None and index >= self._most:
                break
            item = next(self._pictures, None)
        self.ended = True

    def _upright(self, picture: VideoFrame) -> np.ndarray:
        """RGB of the first frame's size, whatever the stream changes to on its way."""
        space = picture.colorspace
        if space == _UNSPECIFIED:
            space = Colorspace.ITU709 if min(self._coded) >= 720 else Colorspace.ITU601
        rgb = picture.reformat(
            *self._coded,
            format="rgb24",
            src_colorspace=space,
            src_color_range=picture.color_range or ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        ).to_ndarray()
        return cv2.rotate(rgb, _TURNS[self.rotation]) if self.rotation else rgb

    def close(self) -> None:
        """Close the file or connection."""
        self._first = None
        self._pictures = iter(())
        self._container.close()


def _words(error: Exception) -> str:
    """What the system says, without the address that PyAV appends."""
    return getattr(error, "strerror", None) or type(error).__name__


def _reason(error: Exception, remote: bool, timeout_s: float | None) -> str:
    """Why a container does not open, and what to do."""
    if remote and isinstance(error, (av.error.ExitError, av.error.TimeoutError)):
        return f"no answer within {timeout_s:g} s; check the address and the network"
    if remote:
        return f"cannot be opened: {_words(error)}; check the address and the network"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    return (
        f"not a video that can be read ({_words(error)}): damaged, cut off or of another kind; "
        "check the file in a player"
    )
