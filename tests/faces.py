"""A small made data set in the layout that training reads: drawn faces, and poses of none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines.skeleton import FACE68
from training.config import PRESETS, TrainConfig, with_settings

SIDE = 96
# What a run of a few seconds is made of.
TINY = [
    *("network.input_size=32", "network.width=4", "network.map_size=8"),
    *("regressor_steps=6", "regressor_batch=4", "warm_start_steps=4", "steps=6", "batch=4", "pool=4"),
    *("discriminator_width=8", "equivariance_from=2", "puppets=0"),
]


def tiny_config(*settings: str) -> TrainConfig:
    """The smallest face model that still has every part."""
    return with_settings(PRESETS["face-lite"], [*TINY, *settings])


def _arc(
    centre: tuple[float, float], radii: tuple[float, float], start: float, end: float, count: int
) -> np.ndarray:
    angle = np.linspace(np.deg2rad(start), np.deg2rad(end), count)
    return np.stack([centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle)], -1)


def pose(rng: np.random.Generator) -> np.ndarray:
    """A face ``(68, 2)`` relative to its box: centre (0, 0), longer side 1."""
    eye, lip = 0.03 + 0.01 * rng.random(), 0.06 + 0.03 * rng.random()
    parts = [
        _arc((0, -0.15), (0.45, 0.65), 180, 0, 17),
        _arc((-0.22, -0.25), (0.13, 0.07), 190, 350, 5),
        _arc((0.22, -0.25), (0.13, 0.07), 190, 350, 5),
        np.stack([np.zeros(4), np.linspace(-0.2, 0.05, 4)], -1),
        _arc((0, 0.08), (0.09, 0.03), 180, 0, 5),
        _arc((-0.22, -0.17), (0.09, eye), 180, 540 - 60, 6),
        _arc((0.22, -0.17), (0.09, eye), 180, 540 - 60, 6),
        _arc((0, 0.25), (0.17, lip), 180, 540 - 30, 12),
        _arc((0, 0.25), (0.12, lip / 2), 180, 540 - 45, 8),
    ]
    points = np.concatenate(parts)
    low, high = points.min(0), points.max(0)
    return ((points - (low + high) / 2) / (high - low).max()).astype(np.float32)


def picture(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A drawn face ``(SIDE, SIDE, 3)`` RGB at ``points`` ``(68, 2)`` in pixels."""
    image = rng.integers(0, 90, (SIDE, SIDE, 3), np.uint8)
    cv2.fillPoly(image, [points[:17].astype(np.int32)], (210, 170, 150))
    for first, last in ((36, 42), (42, 48), (48, 60)):
        cv2.fillPoly(image, [points[first:last].round().astype(np.int32)], (120, 30, 40))
    return image


def write_labelled(folder: Path, count: int, seed: int = 0, **columns: Any) -> np.ndarray:
    """``folder/index.npz`` and its pictures; the points ``(count, 68, 2)``."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    points = np.stack([pose(rng) * 44 + 47 + 4 * rng.standard_normal(2) for _ in range(count)]).astype(
        np.float32
    )
    names = np.array([f"{index:03d}.png" for index in range(count)])
    for name, each in zip(names, points, strict=True):
        cv2.imwrite(str(folder / "images" / name), picture(each, rng)[..., ::-1])
    low, high = points.min(1), points.max(1)
    box = np.concatenate([(low + high) / 2, (high - low).max(1, keepdims=True)], 1)
    np.savez(folder / "index.npz", name=names, box=box, pts=points, **columns)
    return points


def write_data(folder: Path, stills: int = 30, frames: int = 12) -> Path:
    """``folder`` with ``train`` (stills and clips of three frames), ``prior`` and ``labels``."""
    points = write_labelled(folder / "train" / "stills", stills)
    clip = np.array([f"clip{index // 3}" for index in range(frames)])
    write_labelled(folder / "train" / "clips", frames, seed=1, video=clip, identity=clip)
    rng = np.random.default_rng(2)
    (folder / "prior").mkdir()
    np.savez(folder / "prior" / "poses.npz", pts=np.stack([pose(rng) for _ in range(20)]))
    (folder / "labels").mkdir()
    names = np.array([f"{index:03d}.png" for index in range(stills)])
    np.savez(folder / "labels" / "stills_train.npz", name=names, pts=points)
    assert points.shape[1] == len(FACE68.joints)
    return folder
