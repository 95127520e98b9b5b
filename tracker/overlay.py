"""How landmarks look on a picture: the one definition, for screen and file alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracker.values import Result

PARTS = ("points", "edges", "ids", "boxes")


@dataclass(frozen=True)
class Overlay:
    """What is drawn: ``parts`` of ``PARTS`` (may be empty); joints below ``min_score`` are faded."""

    parts: tuple[str, ...] = ("points", "edges", "ids")
    black_background: bool = False
    min_score: float = 0.5


def draw(result: Result, overlay: Overlay) -> np.ndarray:
    """A copy of the frame ``(H, W, 3)`` uint8 RGB with the subjects drawn on it."""
    raise NotImplementedError
