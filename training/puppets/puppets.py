"""Puppets in batches: placed like crops, drawn, and photographed as a bad camera would."""

from __future__ import annotations

import cv2
import numpy as np

from engines.skeleton import CAT_HEAD, FACE68, HUMAN, Skeleton
from training.augment import crop_maps, jittered_boxes, random_colours
from training.config import Jitter
from training.processes import ALONE, Processes
from training.puppets import backdrops
from training.puppets.cat import Cat
from training.puppets.face import Face
from training.puppets.person import Person

_FINER = 2  # drawn so much larger than the crop, then averaged
_PLACED = Jitter(scale=0.12, shift=0.06, roll=8.0)
_ACCOMPANIED = 0.25  # the share of people behind whom somebody else is
_SKINS = np.array([(241, 205, 178), (224, 172, 138), (190, 132, 98), (141, 89, 60), (92, 58, 41)], np.float64)


class Puppets:
    """Puppets without end, each with its pose; a batch depends on the seed and its number alone."""

    def __init__(
        self,
        poses: np.ndarray,
        skeleton: Skeleton,
        crop_scale: float,
        seed: int,
        weights: np.ndarray | None = None,
    ) -> None:
        """``poses`` ``(N, K, 2)``, or of people ``(N, K, 3)`` as ``projection.project`` gives them.

        Each is in its own box, and drawn as often as ``weights`` ``(N,)``, which add up to 1, say: by
        default alike. Raises ``ValueError`` for a skeleton of which nothing is drawn here.
        """
        if skeleton.name not in (HUMAN.name, FACE68.name, CAT_HEAD.name):
            raise ValueError(f"there are no puppets of {skeleton.name}")
        self._poses, self._weights, self._skeleton = poses, weights, skeleton
        self._crop_scale, self._seed = crop_scale, seed

    def batch(
        self, number: int, count: int, size: int, scenes: list[np.ndarray], processes: Processes = ALONE
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pictures ``(count, size, size, 3)`` uint8 and poses ``(count, K, 2)`` float32, normalised.

        ``scenes`` are pictures whose left and right edges serve as backgrounds. Of several ``processes``
        each gets its share.
        """
        drawn = [
            self._one(size, scenes, np.random.default_rng([self._seed, number, 1, index]))
            for index in processes.share(range(count))
        ]
        return np.stack([image for image, _ in drawn]), np.stack([pose for _, pose in drawn])

    def _one(
        self, size: int, scenes: list[np.ndarray], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        fine = size * _FINER
        canvas = backdrops.background(fine, scenes, rng)
        if self._skeleton.name == HUMAN.name and rng.random() < _ACCOMPANIED:
            points, _ = self._placed(size, _companion(rng) * self._crop_scale, rng)
            canvas = backdrops.together(canvas, *self._draw(fine, points, rng), rng)
        points, normalised = self._placed(size, np.zeros(2), rng)
        figure, mask = self._draw(fine, points, rng)
        if scenes and rng.random() < 0.4:
            figure = backdrops.patterned(figure, scenes[rng.integers(len(scenes))], rng)
        canvas = backdrops.together(canvas, figure, mask, rng)
        canvas = backdrops.lit(canvas, rng)
        if rng.random() < 0.7:
            canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 2.2))
        image = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
        image = image + rng.normal(0, rng.uniform(0, 8), image.shape)
        image = cv2.LUT(np.clip(image, 0, 255).astype(np.uint8), random_colours(rng)[None])
        if rng.random() < 0.15:
            image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
        return image.astype(np.uint8), normalised.astype(np.float32)

    def _placed(
        self, size: int, shift: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """A pose, moved by ``shift``: in pixels of the finer drawing, with its depth, and normalised."""
        pose = self._poses[rng.choice(len(self._poses), p=self._weights)].astype(np.float64)
        box = jittered_boxes(np.array([[*-shift, self._crop_scale, 0.0]]), _PLACED, rng)
        to_crop = np.linalg.inv(crop_maps(box, size)[0].astype(np.float64))
        normalised = pose[:, :2] @ to_crop[:2, :2].T + to_crop[:2, 2]
        pixels = (normalised + 1) * ((size - 1) / 2) * _FINER + (_FINER - 1) / 2
        return np.hstack([pixels, pose[:, 2:] * (size * _FINER / box[0, 2])]), normalised

    def _draw(self, size: int, points: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if self._skeleton.name == CAT_HEAD.name:
            return Cat(size, points, rng).draw()
        skin = np.clip(_SKINS[rng.integers(len(_SKINS))] * np.exp(0.1 * rng.standard_normal(3)), 0, 255)
        kind = Face if self._skeleton.name == FACE68.name else Person
        return kind(size, points, skin, rng).draw()


def _companion(rng: np.random.Generator) -> np.ndarray:
    """How far from the person another one is, in sides of the crop: beside it, now and then half hidden."""
    return np.array([rng.uniform(0.3, 0.8) * rng.choice((-1.0, 1.0)), rng.uniform(-0.2, 0.1)])
