"""Pictures without a subject, of which Φ learns to draw nothing.

Every picture that the discriminator judges has one. A drawer that has seen no others finds somebody
anywhere, and draws him as surely, so that no score can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from engines import crop
from training.augment import random_colours
from training.index import read_picture
from training.processes import ALONE, Processes
from training.puppets import backdrops

_MOST = 2000  # pictures kept in memory, evenly from all
_BACKDROPS = 0.25  # the share that are walls, floors and pieces of these pictures, as behind puppets


class Negatives:
    """Crops without end of pictures without a subject; a batch depends on the seed and its number alone."""

    def __init__(self, folders: Sequence[Path], seed: int) -> None:
        """Every ``*.jpg`` and ``*.png`` below ``folders``.

        Raises ``ValueError`` when one of them has none, or a picture cannot be read.
        """
        found = [path for folder in folders for path in _pictures_below(folder)]
        self._images = [read_picture(path) for path in found[:: -(-len(found) // _MOST)]]
        self._seed = seed

    def batch(self, number: int, count: int, size: int, processes: Processes = ALONE) -> np.ndarray:
        """Crops ``(count, size, size, 3)`` uint8; of several ``processes`` each gets its share."""
        return np.stack(
            [
                self._one(size, np.random.default_rng([self._seed, number, 3, index]))
                for index in processes.share(range(count))
            ]
        )

    def _one(self, size: int, rng: np.random.Generator) -> np.ndarray:
        if rng.random() < _BACKDROPS:
            image = backdrops.background(size, self._images, rng)
        else:
            picture = self._images[rng.integers(len(self._images))]
            height, width = picture.shape[:2]
            middle = np.array([width - 1, height - 1]) * rng.uniform(0.2, 0.8, 2)
            side = max(height, width) * rng.uniform(0.3, 1.3)
            box = np.array([[*middle, side, np.deg2rad(rng.normal(0, 10))]])
            image = crop.cut(picture, box, size)[0]
            image = image[:, ::-1] if rng.random() < 0.5 else image
        image = backdrops.lit(image, rng)
        if rng.random() < 0.3:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2))
        return cv2.LUT(np.ascontiguousarray(image), random_colours(rng)[None])


def _pictures_below(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not found:
        raise ValueError(f"--negatives {folder}: no *.jpg or *.png there")
    return found
