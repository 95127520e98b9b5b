"""What a student learns from: crops with the landmarks that its teacher finds, and crops that hold none.

The teacher sees the whole picture to its advantage: crops around what it has found at a first look, a
little moved, turned and mirrored, whose answers are averaged. The student sees one crop, badly placed and
ill lit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from engines import crop
from engines.engine import Engine
from engines.render import normalise
from engines.skeleton import SKELETONS
from training import checkpoint
from training.augment import jittered_boxes, random_colours
from training.config import DistillConfig, Jitter
from training.evaluate import unit_lengths
from training.stored import StoredSet

_BATCH = 32
_SAY_EVERY = 16 * _BATCH
_FIRST_LOOK = Jitter(0.0, 0.0, 0.0)
_NEXT_LOOKS = Jitter(0.05, 0.03, 5.0)
_FARTHEST, _LARGEST = 0.5, 1.7  # of the second look from the first: shift in sides, ratio of the sides


@dataclass(frozen=True)
class Answers:
    """What a teacher finds in the N pictures of a set, in their pixels.

    ``points`` ``(N, K, 2)``, and ``spread`` ``(N, K)``: how far its answers in different crops lie from
    their mean.
    """

    points: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Lesson:
    """A batch: ``image`` ``(B, S, S, 3)`` uint8 and whether a subject is ``present`` ``(B,)``, 1 or 0.

    Of those that are: ``points`` ``(B, K, 2)`` and their ``spread`` ``(B, K)``, normalised, and ``unit``
    ``(B,)``, the subject's unit of length in the same measure.
    """

    image: Tensor
    present: Tensor
    points: Tensor
    spread: Tensor
    unit: Tensor


def ask(
    teacher: Engine,
    pictures: StoredSet,
    looks: int,
    rng: np.random.Generator,
    more: Callable[[int], bool],
) -> Answers | None:
    """What it finds in every picture, by ``looks`` crops and their mirror images.

    ``more`` hears how many pictures are done, and says whether to go on; None when it does not.
    """
    points, spread = [], []
    for first in range(0, len(pictures.images), _BATCH):
        if not more(first):
            return None
        images = pictures.images[first : first + _BATCH]
        x, y, side = pictures.boxes[first : first + _BATCH].T
        boxes = np.stack([x, y, side * teacher.crop_scale, 0 * side], 1)
        found = _look(teacher, images, boxes, _FIRST_LOOK, rng).mean(0)
        boxes = _near(crop.landmark_boxes(found, teacher.crop_scale).astype(np.float64), boxes)
        every = np.concatenate([_look(teacher, images, boxes, _NEXT_LOOKS, rng) for _ in range(looks)])
        points.append(every.mean(0))
        spread.append(np.linalg.norm(every - points[-1], axis=-1).mean(0))
    return Answers(np.concatenate(points), np.concatenate(spread))


def _near(boxes: np.ndarray, start: np.ndarray) -> np.ndarray:
    """``boxes`` ``(N, 4)``, but no farther from those to start from than a subject that was found can be."""
    side = start[:, 2:3]
    centre = start[:, :2] + np.clip(boxes[:, :2] - start[:, :2], -_FARTHEST * side, _FARTHEST * side)
    return np.hstack([centre, np.clip(boxes[:, 2:3], side / _LARGEST, side * _LARGEST), boxes[:, 3:]])


def _look(
    teacher: Engine, images: list[np.ndarray], boxes: np.ndarray, jitter: Jitter, rng: np.random.Generator
) -> np.ndarray:
    """Points ``(2, B, K, 2)`` in pixels of ``images``, from crops near ``boxes`` and from mirrored ones."""
    size = teacher.input_size
    boxes = jittered_boxes(boxes, jitter, rng)
    crops = np.concatenate([crop.cut(image, box, size) for image, box in zip(images, boxes, strict=True)])
    straight = teacher(crops).xy
    mirrored = teacher.skeleton.flip(teacher(np.ascontiguousarray(crops[:, :, ::-1])).xy, size)
    return np.stack([crop.to_frame(each, boxes, size) for each in (straight, mirrored)])


def answers(
    path: Path,
    sets: list[StoredSet],
    teacher: Engine,
    digest: str,
    config: DistillConfig,
    stopping: Callable[[], bool],
    say: Callable[[str], None],
) -> list[Answers] | None:
    """Those in ``path`` and, of sets that it does not hold yet, the ``teacher``'s, stored there set by set.

    None when stopped before the end. Raises ``ValueError`` when what is stored is of another teacher, by
    its ``digest``, or of other pictures, ``OSError`` when the disk refuses.
    """
    found = _stored(path, sets, digest, config)
    total = sum(len(each.images) for each in sets)
    for number in range(len(found), len(sets)):
        before = sum(len(each.points) for each in found)

        def more(done: int, before: int = before) -> bool:
            if done % _SAY_EVERY == 0:
                say(f"{before + done} of {total} pictures shown to the teacher")
            return not stopping()

        here = ask(teacher, sets[number], config.looks, np.random.default_rng([config.seed, number]), more)
        if here is None:
            return None
        found.append(here)
        columns = {
            name: [torch.from_numpy(getattr(each, name)) for each in found] for name in ("points", "spread")
        }
        checkpoint.save(path, config, {"teacher": digest, **columns})
    return found


def _stored(path: Path, sets: list[StoredSet], digest: str, config: DistillConfig) -> list[Answers]:
    """What ``path`` holds of the first ``sets``."""
    if not path.exists():
        return []
    stored = checkpoint.load(path, config)
    if stored["teacher"] != digest:
        raise ValueError(f"{path} holds the answers of another teacher: choose another --out")
    counts = [len(each.images) for each in sets[: len(stored["points"])]]
    if [len(each) for each in stored["points"]] != counts:
        raise ValueError(f"{path} is of other pictures: choose another --out")
    pairs = zip(stored["points"], stored["spread"], strict=True)
    return [Answers(points.numpy(), spread.numpy()) for points, spread in pairs]


class Lessons:
    """Sets with the teacher's answers; a batch depends on the seed and its number alone."""

    def __init__(self, sets: list[StoredSet], taught: list[Answers], config: DistillConfig) -> None:
        self._sets, self._taught, self._config = sets, taught, config
        self._skeleton, self._size = SKELETONS[config.skeleton], config.network.input_size
        weights = np.array([config.set_weights.get(each.name, 1.0 / len(sets)) for each in sets])
        self._weights = weights / weights.sum()

    def batch(self, number: int, size: int | None = None, clean: bool = False) -> Lesson:
        """Batch ``number``; ``clean``: every crop well placed and undisturbed, with a subject."""
        rng = np.random.default_rng([self._config.seed, number, clean])
        samples = [self._sample(rng, clean) for _ in range(size or self._config.batch)]
        images, present, points, spread, unit = (
            torch.from_numpy(np.stack(column)) for column in zip(*samples, strict=True)
        )
        return Lesson(images, present, points, spread, unit)

    def _sample(self, rng: np.random.Generator, clean: bool) -> tuple[np.ndarray, ...]:
        config, size = self._config, self._size
        picture, points, spread = self._picture(rng)
        box = crop.landmark_boxes(points[None], config.crop_scale).astype(np.float64)
        present = clean or rng.random() >= config.absent
        if not present:
            image = self._without(picture, box[0], rng)
        else:
            far = not clean and rng.random() < config.far_share
            box = jittered_boxes(box, config.far if far else config.near, rng)
            image = crop.cut(picture, box, size)[0]
        points = crop.to_crop(points[None], box, size)[0]
        spread = spread * (2 / (size - 1) * size / box[0, 2])
        if rng.random() < 0.5:
            image, points = image[:, ::-1], self._skeleton.flip(points, size)
            spread = spread[self._skeleton.mirror]
        if not clean:
            image = disturbed(image, self._patch(rng), rng)
        points = normalise(torch.from_numpy(points), size).numpy()
        unit = unit_lengths(points[None], self._skeleton)[0]
        rest = (np.array(each, np.float32) for each in (present, points, spread, unit))
        return np.ascontiguousarray(image), *rest

    def _picture(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A picture with its points ``(K, 2)`` and their spread ``(K,)``: each clip of a set as often."""
        number = rng.choice(len(self._sets), p=self._weights)
        chosen, taught = self._sets[number], self._taught[number]
        frame = int(rng.choice(chosen.clips[rng.integers(len(chosen.clips))]))
        return chosen.images[frame], taught.points[frame], taught.spread[frame]

    def _patch(self, rng: np.random.Generator) -> np.ndarray:
        """A crop of anything, to hide something behind."""
        picture, *_ = self._picture(rng)
        return crop.cut(picture, _anywhere(picture, rng)[None], self._size)[0]

    def _without(self, picture: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A crop ``(S, S, 3)`` in which nobody could find the subject of ``box`` ``(4,)``."""
        size, (x, y, side, _) = self._size, box
        kind = rng.integers(6)
        if kind == 0:  # beside it
            angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.1)
            box = np.array([x + away * side * np.cos(angle), y + away * side * np.sin(angle), side, 0])
            box[2] *= rng.uniform(0.5, 1.2)
        elif kind == 1:  # a part of it
            box = np.array(
                [*(box[:2] + side * rng.uniform(-0.25, 0.25, 2)), side * rng.uniform(0.12, 0.35), 0]
            )
        elif kind == 2:  # far away
            box = np.array([*(box[:2] + side * rng.uniform(-0.5, 0.5, 2)), side * rng.uniform(2.5, 5), 0])
        elif kind == 3:  # turned away from what any finder gives
            box = np.array([x, y, side, rng.uniform(0.5, 1.5) * np.pi])
        elif kind == 4:  # its pieces, in another order
            pieces = int(rng.choice([2, 4]))
            return _shuffled(crop.cut(picture, box[None], size)[0], pieces, rng)
        else:  # what is around it, or no picture at all
            box = _beside(picture, box, rng)
            if rng.random() < 0.3:
                coarse = rng.integers(0, 256, (int(rng.integers(2, 9)), int(rng.integers(2, 9)), 3), np.uint8)
                return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
        return crop.cut(picture, box[None], size)[0]


def _anywhere(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = picture.shape[:2]
    side = min(height, width) * rng.uniform(0.1, 0.5)
    return np.array([rng.uniform(0, width - 1), rng.uniform(0, height - 1), side, rng.uniform(-3, 3)])


def _beside(picture: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A small box in a corner or at an edge of the picture, as far from the subject's as may be."""
    tries = np.stack([_anywhere(picture, rng) for _ in range(8)])
    return tries[np.abs(tries[:, :2] - box[:2]).max(1).argmax()]


def _shuffled(image: np.ndarray, pieces: int, rng: np.random.Generator) -> np.ndarray:
    step = image.shape[0] // pieces
    tiles = image[: step * pieces, : step * pieces].reshape(pieces, step, pieces, step, 3).swapaxes(1, 2)
    order = rng.permutation(pieces * pieces)
    if np.array_equal(order, np.arange(len(order))):
        order = order[::-1]
    mixed = tiles.reshape(-1, step, step, 3)[order].reshape(pieces, pieces, step, step, 3)
    return cv2.resize(
        np.ascontiguousarray(mixed.swapaxes(1, 2).reshape(step * pieces, step * pieces, 3)),
        image.shape[1::-1],
    )


def disturbed(image: np.ndarray, patch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``image`` ``(S, S, 3)`` uint8 as a bad camera would have taken it, perhaps partly behind ``patch``."""
    size = image.shape[0]
    image = cv2.LUT(np.ascontiguousarray(image), random_colours(rng)[None])
    if rng.random() < 0.2:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    if rng.random() < 0.3:  # light from one side
        slope = rng.uniform(-0.5, 0.5, 2)
        line = np.linspace(-1, 1, size)
        ramp = 1 + slope[0] * line[None, :, None] + slope[1] * line[:, None, None]
        image = np.clip(image * ramp, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        high, wide = (size * rng.uniform(0.1, 0.5, 2)).astype(int) + 1
        top, left = rng.integers(0, size - high + 1), rng.integers(0, size - wide + 1)
        image[top : top + high, left : left + wide] = patch[:high, :wide]
    if rng.random() < 0.35:
        if rng.random() < 0.5:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6))
        else:
            small = int(size * rng.uniform(0.3, 0.8))
            image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
            image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.3:
        noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(2, 14)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))])
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return image
