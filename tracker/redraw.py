"""A picture drawn again, its landmarks moved or its appearance another's: KeypointGAN, figures 2 and 1.

>>> redrawer = Redrawer(open_engine("face"), Painter(load_decoder(decoder_beside("face"))))
>>> portrait = redrawer.find(picture)
>>> moved = portrait.xy.copy()
>>> moved[joints_called(redrawer.skeleton, "left_brow")] -= (0, 4)
>>> edited = redrawer.redraw(portrait, moved)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from engines.crop import cut, to_crop, to_frame
from engines.decoder import Painter
from engines.engine import Engine
from engines.skeleton import Skeleton
from tracker.config import TrackerSettings
from tracker.detect import Centred, make_detector
from tracker.feed import SourceError
from tracker.locate import Locator
from tracker.match import Candidates, Subject, distinct, extents, sizes
from tracker.paste import as_bytes, corners, paste
from tracker.smooth import unsmoothed

# What a result can be: the picture with its subject redrawn and its own detail kept (``tracker.paste``); with
# the subject as the decoder draws it; or only that, a square.
RESULTS = ("detailed", "redrawn", "square")
# Looks at a subject, each in the crop around the landmarks of the one before, as over the frames of a video.
_LOOKS = 4


class NoSubjectError(SourceError):
    """There is nobody in a picture whom the model knows."""


@dataclass(frozen=True, eq=False)
class Portrait:
    """A picture with its subject, ready to be drawn again.

    ``image`` ``(H, W, 3)`` uint8 RGB; ``xy`` ``(K, 2)`` float32 as found, in its pixels; ``score`` ``(K,)``;
    ``box`` ``(4,)``: the square that is redrawn, as in ``engines.crop``; ``appearance`` ``(S, S, 3)`` uint8:
    what is in it; ``unmoved`` ``(S, S, 3)`` float32: how the decoder draws that, nothing moved.
    """

    skeleton: Skeleton
    image: np.ndarray
    xy: np.ndarray
    score: np.ndarray
    box: np.ndarray
    appearance: np.ndarray
    unmoved: np.ndarray

    @property
    def corners(self) -> np.ndarray:
        """Corners of the square ``(4, 2)`` in order around it, in pixels of the picture."""
        return corners(self.box)

    def keep_inside(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks ``(K, 2)`` within what can be redrawn, and which of them ``(K,)`` had left it.

        That is the part of the square that is in the picture. Those that were found further out may stay.
        """
        height, width = self.image.shape[:2]
        size = len(self.appearance)
        found = to_crop(self.xy[None], self.box[None], size)[0]
        inside = to_crop(xy[None], self.box[None], size)[0]
        inside = np.clip(inside, np.minimum(found, 0), np.maximum(found, size - 1))
        kept = to_frame(inside[None], self.box[None], size)[0]
        low, high = np.zeros(2), np.array([width - 1, height - 1])
        kept = np.clip(kept, np.minimum(self.xy, low), np.maximum(self.xy, high))
        left = np.abs(kept - xy).max(axis=1) > 1e-3 * self.box[2]
        return np.where(left[:, None], kept, xy).astype(np.float32), left


class Redrawer:
    """Finds the subject of a picture and draws it again. Not for two threads at once."""

    def __init__(self, engine: Engine, painter: Painter, settings: TrackerSettings | None = None) -> None:
        """Raises ``ValueError`` for a decoder of another skeleton, else as ``Tracker`` does."""
        if engine.skeleton != painter.skeleton:
            raise ValueError(
                f"the decoder draws {painter.skeleton.name}, the landmark model finds {engine.skeleton.name}"
            )
        self.skeleton, self.size = engine.skeleton, painter.input_size
        self._engine, self._painter = engine, painter
        self._settings = replace(settings or TrackerSettings(), max_subjects=1)
        self._detector = make_detector(self._settings.detector, engine.skeleton, engine.crop_scale)

    def find(self, image: np.ndarray, name: str = "picture") -> Portrait:
        """The largest subject of a picture ``(H, W, 3)`` uint8 RGB.

        Where none is detected, the whole picture may be one. Raises ``NoSubjectError``, which calls the
        picture ``name``.
        """
        engine = self._engine
        locate = Locator(self._detector, engine.skeleton, engine.crop_scale, self._settings)
        found = self._good(image, locate(image, []))
        if not len(found.xy):
            whole = Centred(engine.crop_scale)(image)
            whole[:, 2] *= engine.crop_scale
            found = self._good(image, whole)
        if not len(found.xy):
            raise NoSubjectError(
                f"{name}: no subject was found; choose a picture that shows it larger, or a lower --min-score"
            )
        best = int(np.argmax(sizes(extents(found.xy))))
        subject = Subject(
            id=1,
            xy=found.xy[best],
            score=found.score[best],
            subject_score=float(found.subject_score[best]),
            crop=found.crops[best],
            smooth=unsmoothed,
            seen_s=0.0,
        )
        for _ in range(_LOOKS - 1):
            again = self._look(image, locate(image, [subject]))
            subject.xy, subject.score, subject.crop = again.xy[0], again.score[0], again.crops[0]
        box = locate(image, [subject])[0]
        box[2] *= self._painter.crop_scale / engine.crop_scale
        appearance = cut(image, box[None], self.size)
        unmoved = self._painter(to_crop(subject.xy[None], box[None], self.size), appearance)
        return Portrait(self.skeleton, image, subject.xy, subject.score, box, appearance[0], unmoved[0])

    def _look(self, image: np.ndarray, boxes: np.ndarray) -> Candidates:
        size = self._engine.input_size
        points = self._engine(cut(image, boxes, size))
        return Candidates(to_frame(points.xy, boxes, size), points.score, points.subject_score, boxes)

    def _good(self, image: np.ndarray, boxes: np.ndarray) -> Candidates:
        return distinct(self._look(image, boxes), self._settings.min_score)

    def redraw(
        self, portrait: Portrait, xy: np.ndarray, style: Portrait | None = None, result: str | None = None
    ) -> np.ndarray:
        """The picture, or a square of it, ``(H, W, 3)`` uint8 RGB, with its landmarks at ``xy`` ``(K, 2)``.

        With a ``style`` the appearance is that one's. ``result`` is one of ``RESULTS``, if not as in
        ``default_result``. Raises ``ValueError`` for another, and for a style with the picture's detail.
        """
        result = result or default_result(style is not None)
        if result not in RESULTS:
            raise ValueError(f"result {result!r} is not one of {', '.join(RESULTS)}")
        if result == "detailed" and style is not None:
            raise ValueError("result 'detailed' keeps the picture's own detail: with a style, choose another")
        appearance = portrait.appearance if style is None else style.appearance
        points = to_crop(np.asarray(xy, np.float32)[None], portrait.box[None], self.size)
        square = self._painter(points, appearance[None])[0]
        if result == "square":
            side = max(self.size, round(float(portrait.box[2])))
            return as_bytes(cv2.resize(square, (side, side), interpolation=cv2.INTER_CUBIC))
        before = to_crop(portrait.xy[None], portrait.box[None], self.size)[0]
        unmoved = portrait.unmoved if result == "detailed" else None
        return paste(portrait.image, portrait.box, before, points[0], square, unmoved)


def default_result(styled: bool) -> str:
    """What a result is unless somebody asks for another: the detail of a picture does not suit a style."""
    return "square" if styled else "detailed"
