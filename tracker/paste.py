"""How a square that the decoder has drawn comes into the picture: with soft edges, and the picture's detail.

A decoder draws what it understands of a picture, blurred. What it cannot draw, the detail, is what the
picture has beyond the decoder's drawing of it; when landmarks move, that goes along with them.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from engines.crop import to_frame, transforms

# Width of a soft edge, as a share of the square.
_SOFT = 0.06
# How exactly detail follows a landmark, px of the square: those that lie together may not go apart.
_GIVE = 0.1
_ANCHORS = 5  # along each edge of the square, where nothing moves


def corners(box: np.ndarray) -> np.ndarray:
    """Corners ``(4, 2)`` of a box ``(4,)`` as in ``engines.crop``, in order, in pixels of the picture."""
    outer = np.array([[[0, 0], [1, 0], [1, 1], [0, 1]]]) - 0.5
    return to_frame(outer, box[None], 1)[0]


def paste(
    image: np.ndarray,
    box: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    square: np.ndarray,
    unmoved: np.ndarray | None = None,
) -> np.ndarray:
    """A copy of ``image`` ``(H, W, 3)`` uint8 with ``square`` ``(S, S, 3)`` in ``box``, around the landmarks.

    Those are ``before`` and ``after`` they were moved, ``(K, 2)`` in pixels of the square. ``unmoved`` is the
    square as it was drawn for ``before``: with it the picture keeps its detail.
    """
    height, width = image.shape[:2]
    size = len(square)
    picture = image.copy()
    low = np.clip(np.floor(corners(box).min(0)), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(corners(box).max(0)) + 1, 0, (width, height)).astype(int)
    if (low >= high).any():
        return picture
    part = picture[low[1] : high[1], low[0] : high[0]]
    warp = transforms(box[None], size)[0]
    warp[:, 2] -= low

    def lay(values: np.ndarray, how: int = cv2.INTER_CUBIC, border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
        laid = cv2.warpAffine(values, warp, (part.shape[1], part.shape[0]), flags=how, borderMode=border)
        return np.asarray(laid, np.float32)

    new = lay(square)
    if unmoved is not None:
        shift = (_shifts(before, after, size) @ warp[:, :2].T).astype(np.float32)
        new += _carry(part - lay(unmoved), lay(shift, cv2.INTER_LINEAR))
    cover = lay(_around(np.concatenate([before, after]), size), cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
    part[:] = as_bytes(part + cover[..., None] * (new - part))
    return picture


def as_bytes(picture: np.ndarray) -> np.ndarray:
    """A picture in floats from 0 to 255, or a little beyond, as uint8."""
    return np.asarray(np.clip(np.rint(picture), 0, 255), np.uint8)


def _around(points: np.ndarray, size: int) -> np.ndarray:
    """Weights ``(size, size)``: 1 between points ``(N, 2)`` and a little around them, 0 at the rim."""
    filled = cv2.fillConvexPoly(
        np.zeros((size, size), np.float32), cv2.convexHull(np.rint(points).astype(np.int32)), 1.0
    )
    reach = 2 * round(1.5 * _SOFT * size) + 1
    wider = cv2.dilate(filled, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    soft = cv2.GaussianBlur(wider, (0, 0), _SOFT * size / 2)
    inward = np.minimum(np.arange(size), np.arange(size)[::-1]) / (2 * _SOFT * size)
    return np.asarray(np.minimum(soft, np.minimum(inward[:, None], inward[None])), np.float32)


def _shifts(before: np.ndarray, after: np.ndarray, size: int) -> np.ndarray:
    """From where the detail of each pixel comes, relative to it, ``(size, size, 2)`` px of the square."""
    if np.array_equal(before, after):
        return np.zeros((size, size, 2))
    edge = np.linspace(0, size - 1, _ANCHORS)
    rim = np.array([(x, y) for x in edge for y in edge if {x, y} & {0, size - 1}])
    # Linear in the distance: landmarks move their surroundings, and none overshoots as thin plates do.
    field = RBFInterpolator(
        np.concatenate([after, rim]),
        np.concatenate([before - after, np.zeros_like(rim)]),
        kernel="linear",
        smoothing=_GIVE,
    )
    columns, rows = np.meshgrid(np.arange(size), np.arange(size))
    pixels = np.stack([columns, rows], -1).reshape(-1, 2)
    return np.asarray(field(pixels)).reshape(size, size, 2)


def _carry(detail: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """``detail`` ``(h, w, 3)`` taken from where ``shift`` ``(h, w, 2)`` points."""
    columns, rows = np.meshgrid(
        np.arange(shift.shape[1], dtype=np.float32), np.arange(shift.shape[0], dtype=np.float32)
    )
    carried = cv2.remap(
        detail,
        columns + shift[..., 0],
        rows + shift[..., 1],
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(carried, np.float32)
