"""Left and right of a body, kept from frame to frame: one picture in which it turns away may confuse them."""

from __future__ import annotations

import numpy as np

from engines.skeleton import Skeleton

# Names are doubted when the exchanged ones lie so much nearer to those of the frame before, and by so much
# of the subject's size: arms that cross in front of a body do not do that.
_NEARER, _LEAST = 0.5, 0.03
_PATIENCE_S = 0.4  # after which the model is believed: the body has turned, or was named wrongly before


class Sides:
    """Of one subject: whether this frame's landmarks are to be renamed as their mirror image is."""

    def __init__(self, skeleton: Skeleton) -> None:
        self._order = skeleton.mirror
        self._paired = np.flatnonzero(self._order != np.arange(len(self._order)))
        self._doubted_s: float | None = None

    def order(self, before: np.ndarray, xy: np.ndarray, time_s: float) -> np.ndarray:
        """Which of ``xy`` ``(K, 2)`` each joint is, ``(K,)``, given those of the frame ``before``."""
        same = np.arange(len(self._order))
        size = float((before.max(axis=0) - before.min(axis=0)).max())
        kept, exchanged = (
            float(np.linalg.norm(each[self._paired] - before[self._paired], axis=1).mean())
            for each in (xy, xy[self._order])
        )
        if exchanged > _NEARER * kept or kept - exchanged < _LEAST * size:
            self._doubted_s = None
            return same
        if self._doubted_s is None:
            self._doubted_s = time_s
        if time_s - self._doubted_s < _PATIENCE_S:
            return self._order
        self._doubted_s = None
        return same
