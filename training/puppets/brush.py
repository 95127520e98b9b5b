"""What heads are drawn with: polygons, lines and spots, soft or sharp, on a canvas with its own scale."""

from __future__ import annotations

import math

import cv2
import numpy as np

_FRACTION = 4  # bits of a pixel in what cv2 is given


class Brush:
    """A canvas ``(S, S, 3)`` float32 and what of it the head covers, ``mask`` ``(S, S)`` uint8.

    Lengths and widths are in ``unit`` pixels, directions along ``right`` ``(2,)`` and across it: a head that
    leans has them lean along. Outlines and lines ``(N, 2)`` are in pixels.
    """

    def __init__(self, size: int, unit: float, right: np.ndarray) -> None:
        self.canvas, self.mask = np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.uint8)
        self.unit = max(unit, 1e-3)
        self.right = right / max(float(np.linalg.norm(right)), 1e-6)
        self.up = np.array([self.right[1], -self.right[0]])

    def place(self, origin: np.ndarray, right: float, up: float) -> np.ndarray:
        """The point so far right of and above ``origin`` ``(2,)``."""
        placed: np.ndarray = origin + (right * self.right + up * self.up) * self.unit
        return placed

    def seen_from(self, origin: np.ndarray, points: np.ndarray) -> np.ndarray:
        """The inverse: how far right of and above ``origin`` ``points`` ``(..., 2)`` are."""
        away = points - origin
        return np.stack([away @ self.right, away @ self.up], axis=-1) / self.unit

    def length(self, start: np.ndarray, end: np.ndarray) -> float:
        """The distance of two points."""
        return float(np.linalg.norm(end - start)) / self.unit

    def ellipse(self, centre: np.ndarray, wide: float, high: float, corners: int = 28) -> np.ndarray:
        """An outline with these half-axes."""
        angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)[:, None]
        ring: np.ndarray = (
            centre + (np.cos(angle) * wide * self.right + np.sin(angle) * high * self.up) * self.unit
        )
        return ring

    def covered(self, outline: np.ndarray) -> np.ndarray:
        """What a polygon covers ``(S, S)``, to 255."""
        area = np.zeros_like(self.mask)
        cv2.fillPoly(area, [_fixed(outline)], 255, cv2.LINE_AA, _FRACTION)
        return area

    def fill(
        self, outline: np.ndarray, colour: np.ndarray, alpha: float = 1.0, soft: float = 0.0, own: bool = True
    ) -> np.ndarray:
        """Paint a polygon, its edge blurred by ``soft``; what it covers. ``own``: see ``lay``."""
        return self.lay(self.covered(outline), colour, alpha, soft, own)

    def stroke(
        self, line: np.ndarray, colour: np.ndarray, width: float, alpha: float = 1.0, soft: float = 0.0
    ) -> None:
        """Paint an open line on what is there; one finer than a pixel is paler instead."""
        area = np.zeros_like(self.mask)
        thickness = max(1, round(width * self.unit))
        cv2.polylines(area, [_fixed(line)], False, 255, thickness, cv2.LINE_AA, _FRACTION)
        self.lay(area, colour, alpha * min(1.0, width * self.unit), soft, False)

    def lay(self, area: np.ndarray, colour: np.ndarray, alpha: float, soft: float, own: bool) -> np.ndarray:
        """Paint an area ``(S, S)``; as it is after blurring.

        ``own``: it belongs to the head, and is not merely a shade on it or beside it.
        """
        if soft:
            area = blurred(area, max(0.3, soft * self.unit))
        x, y, wide, high = cv2.boundingRect(area)
        here = np.s_[y : y + high, x : x + wide]
        if own:
            self.mask[here] = np.maximum(self.mask[here], area[here])
        share = area[here][..., None] * np.float32(alpha / 255)
        self.canvas[here] += (np.asarray(colour, np.float32) - self.canvas[here]) * share
        return area

    def tone(self, point: np.ndarray) -> np.ndarray:
        """The colour at a point, or at the nearest that is in the picture."""
        x, y = np.clip(point.round().astype(int), 0, len(self.mask) - 1)
        colour: np.ndarray = self.canvas[y, x].copy()
        return colour

    def light(self, centre: np.ndarray, across: float, down: float, rim: np.ndarray) -> None:
        """Brighter to the right by ``across``, downwards by ``down``, and by ``rim`` ``(S, S)``."""
        rows, columns = np.mgrid[: len(self.mask), : len(self.mask)].astype(np.float32)
        away = self.seen_from(centre, np.stack([columns, rows], axis=-1))
        light = (1 + across * away[..., 0] - down * away[..., 1]) * rim
        self.canvas *= np.clip(light, 0.35, 1.6)[..., None].astype(np.float32)

    def picture(self) -> tuple[np.ndarray, np.ndarray]:
        """The head ``(S, S, 3)`` uint8, and where it is ``(S, S)``, to 255."""
        return np.clip(self.canvas, 0, 255).astype(np.uint8), self.mask


def blurred(area: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur of ``(S, S)`` uint8.

    Only of where something is: most areas are small. A wide one of a smaller picture: as good, in half
    the time.
    """
    step = max(1, min(4, int(sigma / 2)))
    reach = step * math.ceil(4 * sigma / step)
    x, y, wide, high = cv2.boundingRect(area)
    left, top = (max(0, each // step * step - reach) for each in (x, y))
    here = np.s_[top : y + high + reach, left : x + wide + reach]
    result = np.zeros_like(area)
    if wide:
        result[here] = _blurred_all(area[here], sigma, step)
    return result


def _blurred_all(area: np.ndarray, sigma: float, step: int) -> np.ndarray:
    if step < 2:
        return np.asarray(cv2.GaussianBlur(area, (0, 0), sigma))
    small = cv2.resize(
        area, (-(-area.shape[1] // step), -(-area.shape[0] // step)), interpolation=cv2.INTER_AREA
    )
    small = cv2.GaussianBlur(small, (0, 0), sigma / step)
    return np.asarray(cv2.resize(small, area.shape[::-1], interpolation=cv2.INTER_LINEAR))


def _fixed(points: np.ndarray) -> np.ndarray:
    # Far outside it is all the same, and cv2 counts in 32 bits.
    return np.clip(np.asarray(points) * 2**_FRACTION, -(2**20), 2**20).round().astype(np.int32)
