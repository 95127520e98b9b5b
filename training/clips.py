"""Frames of whole clips to learn finding from, labelled by nobody but the models themselves.

A finder says where somebody may be, and the landmark model looks there. Where its drawing and its landmarks
agree, somebody is there, and the landmarks say where better than the finder could.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engines import crop
from engines.engine import Engine, open_engine
from engines.finder import KINDS, Finder, FinderModel, overlap
from engines.model import load_model, shipped_models
from engines.skeleton import CAT_HEAD
from training.collage import taken, warped
from training.scenes import FOLDERS, Scene

_EVERY = 5  # frames
_STORED_SIDE = 480  # px: frames are kept no larger
_WORTH_A_LOOK = 0.15  # score of the finder
_LOOKS = 2
# Subject score of the landmarks from which on somebody is there; and below which, as the finder's score,
# nobody is. In between nobody knows.
_SURE, _DOUBTFUL = 0.7, 0.3
# Where there are no landmarks of such subjects: the finder's own score, if it finds the same before or after.
_SURE_ALONE, _SAME_IOU = 0.5, 0.5
_ZOOM = 1.35  # how much larger or smaller than the scene a frame may be


@dataclass(frozen=True)
class _Labelled:
    """A frame and, by kind, boxes ``(N, 3)`` of who is there and of what may be somebody."""

    image: np.ndarray
    boxes: dict[str, np.ndarray]
    doubtful: dict[str, np.ndarray]


class Clips:
    """Whole clips in which a finder and the shipped landmark models have found the subjects.

    Of clips in a folder of faces, people or cats, named as those of pictures, only that kind is believed:
    a mark on a wall that looks like a cat does so in every frame. People may be about anywhere, cats not.
    """

    def __init__(self, files: Sequence[Path], finder: FinderModel) -> None:
        """Look through all of them. Raises ``ValueError`` for one that cannot be read."""
        engines = _engines()
        self._names = [path.stem for path in files]
        self._clips = [_labelled(_frames(path), finder, engines, _believed(path)) for path in files]

    def describe(self) -> str:
        """How much there is and what was found in it, in a line."""
        parts = []
        for name, frames in zip(self._names, self._clips, strict=True):
            counts = {kind: sum(len(each.boxes[kind]) for each in frames) for kind in KINDS}
            found = ", ".join(f"{count} of {kind}" for kind, count in counts.items() if count) or "nobody"
            parts.append(f"{name} ({len(frames)} frames: {found})")
        return "; ".join(parts)

    def scene(self, rng: np.random.Generator, width: int, height: int) -> Scene:
        """A frame, or nearly all of one, as a scene of that size."""
        frames = self._clips[rng.integers(len(self._clips))]
        chosen = frames[rng.integers(len(frames))]
        rows, columns = chosen.image.shape[:2]
        scale = min(width / columns, height / rows) * float(np.exp(rng.uniform(-1, 1) * np.log(_ZOOM)))
        mirrored = -1.0 if rng.random() < 0.5 else 1.0
        spare = np.array([width, height]) - scale * np.array([columns, rows])
        middle = np.array([width - 1, height - 1]) / 2 + rng.uniform(-0.5, 0.5, 2) * spare
        turn = scale * np.diag([mirrored, 1.0])
        warp = np.column_stack([turn, middle - turn @ [(columns - 1) / 2, (rows - 1) / 2]])
        image = warped(chosen.image, warp, width, height, cv2.BORDER_REPLICATE)
        boxes: dict[str, list[np.ndarray]] = {}
        ignored: dict[str, list[np.ndarray]] = {}
        for kind in KINDS:
            moved, unsure = (_moved(each[kind], warp, scale) for each in (chosen.boxes, chosen.doubtful))
            inside = [_inside(each, width, height) for each in moved]
            boxes[kind] = [each for each, whole in zip(moved, inside, strict=True) if whole]
            ignored[kind] = unsure + [each for each, whole in zip(moved, inside, strict=True) if not whole]
        return Scene(taken(image, rng), boxes, ignored)


def _engines() -> dict[str, Engine]:
    """A landmark engine of every kind that there is a shipped model of."""
    engines: dict[str, Engine] = {}
    for path in shipped_models().values():
        model = load_model(path)
        if model.skeleton.name not in engines:
            engines[model.skeleton.name] = open_engine(model, runtime="eager", device="cpu")
    return engines


def _frames(path: Path) -> list[np.ndarray]:
    """Every so many frames of a clip, ``(H, W, 3)`` uint8 RGB. Raises ``ValueError`` where there is none."""
    video = cv2.VideoCapture(str(path))
    frames = []
    number = 0
    while video.grab():
        if number % _EVERY == 0:
            whole, image = video.retrieve()
            if whole:
                share = min(1.0, _STORED_SIDE / max(image.shape[:2]))
                small = cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
                frames.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
        number += 1
    if not frames:
        raise ValueError(f"{path} is missing or no video")
    return frames


def _believed(path: Path) -> set[str]:
    """The kinds that may be learned from a clip in this place."""
    return {kind for kind, folder in FOLDERS.items() if folder == path.parent.name} or set(KINDS)


def _labelled(
    frames: list[np.ndarray], finder: FinderModel, engines: dict[str, Engine], believed: set[str]
) -> list[_Labelled]:
    sure: dict[str, list[np.ndarray]] = {}
    doubtful: dict[str, list[np.ndarray]] = {}
    for kind in KINDS:
        look = Finder(kind, finder)
        candidates = [look(image, _WORTH_A_LOOK) for image in frames]
        if kind in engines:
            pairs = zip(frames, candidates, strict=True)
            found = [_looked_at(image, *candidate, engines[kind]) for image, candidate in pairs]
        else:
            found = _steady(candidates)
        if kind not in believed:
            nobody = np.empty((0, 3))
            cats = kind == CAT_HEAD.name
            found = [(nobody, nobody if cats else np.concatenate(pair)) for pair in found]
        sure[kind], doubtful[kind] = (list(column) for column in zip(*found, strict=True))
    return [
        _Labelled(
            image,
            {kind: sure[kind][number] for kind in KINDS},
            {kind: doubtful[kind][number] for kind in KINDS},
        )
        for number, image in enumerate(frames)
    ]


def _looked_at(
    image: np.ndarray, candidates: np.ndarray, scores: np.ndarray, engine: Engine
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes ``(N, 3)`` of the landmarks of those who are there, and candidates of whom one may doubt it."""
    boxes, score = candidates, np.zeros(len(candidates))
    for _ in range(_LOOKS):
        if len(boxes):
            crops = boxes * [1, 1, engine.crop_scale, 1]
            points = engine(crop.cut(image, crops, engine.input_size))
            boxes = crop.landmark_boxes(crop.to_frame(points.xy, crops, engine.input_size), 1.0)
            score = points.subject_score
    sure: list[np.ndarray] = []
    for row in np.argsort(-score):
        if score[row] >= _SURE and not any(overlap(boxes[row], each) > _SAME_IOU for each in sure):
            sure.append(boxes[row, :3])
    # One of the two believes it: a landmark model, too, has seen only a part of the world.
    doubtful = (score < _SURE) & ((score >= _DOUBTFUL) | (scores >= _DOUBTFUL))
    return np.array(sure).reshape(-1, 3), candidates[doubtful, :3]


def _steady(candidates: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same from a finder alone: sure is who is found again in the frame before or after."""
    found = []
    for number, (boxes, scores) in enumerate(candidates):
        around = [candidates[other][0] for other in (number - 1, number + 1) if 0 <= other < len(candidates)]
        again = np.array(
            [any(overlap(box, other) > _SAME_IOU for others in around for other in others) for box in boxes],
            bool,
        )
        sure = again & (scores >= _SURE_ALONE)
        found.append((boxes[sure, :3], boxes[~sure, :3]))
    return found


def _moved(boxes: np.ndarray, warp: np.ndarray, scale: float) -> list[np.ndarray]:
    return [np.array([*(warp[:, :2] @ box[:2] + warp[:, 2]), box[2] * scale]) for box in boxes]


def _inside(box: np.ndarray, width: int, height: int) -> bool:
    """Whether most of a box is in the picture."""
    reach = 0.3 * box[2]
    return bool(reach <= box[0] <= width - 1 - reach and reach <= box[1] <= height - 1 - reach)
