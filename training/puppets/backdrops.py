"""What is behind, before and on a puppet: walls and floors, pieces of pictures, shadows, light."""

from __future__ import annotations

import cv2
import numpy as np


def any_colour(rng: np.random.Generator) -> np.ndarray:
    """RGB ``(3,)``: any, more often a greyish one."""
    colour = rng.uniform(0, 255, 3)
    return np.asarray(colour.mean() + (colour - colour.mean()) * rng.choice((0.25, 0.5, 1.0)))


def patterned(figure: np.ndarray, scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The figure with a piece of a picture printed on it: patterns, folds, seams."""
    side = int(min(scene.shape[:2]) * rng.uniform(0.2, 0.8))
    y, x = (int(rng.integers(0, length - side + 1)) for length in scene.shape[:2])
    print_ = cv2.resize(scene[y : y + side, x : x + side], figure.shape[:2]).astype(np.float32)
    print_ -= print_.mean(axis=(0, 1))
    return np.asarray(np.clip(figure + print_ * rng.uniform(0.2, 0.8), 0, 255), np.uint8)


def together(
    canvas: np.ndarray, figure: np.ndarray, mask: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The figure in front of the canvas, often with its shadow, now and then behind something."""
    size, seen = len(canvas), mask[..., None] / np.float32(255)
    if rng.random() < 0.4:  # on a wall behind
        moved = np.array([[1, 0, rng.uniform(-0.12, 0.12) * size], [0, 1, rng.uniform(-0.05, 0.08) * size]])
        shadow = cv2.warpAffine(mask, moved, (size, size))
        shadow = cv2.GaussianBlur(shadow, (0, 0), rng.uniform(1, 8))[..., None] / np.float32(255)
        canvas = canvas * (1 - rng.uniform(0.15, 0.6) * shadow)
    if rng.random() < 0.4 and mask.any():  # on the floor below
        rows, columns = np.nonzero(mask)
        middle = (int(columns.mean()), int(rows.max()))
        axes = (
            max(1, int(np.ptp(columns) * rng.uniform(0.3, 0.6))),
            max(1, int(size * rng.uniform(0.01, 0.04))),
        )
        shadow = cv2.ellipse(np.zeros_like(mask), middle, axes, 0, 0, 360, 255, -1)
        shadow = cv2.GaussianBlur(shadow, (0, 0), rng.uniform(1, 4))[..., None] / np.float32(255)
        canvas = canvas * (1 - rng.uniform(0.2, 0.7) * shadow)
    whole = (canvas * (1 - seen) + figure * seen).astype(np.uint8)
    if rng.random() < 0.1:
        x, y, w, h = (rng.uniform((0, 0.2, 0.03, 0.1), (1, 1, 0.2, 0.5)) * size).astype(int).tolist()
        cv2.rectangle(whole, (x, y), (x + w, y + h), any_colour(rng).tolist(), -1)
    return whole


def background(size: int, scenes: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A piece of a picture or a plain wall and floor, with a few shapes in it."""
    kind = rng.random() if scenes else 1.0
    scene = scenes[rng.integers(len(scenes))] if scenes else None
    if scene is not None and kind < 0.3:  # an edge, where the person is not, stretched
        quarter = scene.shape[1] // 4
        strip = scene[:, :quarter] if rng.random() < 0.5 else scene[:, -quarter:]
        strip = strip[:, ::-1] if rng.random() < 0.5 else strip
        canvas = cv2.resize(np.hstack([strip, strip[:, ::-1]]) if rng.random() < 0.5 else strip, (size, size))
        canvas = np.ascontiguousarray(canvas)
    elif scene is not None and kind < 0.7:  # a part of it upside down: whoever is there is nobody's pose
        side = int(min(scene.shape[:2]) * rng.uniform(0.35, 1.0))
        y, x = (int(rng.integers(0, length - side + 1)) for length in scene.shape[:2])
        canvas = cv2.resize(scene[y : y + side, x : x + side][::-1], (size, size))
        if rng.random() < 0.5:
            canvas = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 3))
    else:
        ends = np.stack([any_colour(rng), any_colour(rng) * rng.uniform(0.6, 1.2)])[:, None]
        line = np.linspace(0, 1, size)[:, None]
        wall = ends[0] * (1 - line) + (ends[0] * 0.6 + ends[1] * 0.4) * line
        floor = int(size * rng.uniform(0.7, 1.0))
        wall[floor:] = ends[1]
        canvas = np.repeat(np.clip(wall, 0, 255)[:, None], size, axis=1).astype(np.uint8)
    for _ in range(rng.integers(0, 6)):
        colour = any_colour(rng).tolist()
        x, y, w, h = (rng.uniform(0, 1, 4) * size * [1, 1, 0.5, 0.5]).astype(int).tolist()
        if rng.random() < 0.5:
            cv2.rectangle(canvas, (x, y), (x + w, y + h), colour, -1)
        else:
            cv2.line(
                canvas,
                (x, y),
                (x + 2 * w - size // 2, y + 2 * h - size // 2),
                colour,
                int(rng.integers(1, 6)),
            )
    return canvas


def lit(canvas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brighter here and darker there, by up to a third or so: light, folds and shadows."""
    side, strength = int(rng.integers(2, 12)), rng.uniform(0, 0.25)
    coarse = np.exp(strength * rng.standard_normal((side, side))).astype(np.float32)
    light = np.asarray(cv2.resize(coarse, canvas.shape[1::-1], interpolation=cv2.INTER_CUBIC))
    return np.asarray(np.clip(canvas * light[..., None], 0, 255), np.uint8)
