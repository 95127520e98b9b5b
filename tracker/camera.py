"""Cameras: which there are, and one as a source."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from engines.engine import MissingCapability
from tracker.feed import CameraError, Source, SourceError
from tracker.opencv import silent_opencv
from tracker.values import Frame

_TICKS = 90_000
# What USB 2 carries uncompressed at 30 frames a second; cameras send more only as Motion JPEG.
_MOST_RAW_PIXELS = 640 * 480


@dataclass(frozen=True)
class Camera:
    """A camera of this machine: what opens it, and what it calls itself."""

    index: int
    name: str


@dataclass(frozen=True)
class CameraRequest:
    """What is asked of a camera; it gives what it can. None leaves the choice to the camera."""

    size: tuple[int, int] | None = None  # width, height
    fps: float | None = None


def find_cameras() -> list[Camera]:
    """The cameras that are plugged in now, by their index; none of them is opened."""
    import cv2_enumerate_cameras as listed

    # One system lists a camera once for every way to read it.
    ways = (cv2.CAP_V4L2, cv2.CAP_MSMF, cv2.CAP_AVFOUNDATION)
    way = next((each for each in ways if each in listed.supported_backends), cv2.CAP_ANY)
    found = {each.index: Camera(each.index, each.name) for each in listed.enumerate_cameras(way)}
    return [found[index] for index in sorted(found)]


def camera_called(name: str) -> Camera | None:
    """The camera of that name, or the only one with it in its name; upper and lower case are alike.

    Raises ``SourceError`` where it fits several.
    """
    cameras, wanted = find_cameras(), name.casefold()
    for each in cameras:
        if each.name.casefold() == wanted:
            return each
    alike = [each for each in cameras if wanted in each.name.casefold()]
    if len(alike) > 1:
        names = ", ".join(f"{each.index} {each.name}" for each in alike)
        raise SourceError(f"{name}: several cameras are called so ({names}); give the index")
    return alike[0] if alike else None


class CameraSource(Source):
    """Frames of a camera, timed when they arrive."""

    time_base = Fraction(1, _TICKS)
    live = True

    def __init__(
        self,
        index: int,
        max_frames: int | None = None,
        end_s: float | None = None,
        name: str | None = None,
        request: CameraRequest | None = None,
        start_s: float = 0.0,
    ) -> None:
        """Limits as ``open_source`` has them; their clock starts with the first picture that is asked for.

        Raises ``MissingCapability`` when it does not open or gives no picture.
        """
        self.name = name or f"camera {index}"
        self.start_s, self._end_s, self._most = start_s, end_s, max_frames
        self.trimmed = start_s > 0 or end_s is not None or max_frames is not None
        with silent_opencv():
            self._device = cv2.VideoCapture(index)
            self._ask(request or CameraRequest())
            image = self._read()
        if image is None:
            self._device.release()
            raise MissingCapability(
                f"{self.name} does not open: not there, or used by another program; "
                "close that program or choose another (`kptrack cameras` lists them)"
            )
        self._image = image
        self.height, self.width = image.shape[:2]
        fps = self._device.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and fps > 0 else 30.0  # some drivers do not know

    def _ask(self, request: CameraRequest) -> None:
        """Ask for size and rate; OpenCV takes the nearest that there is, or none, without a word."""
        if request.size is not None:
            width, height = request.size
            if width * height > _MOST_RAW_PIXELS:
                self._device.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            self._device.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            self._device.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if request.fps is not None:
            self._device.set(cv2.CAP_PROP_FPS, request.fps)

    def _read(self) -> np.ndarray | None:
        """The next picture (H, W, 3) BGR; some drivers say that there is one and give none."""
        got, image = self._device.read()
        return image if got else None

    def __iter__(self) -> Iterator[Frame]:
        """Frames until a limit. Raises ``CameraError`` when the camera stops giving pictures."""
        begin, index, pts = time.monotonic(), 0, -1
        while True:
            now_s = time.monotonic() - begin
            if self._end_s is not None and now_s >= self._end_s:
                break
            pts = max(pts + 1, round(now_s * _TICKS))
            if now_s >= self.start_s:
                yield Frame(cv2.cvtColor(self._image, cv2.COLOR_BGR2RGB), index, now_s, pts)
                index += 1
            if index == self._most:
                break
            image = self._read()
            if image is None:
                raise CameraError(f"{self.name}: no more pictures; unplugged, or taken by another program")
            self._image = image
        self.ended = True

    def close(self) -> None:
        """Release the device."""
        self._device.release()
