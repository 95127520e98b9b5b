"""Who is who: this frame's landmarks to the subjects of the frames before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from tracker.sides import Sides
from tracker.smooth import Smoother

# Costs are half (1 - IoU) and half landmark distance in subject sizes. Beyond this it is somebody else:
# boxes that do not touch, or half of one apart.
_MOST_COST = 0.75
# Two sets of landmarks this close, in subject sizes, or boxes this much in common, are one subject.
_SAME_DISTANCE = 0.25
_SAME_IOU = 0.55
# A subject fills its crop but for the margin. Landmarks that fill less than this share of what they should
# are drawn on nothing: the crop that follows them would shrink, frame by frame, to a point.
_LEAST_FILLED = 0.5


@dataclass(eq=False)
class Subject:
    """What the tracker remembers of a subject; the only state that changes from frame to frame."""

    id: int
    xy: np.ndarray  # (K, 2) last landmarks that were accepted, raw, frame pixels
    score: np.ndarray  # (K,)
    subject_score: float
    crop: np.ndarray  # (4,) centre x, centre y, side, roll: where the landmarks came from
    smooth: Smoother = field(repr=False)
    seen_s: float  # when it was last seen
    seen: bool = True  # in the latest frame
    sides: Sides | None = None  # of a body, which may turn away; faces and heads have none


@dataclass(frozen=True, eq=False)
class Candidates:
    """Landmarks of N crops."""

    xy: np.ndarray  # (N, K, 2) frame pixels
    score: np.ndarray  # (N, K)
    subject_score: np.ndarray  # (N,)
    crops: np.ndarray  # (N, 4) centre x, centre y, side, roll

    def pick(self, rows: Sequence[int] | np.ndarray) -> Candidates:
        """Some of them, in the order of ``rows``."""
        chosen = np.asarray(rows, int)
        return Candidates(self.xy[chosen], self.score[chosen], self.subject_score[chosen], self.crops[chosen])


def extents(xy: np.ndarray) -> np.ndarray:
    """Boxes ``(N, 4)`` x1, y1, x2, y2 of landmarks ``(N, K, 2)``."""
    return np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)


def sizes(boxes: np.ndarray) -> np.ndarray:
    """Longer sides ``(N,)`` of boxes ``(N, 4)`` x1, y1, x2, y2, at least one pixel."""
    return np.asarray(np.maximum((boxes[:, 2:] - boxes[:, :2]).max(axis=1), 1.0))


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union ``(N, M)`` of boxes ``(N, 4)`` and ``(M, 4)``, each x1, y1, x2, y2."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(each[:, 2:] - each[:, :2], 0, None).prod(axis=1) for each in (a, b)]
    union = areas[0][:, None] + areas[1][None] - common
    return np.asarray(common / np.maximum(union, 1e-9))


def overlaps(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether two square boxes (centre x, centre y, side, roll) look at the same subject."""
    apart = float(np.abs(box[:2] - other[:2]).max())
    return apart < 0.35 * max(float(box[2]), float(other[2]))


def distances(a: np.ndarray, b: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Mean joint distances ``(N, M)`` of landmarks ``(N, K, 2)`` and ``(M, K, 2)`` in units ``(N,)``."""
    return np.asarray(np.linalg.norm(a[:, None] - b[None], axis=3).mean(axis=2) / unit[:, None])


def filling(found: Candidates, crop_scale: float) -> Candidates:
    """The candidates whose landmarks extend as a subject's would in a crop ``crop_scale`` times its size."""
    extended = sizes(extents(found.xy)) if len(found.xy) else np.empty(0)
    return found.pick(np.flatnonzero(extended * crop_scale >= _LEAST_FILLED * found.crops[:, 2]))


def distinct(found: Candidates, min_score: float) -> Candidates:
    """The candidates of at least ``min_score``, best first, without a second one of the same subject."""
    boxes = extents(found.xy) if len(found.xy) else np.empty((0, 4))
    alike = (distances(found.xy, found.xy, sizes(boxes)) < _SAME_DISTANCE) | (iou(boxes, boxes) > _SAME_IOU)
    kept: list[int] = []
    for row in np.argsort(-found.subject_score, kind="stable"):
        if found.subject_score[row] >= min_score and not alike[row, kept].any():
            kept.append(int(row))
    return found.pick(kept)


def assign(subjects: Sequence[Subject], found: Candidates) -> list[tuple[int, int]]:
    """Pairs (subject, candidate) of least total cost, without those that are too far apart."""
    if not subjects or not len(found.xy):
        return []
    before = np.stack([subject.xy for subject in subjects])
    boxes, found_boxes = extents(before), extents(found.xy)
    cost = 0.5 * (1 - iou(boxes, found_boxes)) + 0.5 * distances(before, found.xy, sizes(boxes))
    # A pair beyond the limit must not push others out of theirs.
    cost = np.where(cost < _MOST_COST, cost, 1e3)
    return [
        (int(row), int(column))
        for row, column in zip(*linear_sum_assignment(cost), strict=True)
        if cost[row, column] < _MOST_COST
    ]
