"""Poses in space → poses in a picture: the views of a person that a prior of motion capture is good for."""

from __future__ import annotations

import numpy as np

from engines.skeleton import Skeleton

_LIMB_NOISE, _JOINT_NOISE = 0.05, 0.007  # of a bone's length; of the height
_PITCH_DEG = (-3.0, 12.0)  # the camera looks a little down
# Joints that hand-labelled poses lack: how far from one joint to another, and beyond, they lie.
_BETWEEN = {
    "pelvis": ("l_hip", "r_hip", 0.5),
    "neck": ("l_shoulder", "r_shoulder", 0.5),
    "spine": ("pelvis", "neck", 0.62),  # mean of the motion capture, as are the two below
    "head": ("neck", "head_top", 1 / 1.95),
    "head_top": ("neck", "head", 1.95),
}
_AT_ONCE = 500
# Motion capture stands and walks. Some of it is made to lean, to lie on its front or its back, and to kneel:
# how often, and between which angles in degrees, the head forwards.
_LEANS = ((0.78, 0.0, 0.0), (0.09, 15.0, 60.0), (0.07, 60.0, 100.0), (0.06, -100.0, -60.0))
_FROM_A_SIDE = 0.8
_KNEELING, _KNEES_DEG = 0.06, (80.0, 150.0)
_DISTANCE = (2.5, 7.0)  # of the camera, in heights of the person


def project(poses: np.ndarray, skeleton: Skeleton, rng: np.random.Generator) -> np.ndarray:
    """Poses ``(N, K, 3)`` in metres as a camera sees them, ``(N, K, 3)`` float32.

    In: Y up, the subject faces +Z and its left is +X. Out: x right, y down, z towards the camera, all in
    units of the longer side of the pose's box in the picture, whose centre is the origin of x and y. Most
    people are seen from the front, many from a side and some from anywhere; bones vary in length.
    """
    poses, leaning = _lean(_vary(poses.astype(np.float64), skeleton, rng), skeleton, rng)
    poses -= (poses.min(axis=1, keepdims=True) + poses.max(axis=1, keepdims=True)) / 2
    seen = poses @ _turns(leaning, rng).transpose(0, 2, 1)
    height = (seen.max(axis=1) - seen.min(axis=1)).max(axis=1)[:, None]
    nearer = 1 / (1 - seen[..., 2] / (height * rng.uniform(*_DISTANCE, (len(poses), 1))))
    seen *= nearer[..., None] * [1, -1, 1]
    low, high = seen.min(axis=1, keepdims=True), seen.max(axis=1, keepdims=True)
    middle, side = (low + high) / 2, (high - low)[..., :2].max(axis=2, keepdims=True)
    return np.asarray((seen - middle) / side, np.float32)


def _vary(poses: np.ndarray, skeleton: Skeleton, rng: np.random.Generator) -> np.ndarray:
    """Other bones, the same on both sides of a body, and a little noise on every joint."""
    factors = np.exp(_LIMB_NOISE * np.clip(rng.standard_normal(poses.shape[:2]), -2, 2))
    for left, right in skeleton.mirror_pairs:
        factors[:, left] = factors[:, right]
    varied = poses.copy()
    for parent, child in skeleton.edges:  # from the root outwards
        bone = poses[:, child] - poses[:, parent]
        varied[:, child] = varied[:, parent] + bone * factors[:, child, None]
    height = (poses.max(axis=1) - poses.min(axis=1)).max(axis=1)[:, None, None]
    return varied + _JOINT_NOISE * height * np.clip(rng.standard_normal(poses.shape), -2, 2)


def _lean(poses: np.ndarray, skeleton: Skeleton, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A few of the poses kneel, and a few lean or lie: ``(N,)`` bool."""
    posed = poses.copy()
    index = {joint: number for number, joint in enumerate(skeleton.joints)}
    kneels = rng.random(len(poses)) < _KNEELING
    shins = _about_x(np.radians(rng.uniform(*_KNEES_DEG, kneels.sum())))
    for side in ("l_", "r_"):
        knee, ankle = poses[kneels, index[side + "knee"]], poses[kneels, index[side + "ankle"]]
        posed[kneels, index[side + "ankle"]] = knee + (shins @ (ankle - knee)[..., None])[..., 0]
    shares, low, high = np.array(_LEANS).T
    kind = rng.choice(len(shares), len(poses), p=shares)
    turns = _about_x(np.radians(rng.uniform(low[kind], high[kind])))
    return np.asarray(posed @ turns.transpose(0, 2, 1)), high[kind] != low[kind]


def _about_x(angles: np.ndarray) -> np.ndarray:
    """Rotations ``(N, 3, 3)`` that take what is up (+Y) to the front (+Z), by ``angles`` ``(N,)``."""
    cos, sin = np.cos(angles), np.sin(angles)
    one, none = np.ones_like(cos), np.zeros_like(cos)
    return np.array([[one, none, none], [none, cos, -sin], [none, sin, cos]]).transpose(2, 0, 1)


def _turns(leaning: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotations ``(N, 3, 3)``: yaw about the vertical, then the pitch of the camera.

    Whoever leans or lies is filmed from a side: seen from the head there is not much of a pose.
    """
    count = len(leaning)
    kind = rng.choice(3, count, p=(0.55, 0.30, 0.15))
    kind[leaning & (rng.random(count) < _FROM_A_SIDE)] = 1
    frontal = np.clip(rng.standard_normal(count), -2.5, 2.5) * 15
    sideways = rng.uniform(60, 100, count) * rng.choice((-1, 1), count)
    yaw = np.radians(np.choose(kind, (frontal, sideways, rng.uniform(-180, 180, count))))
    pitch = np.radians(rng.uniform(*_PITCH_DEG, count))
    one, none = np.ones(count), np.zeros(count)
    cos, sin = np.cos(yaw), np.sin(yaw)
    about_y = np.array([[cos, none, sin], [none, one, none], [-sin, none, cos]])
    return np.asarray(_about_x(pitch) @ about_y.transpose(2, 0, 1))


def lift(poses: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Poses ``(N, K, 2)`` with the depth of the ``views`` ``(M, K, 3)`` that look most alike, ``(N, K, 3)``.

    Both in units of the longer side of their box, centred on it, as ``project`` gives them.
    """
    known = views[..., :2].reshape(len(views), -1)
    norms = np.square(known).sum(axis=1)
    nearest = [
        (norms - 2 * part.reshape(len(part), -1) @ known.T).argmin(axis=1)
        for part in np.array_split(poses.astype(np.float32), max(1, len(poses) // _AT_ONCE))
    ]
    return np.concatenate([poses, views[np.concatenate(nearest)][..., 2:]], axis=2).astype(np.float32)


def in_own_box(poses: np.ndarray) -> np.ndarray:
    """Poses ``(N, K, 2)`` in units of the longer side of their box, whose centre is the origin."""
    low, high = poses.min(axis=1, keepdims=True), poses.max(axis=1, keepdims=True)
    return np.asarray((poses - (low + high) / 2) / (high - low).max(axis=2, keepdims=True))


def complete(points: np.ndarray, names: list[str], skeleton: Skeleton) -> np.ndarray:
    """Poses ``(N, J, 2)`` of named joints as poses of ``skeleton``, what is missing from what is there.

    Raises ``ValueError`` for a joint that nothing gives.
    """
    given = {name: points[:, index].astype(np.float64) for index, name in enumerate(names)}
    for name, (first, second, share) in _BETWEEN.items():
        if name not in given and first in given and second in given:
            given[name] = given[first] + (given[second] - given[first]) * share
    if missing := [name for name in skeleton.joints if name not in given]:
        raise ValueError(f"poses of {skeleton.name} lack {', '.join(missing)}")
    return np.stack([given[name] for name in skeleton.joints], axis=1)
