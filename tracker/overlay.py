"""How landmarks look on a picture: the one definition, for screen and file alike."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from engines.skeleton import Skeleton
from tracker.values import Result, Track

PARTS = ("points", "edges", "ids", "boxes")

# Told apart by hue and by lightness, bright enough for dark pictures; RGB.
_COLOURS = (
    (64, 224, 208),
    (255, 176, 59),
    (186, 132, 255),
    (124, 222, 84),
    (255, 105, 140),
    (92, 172, 255),
    (240, 228, 66),
    (255, 138, 84),
)
_DOT = (255, 255, 255)
_SHADE = (24, 24, 28)
_FADED_WEIGHT = 0.4
# OpenCV draws at fractions of a pixel when coordinates come multiplied by 2 ** _SHIFT.
_SHIFT = 4
_UNIT = 1 << _SHIFT
# Far outside of any picture: keeps wild coordinates from overflowing OpenCV's 32-bit integers.
_FAR = 30_000


@dataclass(frozen=True)
class Overlay:
    """What is drawn: ``parts``, any of ``PARTS``, on the frame or on black.

    Joints below ``min_score`` are faded, those with score 0 are left out. ``scale`` makes dots, lines
    and ids larger or smaller; at 1 they follow the size of the subject. Raises ``ValueError`` for a
    part that is not known and a scale that is not above 0.
    """

    parts: tuple[str, ...] = ("points", "edges", "ids")
    black_background: bool = False
    min_score: float = 0.5
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse parts that do not exist and a size that is none."""
        for part in self.parts:
            if part not in PARTS:
                raise ValueError(f"overlay {part!r} is not one of {', '.join(PARTS)}")
        if not self.scale > 0:
            raise ValueError(f"overlay scale {self.scale!r} is not above 0")


def draw(result: Result, overlay: Overlay) -> np.ndarray:
    """A copy of the frame ``(H, W, 3)`` uint8 RGB with its subjects; itself where nothing is to draw."""
    image = result.frame.image
    if overlay.black_background:
        image = np.zeros_like(image)
    elif overlay.parts and result.tracks:
        image = image.copy()
    if not overlay.parts:
        return image
    for track in result.tracks:
        _draw_track(image, track, result.skeleton, overlay)
    return image


def colour_of(track_id: int) -> tuple[int, int, int]:
    """RGB of a track: the same in every frame, different for those that are seen together."""
    return _COLOURS[(track_id - 1) % len(_COLOURS)]


def _draw_track(image: np.ndarray, track: Track, skeleton: Skeleton, overlay: Overlay) -> None:
    colour = colour_of(track.id)
    low, high = track.box[:2], track.box[2:]
    size = min(float((high - low).max()) * overlay.scale, _FAR)
    thick = int(np.clip(round(size / 220), 1, 8))
    score = track.landmarks.score
    firm = score >= overlay.min_score
    faint = ~firm & (score > 0)
    if faint.any():
        _blend_faint(image, track, skeleton, overlay, firm | faint, thick, size)
    _draw_joints(image, track, skeleton, overlay, firm, thick, size)
    if "boxes" in overlay.parts:
        corners = [tuple(_fixed(each).tolist()) for each in (low, high)]
        cv2.rectangle(image, corners[0], corners[1], colour, thick, cv2.LINE_AA, _SHIFT)
    if "ids" in overlay.parts:
        _draw_label(image, str(track.id), low, colour, size)


def _fixed(xy: np.ndarray) -> np.ndarray:
    """Coordinates as OpenCV's fixed-point integers."""
    return np.asarray(np.rint(np.clip(xy, -_FAR, _FAR) * _UNIT), np.int32)


def _draw_joints(
    image: np.ndarray,
    track: Track,
    skeleton: Skeleton,
    overlay: Overlay,
    shown: np.ndarray,
    thick: int,
    size: float,
) -> None:
    """Edges with both ends ``shown`` ``(K,)`` bool, and points."""
    xy = _fixed(track.landmarks.xy)
    colour = colour_of(track.id)
    if "edges" in overlay.parts:
        lines = [xy[[a, b]] for a, b in skeleton.edges if shown[a] and shown[b]]
        cv2.polylines(image, lines, False, colour, thick, cv2.LINE_AA, _SHIFT)
    if "points" in overlay.parts:
        # Dense faces want small dots, sparse skeletons can bear larger ones.
        radius = max(1.0, size / (150 if len(xy) > 40 else 70))
        for x, y in xy[shown].tolist():
            cv2.circle(image, (x, y), round((radius + 0.6) * _UNIT), colour, -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(image, (x, y), round(radius * 0.75 * _UNIT), _DOT, -1, cv2.LINE_AA, _SHIFT)


def _blend_faint(
    image: np.ndarray,
    track: Track,
    skeleton: Skeleton,
    overlay: Overlay,
    shown: np.ndarray,
    thick: int,
    size: float,
) -> None:
    """All joints half transparent: what is certain is then drawn over it in full."""
    height, width = image.shape[:2]
    margin = thick + size / 40 + 2
    left, top = np.clip(track.box[:2] - margin, 0, (width, height)).astype(int)
    right, bottom = np.clip(track.box[2:] + margin + 1, 0, (width, height)).astype(int)
    if left >= right or top >= bottom:
        return
    before = image[top:bottom, left:right].copy()
    _draw_joints(image, track, skeleton, overlay, shown, thick, size)
    part = image[top:bottom, left:right]
    cv2.addWeighted(part, _FADED_WEIGHT, before, 1 - _FADED_WEIGHT, 0, dst=part)


def _draw_label(
    image: np.ndarray, text: str, corner: np.ndarray, colour: tuple[int, int, int], size: float
) -> None:
    """The id above the upper left corner of the box, on a shade so that it reads on any background."""
    scale = float(np.clip(size / 320, 0.4, 2.5))
    thick = max(1, round(scale * 1.6))
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    x = int(np.clip(corner[0], 0, max(0, image.shape[1] - width)))
    y = int(np.clip(corner[1] - 3 * thick, height, max(height, image.shape[0] - 1)))
    for tone, stroke in ((_SHADE, thick + 2), (colour, thick)):
        cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, tone, stroke, cv2.LINE_AA)
