"""A small made data set of people in the layout that training reads: puppets, and poses of none of them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from faces import TINY

from engines.skeleton import HUMAN
from training.config import PRESETS, TrainConfig, with_settings
from training.projection import project
from training.puppets import Puppets

# Somebody who stands, in metres: Y up, facing +Z, the left side at +X.
STANDING = {
    "pelvis": (0, 0.95, 0),
    "hip": (0.1, 0.93, 0),
    "knee": (0.11, 0.5, 0.02),
    "ankle": (0.12, 0.08, 0),
    "spine": (0, 1.25, 0),
    "neck": (0, 1.45, 0),
    "head": (0, 1.57, 0.03),
    "head_top": (0, 1.72, 0.02),
    "shoulder": (0.18, 1.42, 0),
    "elbow": (0.3, 1.18, 0.0),
    "wrist": (0.4, 0.95, 0.08),
}


def standing() -> np.ndarray:
    """The pose ``(17, 3)``."""
    rows = []
    for joint in HUMAN.joints:
        side, _, part = joint.partition("_")
        here = STANDING[part if side in ("l", "r") else joint]
        rows.append(np.array(here, float) * [-1 if side == "r" else 1, 1, 1])
    return np.array(rows)


def poses(count: int, seed: int = 0) -> np.ndarray:
    """People ``(count, 17, 3)`` in metres who move their arms and legs a little."""
    rng = np.random.default_rng(seed)
    return np.asarray(standing() + 0.04 * rng.standard_normal((count, 17, 3)), np.float32)


def tiny_config(*settings: str) -> TrainConfig:
    """The smallest model of people that still has every part."""
    return with_settings(PRESETS["human-lite"], [*TINY, "puppets=3", *settings])


def write_clips(folder: Path, clips: int, frames: int, seed: int = 0) -> None:
    """``folder/clips.json`` and a folder of frames a clip."""
    rng = np.random.default_rng(seed)
    puppets = Puppets(project(poses(40, seed), HUMAN, rng), HUMAN, 1.25, seed)
    described = {}
    for clip in range(clips):
        name = f"clip{clip}"
        still = clip % 2 == 0
        boxes = [0.0, 0.0, 96.0] if still else [[0.0, 0.0, 96.0]] * frames
        described[name] = {"fps": 25, "boxes": boxes, "group": "upright"}
        (folder / name).mkdir(parents=True)
        images, _ = puppets.batch(clip, frames, 96, [])
        for number, image in enumerate(images):
            cv2.imwrite(str(folder / name / f"{number:05d}.jpg"), image[..., ::-1])
    (folder / "clips.json").write_text(json.dumps(described))


def write_people(folder: Path) -> Path:
    """``folder`` with ``train`` and ``prior``."""
    write_clips(folder / "train" / "yoga", 24, 3)
    (folder / "prior").mkdir()
    np.savez(folder / "prior" / "mocap17.npz", poses=poses(30), joints=np.array(HUMAN.joints))
    names = [joint for joint in HUMAN.joints if joint not in ("pelvis", "spine", "neck", "head_top")]
    flat = poses(20, 1)[:, [HUMAN.joints.index(name) for name in names], :2] * [1, -1]
    np.savez(folder / "prior" / "penn2d.npz", poses=flat, joints=np.array(names), upright=np.arange(20) > 4)
    return folder
