"""Where to look: around the previous landmarks, and now and then in the whole frame for somebody new.

A box is a row ``(centre x, centre y, side, roll)`` as in ``engines.crop``. Landmark boxes have the longer
side of the landmarks' extent; a crop is ``crop_scale`` times as large.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from engines.engine import MissingCapability
from engines.skeleton import FACE68, Skeleton
from tracker.config import TrackerSettings
from tracker.match import Subject, overlaps

# The longer side of the picture that is searched, in pixels: a face of a tenth of it is still found.
_SEARCH_SIDE = 320
_SMALLEST_FACE = 24
# Cascade square (x, y, w) to landmark box: centre x and y from the corner and side, in units of w; fitted to
# labelled photographs, the frontal one on 810, the profile (which looks to the left) on 437 hits.
_FRONTAL = (0.505, 0.645, 0.90)
_PROFILE = (0.41, 0.64, 0.81)
# Ratio of consecutive sizes searched. The fine one finds 93 of 100 photographed faces, the coarse one 83 at
# half the cost, and has another chance a few frames later.
_FINE, _COARSE = 1.1, 1.2
# Which way to look in consecutive searches: one cascade each, as all three take 130 ms of a processor.
_ROUND = ("frontal", "profile", "frontal", "mirrored profile")
# Crops tried by the centred search, in units of the frame's shorter side.
_CENTRED = (1.0, 0.75)
# A frame is taken for a picture of one face when it is at most this large and this far from square.
_PORTRAIT_SIDE = 640
_PORTRAIT_ASPECT = 1.34
# Crops turn with a head only as far as it leans further than this: the models are trained with that much,
# and a crop that followed every measured degree would also follow a model's bias, frame after frame.
_FREE_ROLL = np.radians(15)
_MOST_ROLL = np.radians(60)
# Eyes closer than this, in units of the box, belong to a profile: their line says nothing about roll.
_LEAST_EYE_DISTANCE = 0.15
# How much of a newly measured side and roll is believed: a size does not jump, and half the jitter goes.
_BELIEF = 0.5


class Detector(Protocol):
    """Finds subjects in a whole frame."""

    def __call__(self, image: np.ndarray, thorough: bool) -> np.ndarray:
        """Landmark boxes ``(N, 4)`` float32, best first, in ``image`` (H, W, 3) uint8 RGB; N may be 0.

        ``thorough`` spares no effort; without it a search may look for one kind of view at a time.
        """
        ...


class HaarFaces:
    """OpenCV's frontal and profile face cascades on a reduced picture."""

    def __init__(self) -> None:
        """Load the cascades. Raises ``MissingCapability`` where this OpenCV has none."""
        self._frontal = _cascade("haarcascade_frontalface_default.xml")
        self._profile = _cascade("haarcascade_profileface.xml")
        self._searches = 0

    def __call__(self, image: np.ndarray, thorough: bool = True) -> np.ndarray:
        """See ``Detector``. A thorough search stops at the first kind of view that shows a face."""
        height, width = image.shape[:2]
        scale = min(1.0, _SEARCH_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        views = dict.fromkeys(_ROUND) if thorough else (_ROUND[self._searches % len(_ROUND)],)
        self._searches += 1
        boxes = np.empty((0, 4), np.float32)
        for view in views:
            boxes = self._look(small, view, _FINE if thorough else _COARSE)
            if len(boxes):
                break
        # The pixel centres of the reduced picture lie between those of the frame.
        boxes[:, :2] = (boxes[:, :2] + 0.5) / scale - 0.5
        boxes[:, 2] /= scale
        return boxes

    def _look(self, gray: np.ndarray, view: str, steps: float) -> np.ndarray:
        mirrored = view == "mirrored profile"
        cascade, shape = (self._frontal, _FRONTAL) if view == "frontal" else (self._profile, _PROFILE)
        squares = cascade.detectMultiScale(
            cv2.flip(gray, 1) if mirrored else gray,
            scaleFactor=steps,
            minNeighbors=4,
            minSize=(_SMALLEST_FACE, _SMALLEST_FACE),
        )
        found = np.asarray(squares, np.float32).reshape(-1, 4)
        x, y, side = found[:, 0] + shape[0] * found[:, 2], found[:, 1] + shape[1] * found[:, 2], found[:, 2]
        if mirrored:
            x = gray.shape[1] - 1 - x
        boxes = np.stack([x, y, shape[2] * side, np.zeros_like(side)], axis=1)
        return np.asarray(boxes[np.argsort(-side)], np.float32)


def _cascade(name: str) -> cv2.CascadeClassifier:
    folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
    if folder is None or not hasattr(cv2, "CascadeClassifier") or not (Path(folder) / name).exists():
        raise MissingCapability(
            f"OpenCV {cv2.__version__} has no face cascades: pip install 'opencv-python>=4.12,<5', "
            "or choose --detector center"
        )
    return cv2.CascadeClassifier(str(Path(folder) / name))


class Centred:
    """Supposes one subject in the middle of the frame, at two sizes; the score says whether it is so."""

    def __init__(self, crop_scale: float) -> None:
        self._crop_scale = crop_scale

    def __call__(self, image: np.ndarray, thorough: bool = True) -> np.ndarray:
        """See ``Detector``."""
        height, width = image.shape[:2]
        side = min(height, width) / self._crop_scale
        rows = [((width - 1) / 2, (height - 1) / 2, side * share, 0.0) for share in _CENTRED]
        return np.array(rows, np.float32)


class FacesOrPortrait:
    """The cascades and, where they find nothing in a small picture like a portrait, its middle."""

    def __init__(self, crop_scale: float) -> None:
        self._faces, self._centred = HaarFaces(), Centred(crop_scale)

    def __call__(self, image: np.ndarray, thorough: bool = True) -> np.ndarray:
        """See ``Detector``."""
        boxes = self._faces(image, thorough)
        sides = sorted(image.shape[:2])
        portrait = sides[1] <= _PORTRAIT_SIDE and sides[1] <= _PORTRAIT_ASPECT * sides[0]
        return boxes if len(boxes) or not thorough or not portrait else self._centred(image)


def make_detector(name: str, skeleton: Skeleton, crop_scale: float) -> Detector:
    """The detector called ``name``; ``auto`` is the best there is for the skeleton.

    Raises ``ValueError`` for a detector that does not find such subjects, ``MissingCapability``
    where this OpenCV lacks it.
    """
    faces = skeleton.name == FACE68.name
    if name == "haar" and not faces:
        raise ValueError(f"detector 'haar' finds faces, not {skeleton.name}; choose auto or center")
    if name == "haar":
        return HaarFaces()
    if name == "auto" and faces:
        return FacesOrPortrait(crop_scale)
    return Centred(crop_scale)


class Locator:
    """Crops of the next frame: one around every subject, then those of a search when one is due."""

    def __init__(
        self, detector: Detector, skeleton: Skeleton, crop_scale: float, settings: TrackerSettings
    ) -> None:
        self._detector, self._crop_scale, self._settings = detector, crop_scale, settings
        # Heads have an upright that crops can be turned to; bodies lie down and must be seen doing so.
        self._eyes = tuple(
            [index for index, joint in enumerate(skeleton.joints) if joint.startswith(side)]
            for side in ("left_eye", "right_eye")
        )
        self._since_search = 0
        self._searches = 0

    def __call__(self, image: np.ndarray, subjects: Sequence[Subject]) -> np.ndarray:
        """Crop boxes ``(N, 4)`` float32 in ``image``; those of the subjects come first, in their order."""
        for subject in subjects:
            if subject.seen:
                subject.crop = self._follow(subject)
        boxes = [subject.crop for subject in subjects]
        seen = [subject for subject in subjects if subject.seen]
        self._since_search += 1
        if not seen or (
            len(seen) < self._settings.max_subjects and self._since_search >= self._settings.detect_every
        ):
            boxes += self._search(image, seen)
        return np.array(boxes, np.float32).reshape(-1, 4)

    def _search(self, image: np.ndarray, seen: list[Subject]) -> list[np.ndarray]:
        """Crop boxes of a search, without those of subjects that are followed already."""
        # The first search, and one in detect_every while nobody is there, leaves nothing untried.
        thorough = not seen and self._searches % self._settings.detect_every == 0
        self._since_search, self._searches = 0, self._searches + 1
        found = self._detector(image, thorough)
        found[:, 2] *= self._crop_scale
        crops = [subject.crop for subject in seen]
        return [box for box in found if not any(overlaps(box, crop) for crop in crops)]

    def _follow(self, subject: Subject) -> np.ndarray:
        """The crop around the landmarks of the frame before, turned so that the head leans little in it."""
        previous = subject.crop
        roll = float(previous[3])
        if all(self._eyes):
            left, right = (subject.xy[eye].mean(axis=0) for eye in self._eyes)
            across = right - left
            if np.hypot(*across) > _LEAST_EYE_DISTANCE * previous[2] / self._crop_scale:
                lean = float(np.clip(np.arctan2(across[1], across[0]), -_MOST_ROLL, _MOST_ROLL))
                wanted = np.sign(lean) * max(0.0, abs(lean) - _FREE_ROLL)
                roll += _BELIEF * (float(wanted) - roll)
        turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        level = subject.xy @ turn  # the landmarks turned by -roll
        low, high = level.min(axis=0), level.max(axis=0)
        centre = turn @ ((low + high) / 2)
        side = max(float((high - low).max()), 1.0) * self._crop_scale
        side = float(previous[2]) + _BELIEF * (side - float(previous[2]))
        return np.array([*centre, side, roll], np.float32)
