"""Stand-ins for what is slow or needs a device: an engine, sources, sinks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from engines.engine import Points
from engines.skeleton import FACE68, Skeleton
from tracker.feed import Source
from tracker.sinks import PartFile
from tracker.values import Frame, Result

# Joints as a fraction of the landmark box, centred on 0: its longer side is exactly 1.
SHAPE = np.stack([np.cos(np.arange(68) * 0.7) * 0.4, np.linspace(-0.5, 0.5, 68)], axis=1)


class FakeEngine:
    """Finds bright discs: the landmarks are ``SHAPE`` around the brightness's centre, sized by its area.

    The subject's score is 0.9 where there is a disc and 0.1 where there is none.
    """

    skeleton: Skeleton = FACE68
    input_size = 32
    crop_scale = 1.5
    runtime = "fake"
    precision = "fp32"
    describe = "fake"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, crops: np.ndarray) -> Points:
        self.calls.append(len(crops))
        xy = np.zeros((len(crops), 68, 2), np.float32)
        subject = np.full(len(crops), 0.1, np.float32)
        for number, crop in enumerate(crops):
            ys, xs = np.nonzero(crop[..., 1] > 128)
            xy[number] = SHAPE * 20 + 15.5
            if len(xs) >= 12:
                side = 2 * np.sqrt(len(xs) / np.pi)
                xy[number] = SHAPE * side + (xs.mean(), ys.mean())
                subject[number] = 0.9
        return Points(xy, np.full((len(crops), 68), 0.8, np.float32), subject)

    def close(self) -> None:
        """Nothing is held."""


def disc_frame(
    discs: list[tuple[float, float, float]],
    index: int = 0,
    size: tuple[int, int] = (320, 240),
    fps: float = 25,
) -> Frame:
    """A frame with bright discs (centre x, centre y, diameter) for ``FakeEngine``."""
    ys, xs = np.mgrid[: size[1], : size[0]]
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y, diameter in discs:
        image[np.hypot(xs - x, ys - y) <= diameter / 2] = (160, 230, 160)
    return Frame(image, index, index / fps, index)


class FakeSource(Source):
    """Frames out of a function; ``count`` None for without end."""

    name = "fake"
    width, height = 32, 24
    fps = 25.0
    time_base = Fraction(1, 25)

    def __init__(self, count: int | None, before: Callable[[int], None] = lambda index: None) -> None:
        self.count, self.frames, self._before = count, count, before

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while self.count is None or index < self.count:
            self._before(index)
            yield Frame(
                np.full((self.height, self.width, 3), index % 256, np.uint8), index, index / 25, index
            )
            index += 1
        self.ended = True


class ListSink(PartFile):
    """Remembers the indices of the frames it was given."""

    def __init__(self, folder: Path, before: Callable[[int], None] = lambda index: None) -> None:
        super().__init__(folder / "list.txt")
        self.indices: list[int] = []
        self._before = before

    def write(self, result: Result) -> None:
        self._before(result.frame.index)
        self.indices.append(result.frame.index)

    def finish(self) -> None:
        self.part.write_text(str(self.indices))


class FakeCamera(FakeSource):
    """A live source that shows a bright disc in its left half, ``every_s`` apart."""

    name = "fake camera"
    width, height = 160, 120
    live = True

    def __init__(
        self,
        count: int | None = None,
        before: Callable[[int], None] = lambda index: None,
        every_s: float = 0.01,
    ) -> None:
        super().__init__(count, before)
        self._every_s = every_s
        self._image = disc_frame([(60, 60, 50)], size=(160, 120)).image
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while self.count is None or index < self.count:
            time.sleep(self._every_s)
            self._before(index)
            yield Frame(self._image, index, index * self._every_s, index)
            index += 1
        self.ended = True

    def close(self) -> None:
        self.closed = True
