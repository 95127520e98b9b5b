"""What travels between the parts: frozen values over arrays, their shapes checked where they are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.skeleton import Skeleton


def _require(array: np.ndarray, shape: tuple[int | None, ...], what: str) -> None:
    """Refuse an array of another shape; ``None`` stands for any length."""
    if array.ndim != len(shape) or any(
        want not in (None, have) for want, have in zip(shape, array.shape, strict=True)
    ):
        wanted = ", ".join("*" if each is None else str(each) for each in shape)
        raise ValueError(f"{what}: shape {array.shape} is not ({wanted})")


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source, upright.

    ``image`` ``(H, W, 3)`` uint8 RGB, made read-only here; ``index`` counts the delivered frames from 0;
    ``time_s`` is the source's clock, 0 where the source begins (not where it was trimmed to);
    ``pts`` is the exact time in units of the source's ``time_base``, as the source wrote it.
    """

    image: np.ndarray
    index: int
    time_s: float
    pts: int

    def __post_init__(self) -> None:
        """Check the picture once and close it to writing."""
        _require(self.image, (None, None, 3), "frame")
        if self.image.dtype != np.uint8:
            raise ValueError(f"frame: {self.image.dtype} is not uint8")
        self.image.setflags(write=False)


@dataclass(frozen=True, eq=False)
class Landmarks:
    """K joints in frame pixels: ``xy`` smoothed, ``xy_raw`` as inferred, both ``(K, 2)`` float32.

    ``score`` ``(K,)`` float32 from 0 to 1; a missing joint has score 0 and finite coordinates.
    """

    xy: np.ndarray
    xy_raw: np.ndarray
    score: np.ndarray

    def __post_init__(self) -> None:
        """Check the shapes once."""
        count = len(self.score)
        _require(self.xy, (count, 2), "landmarks")
        _require(self.xy_raw, (count, 2), "raw landmarks")
        _require(self.score, (count,), "landmark scores")


@dataclass(frozen=True, eq=False)
class Track:
    """One subject in one frame.

    ``id`` counts from 1 and never comes back for another subject; ``box`` ``(4,)`` float32 is
    x1, y1, x2, y2 of the smoothed landmarks' extent in frame pixels; ``subject_score`` 0 to 1.
    """

    id: int
    box: np.ndarray
    landmarks: Landmarks
    subject_score: float

    def __post_init__(self) -> None:
        """Check the box once."""
        _require(self.box, (4,), "track box")


@dataclass(frozen=True, eq=False)
class Result:
    """A frame with the subjects found in it; ``skeleton`` names their joints and edges."""

    frame: Frame
    tracks: tuple[Track, ...]
    skeleton: Skeleton


# The skeleton of a result that no model made.
NOBODY = Skeleton("none", (), (), ())
