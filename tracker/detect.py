"""Finding subjects in a whole frame: the learned finder, OpenCV's cascades and its people detector.

And, where none of them knows any better, the supposition that somebody is in the middle.

Boxes are landmark boxes as in ``engines.crop``: rows ``(centre x, centre y, side, roll)``, the side the
longer one of the landmarks' extent.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from engines.engine import MissingCapability
from engines.finder import KINDS, Finder
from engines.skeleton import CAT_HEAD, FACE68, HUMAN, Skeleton

# The longer side of the picture that is searched, in pixels: a face of a tenth of it is still found.
_SEARCH_SIDE = 320
_SMALLEST = 24
# Ratio of consecutive sizes searched. The fine one finds 93 of 100 photographed faces, the coarse one 83 at
# half the cost, and has another chance a few frames later.
_FINE, _COARSE = 1.1, 1.2
# HOG sees people from 96 px in the picture that it searches: small pictures are enlarged for it.
_HOG_SIDE = 400
_HOG_MOST_ENLARGED = 2.5
_HOG_WINDOW = (128, 64)  # height, width
_HOG_FINE, _HOG_COARSE = 1.05, 1.12
# From its window (x, y, h) to the landmark box, in units of h: fitted to 157 people in unlabelled pictures
# whose silhouettes stand out against plain walls.
_HOG_SHAPE = (0.24, 0.488, 0.72)
# Crops tried by the centred search, in units of the frame's shorter side.
_CENTRED = (1.0, 0.75)
# A frame is taken for a picture of one face when it is at most this large and this far from square.
_PORTRAIT_SIDE = 640
_PORTRAIT_ASPECT = 1.34


@dataclass(frozen=True)
class View:
    """One way that a subject may look, and the cascade that finds it.

    ``shape`` leads from the cascade's square (x, y, w) to the landmark box: its centre from the corner, and
    its side, in units of w. ``mirrored``: the picture is searched as its mirror image.
    """

    cascade: str
    shape: tuple[float, float, float]
    mirrored: bool = False


# Fitted to labelled photographs, 810 of frontal faces and 437 in profile (which look to the left).
_FRONTAL = View("haarcascade_frontalface_default.xml", (0.505, 0.645, 0.90))
_PROFILE = View("haarcascade_profileface.xml", (0.41, 0.64, 0.81))
# Fitted to 358 unlabelled pictures that were cut around the head.
_CAT = View("haarcascade_frontalcatface_extended.xml", (0.506, 0.213, 1.263))

# Which way to look in consecutive searches: one view each, as all of a face take 130 ms of a processor.
_ROUNDS = {
    FACE68.name: (_FRONTAL, _PROFILE, _FRONTAL, View(_PROFILE.cascade, _PROFILE.shape, mirrored=True)),
    CAT_HEAD.name: (_CAT,),
}

# The best one for each kind of subject: training/NOTES.md has the figures beside those of haar and hog.
_BEST = {FACE68.name: "learned", CAT_HEAD.name: "learned", HUMAN.name: "learned"}


# What the others find; the middle of a frame may show anything.
_FINDS: dict[str, Collection[str]] = {"haar": _ROUNDS.keys(), "hog": (HUMAN.name,), "learned": KINDS}


class Detector(Protocol):
    """Finds subjects in a whole frame."""

    def __call__(self, image: np.ndarray, thorough: bool) -> np.ndarray:
        """Landmark boxes ``(N, 4)`` float32, best first, in ``image`` (H, W, 3) uint8 RGB; N may be 0.

        ``thorough`` spares no effort; without it a search may look for one kind of view at a time.
        """
        ...


class Haar:
    """OpenCV's cascades on a reduced picture: faces from the front and the side, heads of cats."""

    def __init__(self, skeleton: Skeleton) -> None:
        """Load the cascades. Raises ``ValueError`` where there is none for such subjects.

        ``MissingCapability`` where this OpenCV has none at all.
        """
        check_detector("haar", skeleton)
        self._round = _ROUNDS[skeleton.name]
        self._cascades = {view: _cascade(view.cascade) for view in self._round}
        self._searches = 0

    def __call__(self, image: np.ndarray, thorough: bool = True) -> np.ndarray:
        """See ``Detector``. A thorough search stops at the first view that shows somebody."""
        scale = min(1.0, _SEARCH_SIDE / max(image.shape[:2]))
        small = _grey(image, scale)
        views = dict.fromkeys(self._round) if thorough else (self._round[self._searches % len(self._round)],)
        self._searches += 1
        boxes = np.empty((0, 4), np.float32)
        for view in views:
            boxes = self._look(small, view, _FINE if thorough else _COARSE)
            if len(boxes):
                break
        return _in_frame(boxes, scale)

    def _look(self, gray: np.ndarray, view: View, steps: float) -> np.ndarray:
        squares = self._cascades[view].detectMultiScale(
            cv2.flip(gray, 1) if view.mirrored else gray,
            scaleFactor=steps,
            minNeighbors=4,
            minSize=(_SMALLEST, _SMALLEST),
        )
        found = np.asarray(squares, np.float32).reshape(-1, 4)
        across, down, longer = view.shape
        x, y, side = found[:, 0] + across * found[:, 2], found[:, 1] + down * found[:, 2], found[:, 2]
        if view.mirrored:
            x = gray.shape[1] - 1 - x
        boxes = np.stack([x, y, longer * side, np.zeros_like(side)], axis=1)
        return np.asarray(boxes[np.argsort(-side)], np.float32)


def _grey(image: np.ndarray, scale: float) -> np.ndarray:
    """``image`` ``(H, W, 3)`` uint8 RGB in grey and ``scale`` times as large."""
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.cvtColor(cv2.resize(image, size, interpolation=how), cv2.COLOR_RGB2GRAY))


def _in_frame(boxes: np.ndarray, scale: float) -> np.ndarray:
    """Boxes ``(N, 4)`` of a picture ``scale`` times as large as the frame, in pixels of the frame."""
    # The pixel centres of the one lie between those of the other.
    boxes[:, :2] = (boxes[:, :2] + 0.5) / scale - 0.5
    boxes[:, 2] /= scale
    return boxes


def _cascade(name: str) -> cv2.CascadeClassifier:
    folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
    if folder is None or not hasattr(cv2, "CascadeClassifier") or not (Path(folder) / name).exists():
        raise MissingCapability(
            f"OpenCV {cv2.__version__} has no cascade {name}: pip install 'opencv-python>=4.12,<5', "
            "or choose --detector center"
        )
    return cv2.CascadeClassifier(str(Path(folder) / name))


class Hog:
    """OpenCV's people detector: whole people, upright, on a reduced picture."""

    def __init__(self, skeleton: Skeleton) -> None:
        """Load it. Raises ``ValueError`` for other subjects, ``MissingCapability`` where OpenCV has none."""
        check_detector("hog", skeleton)
        if not hasattr(cv2, "HOGDescriptor"):
            raise MissingCapability(
                f"OpenCV {cv2.__version__} has no people detector: pip install 'opencv-python>=4.12,<5', "
                "or choose --detector learned"
            )
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.array(cv2.HOGDescriptor.getDefaultPeopleDetector()))

    def __call__(self, image: np.ndarray, thorough: bool = True) -> np.ndarray:
        """See ``Detector``."""
        scale = min(_HOG_MOST_ENLARGED, _HOG_SIDE / max(image.shape[:2]))
        small = _grey(image, scale)
        # OpenCV reads and writes beyond a picture that is smaller than its window.
        beyond = [max(0, least - side) for least, side in zip(_HOG_WINDOW, small.shape, strict=True)]
        small = cv2.copyMakeBorder(small, 0, beyond[0], 0, beyond[1], cv2.BORDER_REPLICATE)
        steps = _HOG_FINE if thorough else _HOG_COARSE
        windows, sure = self._hog.detectMultiScale(small, winStride=(8, 8), padding=(16, 16), scale=steps)
        found = np.asarray(windows, np.float32).reshape(-1, 4)[np.argsort(-np.ravel(sure))]
        across, down, longer = _HOG_SHAPE
        tall = found[:, 3]
        x, y = found[:, 0] + across * tall, found[:, 1] + down * tall
        return _in_frame(np.stack([x, y, longer * tall, np.zeros_like(tall)], axis=1), scale)


class Learned:
    """The finder that was learned from unlabelled pictures: faces, people, heads of cats."""

    def __init__(self, skeleton: Skeleton) -> None:
        """Load it. Raises ``ValueError`` for other subjects and where its file is missing or damaged."""
        check_detector("learned", skeleton)
        self._finder = Finder(skeleton.name)

    def __call__(self, image: np.ndarray, thorough: bool = True) -> np.ndarray:
        """See ``Detector``; every search is thorough."""
        return self._finder(image)[0]


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


class OrPortrait:
    """A detector and, where it finds nothing in a small picture like a portrait, the picture's middle."""

    def __init__(self, detector: Detector, crop_scale: float) -> None:
        self.detector, self._centred = detector, Centred(crop_scale)

    def __call__(self, image: np.ndarray, thorough: bool = True) -> np.ndarray:
        """See ``Detector``."""
        boxes = self.detector(image, thorough)
        sides = sorted(image.shape[:2])
        portrait = sides[1] <= _PORTRAIT_SIDE and sides[1] <= _PORTRAIT_ASPECT * sides[0]
        return boxes if len(boxes) or not thorough or not portrait else self._centred(image)


def best_detector(skeleton: Skeleton) -> str:
    """Name of the detector that finds such subjects best, without any fallback; ``center`` if none does."""
    return _BEST.get(skeleton.name, "center")


def make_detector(name: str, skeleton: Skeleton, crop_scale: float) -> Detector:
    """The detector called ``name``; ``auto`` is the best for the skeleton, or else the middle of a portrait.

    Raises ``ValueError`` for a detector that does not find such subjects, ``MissingCapability``
    where this OpenCV lacks it.
    """
    if name == "auto" and skeleton.name in _BEST:
        return OrPortrait(make_detector(_BEST[skeleton.name], skeleton, crop_scale), crop_scale)
    if name == "haar":
        return Haar(skeleton)
    if name == "hog":
        return Hog(skeleton)
    return Learned(skeleton) if name == "learned" else Centred(crop_scale)


def check_detector(name: str, skeleton: Skeleton) -> None:
    """Raises ``ValueError`` for a detector that does not find such subjects; it loads nothing."""
    if skeleton.name not in _FINDS.get(name, (skeleton.name,)):
        raise ValueError(f"detector '{name}' does not find {skeleton.name}; choose auto or center")
