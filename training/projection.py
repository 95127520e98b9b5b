"""Poses in space → poses in a picture: the views of a person that a prior of motion capture is good for."""

from __future__ import annotations

from dataclasses import dataclass

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
_FROM_A_SIDE = 0.8  # of those who do not stand


@dataclass(frozen=True)
class _Posture:
    """What is made of some of the poses: ranges of angles in degrees, the head or the feet forwards.

    The trunk folds over the hips, the shins under the thighs; straight arms, if they do not stay as they are,
    point so far to the front from where the head points to; then the whole body leans.
    """

    share: float
    fold: tuple[float, float] = (0.0, 0.0)
    knees: tuple[float, float] = (0.0, 0.0)
    arms: tuple[float, float] | None = None
    lean: tuple[float, float] = (0.0, 0.0)


# Motion capture stands and walks; people in clips exercise. The first must be the one that stays as it was.
_POSTURES = (
    _Posture(0.61),
    _Posture(0.06, lean=(15, 60)),
    _Posture(0.07, fold=(60, 110), arms=(-15, 15), lean=(10, 50)),  # hands and feet on the floor
    _Posture(0.03, lean=(60, 100)),  # on the front
    _Posture(0.04, arms=(70, 110), lean=(60, 95)),  # planks
    _Posture(0.02, fold=(-60, -15), arms=(90, 150), lean=(75, 100)),  # the chest up from there
    _Posture(0.03, lean=(-100, -60)),  # on the back
    _Posture(0.03, fold=(70, 150), lean=(-100, -80)),  # sitting on the floor
    _Posture(0.02, knees=(80, 150)),
    _Posture(0.03, fold=(70, 110), knees=(70, 110), arms=(70, 110), lean=(-15, 15)),  # on all fours
    _Posture(0.03, fold=(50, 120), knees=(90, 140), lean=(-85, -40)),  # squatting, on a chair
    _Posture(0.03, fold=(130, 170), knees=(120, 165), arms=(-20, 20), lean=(-80, -40)),  # folded up, kneeling
)
_DISTANCE = (2.5, 7.0)  # of the camera, in heights of the person


def project(poses: np.ndarray, skeleton: Skeleton, rng: np.random.Generator) -> np.ndarray:
    """Poses ``(N, K, 3)`` in metres as a camera sees them, ``(N, K, 3)`` float32.

    In: Y up, the subject faces +Z and its left is +X. Out: x right, y down, z towards the camera, all in
    units of the longer side of the pose's box in the picture, whose centre is the origin of x and y. Most
    people are seen from the front, many from a side and some from anywhere; bones vary in length.
    """
    poses, lying = _pose(_vary(poses.astype(np.float64), skeleton, rng), skeleton, rng)
    poses -= (poses.min(axis=1, keepdims=True) + poses.max(axis=1, keepdims=True)) / 2
    seen = poses @ _turns(lying, rng).transpose(0, 2, 1)
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


def _pose(poses: np.ndarray, skeleton: Skeleton, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The poses in the shares of ``_POSTURES``, and which of them ``(N,)`` do not stand any more."""
    posed = poses.copy()
    kind = rng.choice(len(_POSTURES), len(poses), p=[posture.share for posture in _POSTURES])
    for number, posture in enumerate(_POSTURES[1:], start=1):
        rows = np.flatnonzero(kind == number)
        posed[rows] = _as(posture, posed[rows], skeleton, rng)
    return posed, kind > 0


def _as(posture: _Posture, poses: np.ndarray, skeleton: Skeleton, rng: np.random.Generator) -> np.ndarray:
    at = {joint: poses[:, number].copy() for number, joint in enumerate(skeleton.joints)}

    def angles(limits: tuple[float, float]) -> np.ndarray:
        return _about_x(np.radians(rng.uniform(*limits, len(poses))))

    fold, knees = angles(posture.fold), angles(posture.knees)
    upper = ("spine", "neck", "head", "head_top", *_pairs("shoulder", "elbow", "wrist"))
    for joint in upper:
        at[joint] = at["pelvis"] + _turned(fold, at[joint] - at["pelvis"])
    for side in ("l_", "r_"):
        at[side + "ankle"] = at[side + "knee"] + _turned(knees, at[side + "ankle"] - at[side + "knee"])
        if posture.arms:
            trunk = at["neck"] - at["pelvis"]
            reach = _turned(angles(posture.arms), trunk / np.linalg.norm(trunk, axis=1, keepdims=True))
            shoulder, elbow, wrist = (at[side + joint] for joint in ("shoulder", "elbow", "wrist"))
            lengths = [np.linalg.norm(b - a, axis=1)[:, None] for a, b in ((shoulder, elbow), (elbow, wrist))]
            at[side + "elbow"] = shoulder + reach * lengths[0]
            at[side + "wrist"] = at[side + "elbow"] + reach * lengths[1]
    lean = angles(posture.lean)
    return np.stack([_turned(lean, at[joint]) for joint in skeleton.joints], axis=1)


def _pairs(*joints: str) -> list[str]:
    return [f"{side}_{joint}" for joint in joints for side in "lr"]


def _turned(turns: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors ``(N, 3)`` turned by rotations ``(N, 3, 3)``."""
    return np.asarray((turns @ vectors[..., None])[..., 0])


def _about_x(angles: np.ndarray) -> np.ndarray:
    """Rotations ``(N, 3, 3)`` that take what is up (+Y) to the front (+Z), by ``angles`` ``(N,)``."""
    cos, sin = np.cos(angles), np.sin(angles)
    one, none = np.ones_like(cos), np.zeros_like(cos)
    return np.array([[one, none, none], [none, cos, -sin], [none, sin, cos]]).transpose(2, 0, 1)


def _turns(lying: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotations ``(N, 3, 3)``: yaw about the vertical, then the pitch of the camera.

    Who does not stand is filmed from a side mostly: seen from the head there is not much of a pose.
    """
    count = len(lying)
    kind = rng.choice(3, count, p=(0.55, 0.30, 0.15))
    kind[lying & (rng.random(count) < _FROM_A_SIDE)] = 1
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
    """Poses ``(N, K, 2)`` in units of the longer side of their box, whose centre is the origin.

    Raises ``ValueError`` for poses whose joints all lie in one point, or one of them nowhere.
    """
    low, high = poses.min(axis=1, keepdims=True), poses.max(axis=1, keepdims=True)
    side = (high - low).max(axis=2, keepdims=True)
    if wrong := np.count_nonzero(~(np.isfinite(side) & (side > 0))):
        raise ValueError(
            f"{wrong} of {len(poses)} poses have no extent, or joints without a place: leave them out"
        )
    return np.asarray((poses - (low + high) / 2) / side)


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
