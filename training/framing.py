"""Where the person is in the frames of a clip: found by Φ itself, once puppets have taught it people.

Clips are cut for all of their frames, so a walker is small and beside the middle; the tracker and the
evaluation cut the square of the joints. No label is needed to cut the same: the network looks twice.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import median_filter

from engines import crop
from engines.network import PoseRegressor, SkeletonDrawer, as_input
from engines.render import to_pixels
from training import checkpoint
from training.config import TrainConfig
from training.networks import Decoder
from training.stored import StoredSet

_LOOKS = 2
_SMALLEST, _LARGEST, _FARTHEST = 0.35, 1.1, 0.4  # side and shift, in sides of the box to start from
# The crops looked at are so much wider than they will be: a raised arm that was missed once must not be
# cut off for good. Nor does a person shrink to less than this much of what most of the clip shows.
_WIDER, _SHARE = 1.15, 0.8
_STEADY = 5  # frames of a clip whose median a box is
_BATCH = 64


def frame(
    sets: list[StoredSet],
    path: Path,
    nets: tuple[SkeletonDrawer, Decoder, PoseRegressor],
    config: TrainConfig,
) -> None:
    """Set the boxes of ``sets``, in place: those in ``path`` or, without any, those found now, stored there.

    Raises ``ValueError`` when what is stored is of other pictures.
    """
    if path.exists():
        stored = checkpoint.load(path, config)["boxes"]
        if [len(boxes) for boxes in stored] != [len(each.boxes) for each in sets]:
            raise ValueError(f"{path} is of other pictures: choose another --out")
        for each, boxes in zip(sets, stored, strict=True):
            each.boxes[:] = boxes.numpy()
        return
    for each in sets:
        start = each.boxes.copy()
        for _ in range(_LOOKS):
            each.boxes[:] = _bounded(_look(each, nets, config), start)
        for clip in each.clips:
            boxes = median_filter(each.boxes[clip], (_STEADY, 1), mode="nearest")
            boxes[:, 2] = np.maximum(boxes[:, 2], _SHARE * np.percentile(boxes[:, 2], 90))
            each.boxes[clip] = boxes
    checkpoint.save(path, config, {"boxes": [torch.from_numpy(each.boxes) for each in sets]})


@torch.no_grad()
def _look(
    pictures: StoredSet, nets: tuple[SkeletonDrawer, Decoder, PoseRegressor], config: TrainConfig
) -> np.ndarray:
    """Landmark boxes ``(N, 3)`` of what Φ and η see in the crops at the boxes so far."""
    drawer, _, regressor = nets
    device, size = next(drawer.parameters()).device, config.network.input_size
    found = []
    for first in range(0, len(pictures.images), _BATCH):
        boxes = pictures.boxes[first : first + _BATCH] * [1, 1, config.crop_scale * _WIDER]
        boxes = np.column_stack([boxes, np.zeros(len(boxes))])
        here = pictures.images[first : first + _BATCH]
        crops = np.concatenate([crop.cut(image, box, size) for image, box in zip(here, boxes, strict=True)])
        points = regressor(drawer(as_input(torch.from_numpy(crops).to(device))))
        seen = crop.to_frame(to_pixels(points, size).cpu().numpy(), boxes, size)
        found.append(crop.landmark_boxes(seen, 1.0)[:, :3])
    return np.concatenate(found).astype(np.float64)


def _bounded(boxes: np.ndarray, start: np.ndarray) -> np.ndarray:
    """``boxes`` no smaller, larger or farther from those to start from than a person can be."""
    side = start[:, 2:]
    moved = np.clip(boxes[:, :2] - start[:, :2], -_FARTHEST * side, _FARTHEST * side)
    return np.hstack([start[:, :2] + moved, np.clip(boxes[:, 2:], _SMALLEST * side, _LARGEST * side)])
