"""Unpaired poses: the prior, jittered and placed in the crop as the pictures are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engines.skeleton import Skeleton
from training import projection
from training.augment import apply_maps, crop_maps, jittered_boxes
from training.config import Jitter, TrainConfig
from training.index import load_arrays

_VIEWS = 30_000  # of the poses in space of one file


class PosePrior:
    """Poses, each brought into its own box: centre (0, 0), longer side 1; and their mirror images.

    ``poses`` ``(2 N, K, 2)``, and how often each is drawn: ``weights`` ``(2 N,)``, which add up to 1.
    ``views`` ``(M, K, 3)``: those with a depth, as ``projection.project`` gives them; M may be 0. How often
    each of them is drawn: ``view_weights`` ``(M,)``, which add up to 1.
    """

    def __init__(
        self,
        poses: np.ndarray,
        skeleton: Skeleton,
        config: TrainConfig,
        weights: np.ndarray | None = None,
        views: np.ndarray | None = None,
        view_weights: np.ndarray | None = None,
    ) -> None:
        """``poses`` ``(N, K, 2)`` and how often each is drawn, ``weights`` ``(N,)``: by default alike.

        The same of ``views`` and their weights. Raises ``ValueError`` for poses of another skeleton, and as
        ``projection.in_own_box`` does.
        """
        _check_shape(poses, skeleton)
        poses = projection.in_own_box(poses)
        mirrored = poses[:, skeleton.mirror] * [-1, 1]
        self.poses = np.concatenate([poses, mirrored]).astype(np.float32)
        self.weights = np.tile(_shares(weights, len(poses)), 2) / 2
        self._config = config
        self.views = np.empty((0, len(skeleton.joints), 3), np.float32) if views is None else views
        self.view_weights = _shares(view_weights, len(self.views))

    @property
    def mean(self) -> np.ndarray:
        """``(K, 2)``: the mean pose; symmetric, since every pose is there with its mirror image."""
        return np.average(self.poses, axis=0, weights=self.weights).astype(np.float32)

    def sample(
        self, count: int, rng: np.random.Generator, jitters: tuple[Jitter, ...] | None = None
    ) -> Tensor:
        """Placed poses ``(count, K, 2)``, normalised crop coordinates.

        A crop strays from its true box by the error of its estimate and by the training's jitter:
        so do these, unless other ``jitters`` are given. A little aspect noise widens the set.
        """
        poses = self.poses[rng.choice(len(self.poses), size=count, p=self.weights)]
        poses = poses * np.exp(0.03 * rng.standard_normal((count, 1, 2))).astype(np.float32)
        boxes = np.tile([0.0, 0.0, self._config.crop_scale, 0.0], (count, 1))
        for jitter in jitters or (self._config.jitter, self._config.box_noise):
            boxes = jittered_boxes(boxes, jitter, rng)
        return place(torch.from_numpy(poses), boxes, self._config.network.input_size)


def _check_shape(poses: np.ndarray, skeleton: Skeleton, source: str = "") -> None:
    if poses.ndim != 3 or poses.shape[1:] != (len(skeleton.joints), 2):
        raise ValueError(
            f"{source}poses {poses.shape} do not fit {skeleton.name}: want (N, {len(skeleton.joints)}, 2)"
        )


def _shares(weights: np.ndarray | None, count: int) -> np.ndarray:
    """``weights`` ``(count,)``, by default alike, so that they add up to 1."""
    weights = np.ones(count) if weights is None else weights
    return np.asarray(weights / weights.sum() if count else weights)


def place(poses: Tensor, boxes: np.ndarray, size: int) -> Tensor:
    """Poses ``(B, K, 2)`` in frame coordinates as crops at ``boxes`` ``(B, 4)`` see them, normalised."""
    return apply_maps(poses, torch.from_numpy(np.linalg.inv(crop_maps(boxes, size))))


def load_prior(folder: Path, skeleton: Skeleton, config: TrainConfig) -> PosePrior:
    """All poses in the ``*.npz`` under ``folder``; ``subset``, or the file's name, is their source, to weigh.

    A file holds ``pts`` ``(N, K, 2)``, or ``poses`` or ``joints`` ``(N, J, 2 or 3)`` whose joints are named:
    in space they are seen by a camera, in a picture what joints they lack is put between the others.
    Of all that, ``config.prior_size`` poses or, at 0, every one. Raises ``ValueError`` where none is left,
    and for poses that do not fit.
    """
    rng = np.random.default_rng(config.seed)
    found: list[np.ndarray] = []
    views: list[np.ndarray] = []
    flat: list[np.ndarray] = []
    seen: list[int] = []  # which of those found are views, and which flat
    drawn: list[int] = []
    source: list[str] = []
    left_out: list[str] = []
    for path in sorted(folder.rglob("*.npz")):
        arrays = load_arrays(path)
        if config.prior_weights.get(path.stem) == 0:
            left_out.append(path.stem)
            continue
        if "pts" in arrays:
            _check_shape(arrays["pts"], skeleton, f"{path}: ")
            found.append(arrays["pts"])
            source += list(arrays.get("subset", np.full(len(arrays["pts"]), path.stem)))
        elif {"poses", "joints"} <= arrays.keys() or {"joints", "joint_names"} <= arrays.keys():
            poses, joints = _named(path, arrays)
            if poses.shape[2] == 3:
                seen.append(len(found))
                views.append(_views(path, poses, joints, skeleton, rng))
                poses = views[-1][..., :2]
            else:
                drawn.append(len(found))
                poses = projection.in_own_box(projection.complete(poses, joints, skeleton))
                flat.append(poses)
            found.append(poses)
            source += [path.stem] * len(poses)
    if not found and not left_out:
        raise ValueError(f"no poses under {folder}: want *.npz files with an array pts (N, K, 2)")
    names, index, counts = np.unique(source, return_inverse=True, return_counts=True)
    if config.prior_weights.keys() & set(names):
        shares = np.array([config.prior_weights.get(str(name), 1 / len(names)) for name in names])
    else:  # nobody weighs them: every pose counts alike
        shares = counts
    if not shares.any():
        raise ValueError(
            f"no poses left under {folder}: prior_weights of {', '.join([*left_out, *names])} are 0"
        )
    weights = (shares / counts)[index]
    if config.prior_size:
        if views:
            raise ValueError(f"prior_size counts poses in pictures, those under {folder} are in space")
        chosen = _chosen(weights, config)
        return PosePrior(np.concatenate(found)[chosen], skeleton, config)
    if not views:
        return PosePrior(np.concatenate(found), skeleton, config, weights)
    if flat:
        views.append(projection.lift(np.concatenate(flat), np.concatenate(views)))
    of_each = np.split(weights, np.cumsum([len(each) for each in found])[:-1])
    view_weights = np.concatenate([of_each[number] for number in seen + drawn])
    return PosePrior(np.concatenate(found), skeleton, config, weights, np.concatenate(views), view_weights)


def _chosen(weights: np.ndarray, config: TrainConfig) -> np.ndarray:
    """Indices of ``prior_size`` different poses, drawn as their weights are; the ten are among the fifty."""
    there = np.count_nonzero(weights)
    if not 0 < config.prior_size <= there:
        raise ValueError(
            f"prior_size {config.prior_size}: want 1 to {there}, as many as there are, or 0: all"
        )
    # Who comes first when each arrives at its own rate: no one's turn depends on how many are wanted.
    arrivals = np.full(len(weights), np.inf)
    waits = np.random.default_rng(config.seed).exponential(size=len(weights))
    np.divide(waits, weights, out=arrivals, where=weights > 0)
    return np.argsort(arrivals)[: config.prior_size]


def _named(path: Path, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """Poses ``(N, J, 2 or 3)`` of the people who stand upright, if that is known, and their joints' names."""
    poses, names = (
        (arrays["poses"], arrays["joints"])
        if "poses" in arrays
        else (arrays["joints"], arrays["joint_names"])
    )
    if poses.ndim != 3 or poses.shape[1] != len(names) or poses.shape[2] not in (2, 3):
        raise ValueError(
            f"{path}: poses of shape {poses.shape} do not fit its {len(names)} joints, in space or a picture"
        )
    return poses[arrays["upright"].astype(bool)] if "upright" in arrays else poses, names.tolist()


def _views(
    path: Path, poses: np.ndarray, names: list[str], skeleton: Skeleton, rng: np.random.Generator
) -> np.ndarray:
    """So many views ``(M, K, 3)`` of poses ``(N, J, 3)``, each from a direction of its own."""
    if set(skeleton.joints) - set(names):
        raise ValueError(f"{path}: its poses are not of {skeleton.name}")
    order = [names.index(joint) for joint in skeleton.joints]
    chosen = rng.integers(len(poses), size=_VIEWS)
    return projection.project(poses[chosen][:, order], skeleton, rng)
