"""The crop transform: the one definition for training, evaluation and tracking.

A box is a row ``(centre x, centre y, side, roll)``: a square in frame pixels, turned clockwise by
``roll`` radians. A crop of ``size`` pixels covers it with pixel centres at whole numbers, so crop
pixel ``(size - 1) / 2`` lies on the centre of the box and one crop pixel is ``side / size`` of the
frame's. Outside of the frame its border is repeated.
"""

from __future__ import annotations

import cv2
import numpy as np

# Beyond this reduction the warp samples, rather than averages, the frame: 8 x 128 px is a 1024-px face.
_MOST_SAMPLES = 8
_LONGEST_SIDE = 32_766  # of pictures that OpenCV warps


def transforms(boxes: np.ndarray, size: int) -> np.ndarray:
    """Affine maps ``(N, 2, 3)`` float64 from crop pixels to frame pixels of boxes ``(N, 4)``."""
    x, y, side, roll = np.asarray(boxes, np.float64).reshape(-1, 4).T
    cosine, sine = np.cos(roll) * side / size, np.sin(roll) * side / size
    middle = (size - 1) / 2
    rows = [
        [cosine, -sine, x - (cosine - sine) * middle],
        [sine, cosine, y - (sine + cosine) * middle],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def cut(frame: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
    """Crops ``(N, size, size, 3)`` uint8 of ``frame`` (H, W, 3) uint8 at ``boxes`` ``(N, 4)``.

    Large boxes are averaged over whole blocks of samples: bilinear sampling alone would alias.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    crops = np.empty((len(boxes), size, size, 3), np.uint8)
    for crop, box in zip(crops, boxes, strict=True):
        samples = int(np.clip(round(box[2] / size), 1, _MOST_SAMPLES))
        seen, box_seen = _around(frame, box) if max(frame.shape[:2]) > _LONGEST_SIDE else (frame, box)
        fine = cv2.warpAffine(
            seen,
            transforms(box_seen, size * samples)[0],
            (size * samples, size * samples),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        crop[:] = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA) if samples > 1 else fine
    return crops


def _around(frame: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of a frame that a crop at ``box`` shows, if need be one pixel in so many; ``box`` there."""
    x, y, side, _ = box
    spans = []
    for middle, length in ((x, frame.shape[1]), (y, frame.shape[0])):
        low = int(np.clip(middle - side, 0, length - 1))
        spans.append(slice(low, int(np.clip(middle + side + 2, low + 1, length))))
    across, down = spans
    part = frame[down, across]
    step = -(-max(part.shape[:2]) // _LONGEST_SIDE)
    return part[::step, ::step], (box - [across.start, down.start, 0, 0]) / [step, step, step, 1]


def to_frame(points: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
    """Crop points ``(N, K, 2)`` in frame pixels, float32."""
    maps = transforms(boxes, size)
    moved = points @ maps[:, :, :2].transpose(0, 2, 1) + maps[:, None, :, 2]
    return np.asarray(moved, np.float32)


def to_crop(points: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
    """Frame points ``(N, K, 2)`` in crop pixels, float32."""
    maps = transforms(boxes, size)
    inverse = np.linalg.inv(maps[:, :, :2])
    moved = (points - maps[:, None, :, 2]) @ inverse.transpose(0, 2, 1)
    return np.asarray(moved, np.float32)


def landmark_boxes(points: np.ndarray, scale: float) -> np.ndarray:
    """Upright boxes ``(N, 4)`` around points ``(N, K, 2)``: ``scale`` x the longer side of their extent."""
    low, high = points.min(axis=1), points.max(axis=1)
    centre = (low + high) / 2
    side = (high - low).max(axis=1, keepdims=True) * scale
    return np.concatenate([centre, side, np.zeros_like(side)], axis=1).astype(np.float32)
