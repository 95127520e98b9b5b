"""A camera, by its index."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np

from engines.engine import MissingCapability
from tracker.feed import CameraError, Source
from tracker.values import Frame

_TICKS = 90_000


class CameraSource(Source):
    """Frames of a camera, timed when they arrive."""

    time_base = Fraction(1, _TICKS)
    live = True

    def __init__(self, index: int, max_frames: int | None, duration_s: float | None) -> None:
        """Raises ``MissingCapability`` when it does not open or gives no picture."""
        self.name = f"camera {index}"
        self._most, self._duration_s = max_frames, duration_s
        # OpenCV writes a page about its back ends where there is no camera.
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            self._device = cv2.VideoCapture(index)
            got, image = self._device.read()
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not got:
            self._device.release()
            raise MissingCapability(
                f"{self.name} does not open: not there, or used by another program; "
                "close that program or choose another index"
            )
        self._image: np.ndarray = image
        self.height, self.width = image.shape[:2]
        self.fps = self._device.get(cv2.CAP_PROP_FPS) or 30.0

    def __iter__(self) -> Iterator[Frame]:
        """Frames until it is closed. Raises ``CameraError`` when the camera stops giving pictures."""
        begin, index, pts = time.monotonic(), 0, -1
        while self._most is None or index < self._most:
            now_s = time.monotonic() - begin
            if self._duration_s is not None and now_s > self._duration_s:
                return
            pts = max(pts + 1, round(now_s * _TICKS))
            yield Frame(cv2.cvtColor(self._image, cv2.COLOR_BGR2RGB), index, now_s, pts)
            index += 1
            got, self._image = self._device.read()
            if not got:
                raise CameraError(f"{self.name}: no more pictures; unplugged, or taken by another program")

    def close(self) -> None:
        """Release the device."""
        self._device.release()
