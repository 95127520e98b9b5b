"""Unpaired poses: the prior, jittered and placed in the crop as the pictures are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engines.skeleton import Skeleton
from training.augment import apply_maps, crop_maps, jittered_boxes
from training.config import Jitter, TrainConfig
from training.index import load_arrays


class PosePrior:
    """Poses, each brought into its own box: centre (0, 0), longer side 1; and their mirror images."""

    def __init__(
        self, poses: np.ndarray, skeleton: Skeleton, config: TrainConfig, weights: np.ndarray | None = None
    ) -> None:
        """``poses`` ``(N, K, 2)`` and how often each is drawn, ``weights`` ``(N,)``: by default alike."""
        if poses.ndim != 3 or poses.shape[1:] != (len(skeleton.joints), 2):
            raise ValueError(
                f"poses {poses.shape} do not fit {skeleton.name}: want (N, {len(skeleton.joints)}, 2)"
            )
        low, high = poses.min(axis=1, keepdims=True), poses.max(axis=1, keepdims=True)
        poses = (poses - (low + high) / 2) / (high - low).max(axis=2, keepdims=True)
        mirrored = poses[:, skeleton.mirror] * [-1, 1]
        self.poses = np.concatenate([poses, mirrored]).astype(np.float32)
        weights = np.tile(np.ones(len(poses)) if weights is None else weights, 2)
        self._weights = weights / weights.sum()
        self._config = config

    @property
    def mean(self) -> np.ndarray:
        """``(K, 2)``: the mean pose; symmetric, since every pose is there with its mirror image."""
        return np.average(self.poses, axis=0, weights=self._weights).astype(np.float32)

    def sample(
        self, count: int, rng: np.random.Generator, jitters: tuple[Jitter, ...] | None = None
    ) -> Tensor:
        """Placed poses ``(count, K, 2)``, normalised crop coordinates.

        A crop strays from its true box by the error of its estimate and by the training's jitter:
        so do these, unless other ``jitters`` are given. A little aspect noise widens the set.
        """
        poses = self.poses[rng.choice(len(self.poses), size=count, p=self._weights)]
        poses = poses * np.exp(0.03 * rng.standard_normal((count, 1, 2))).astype(np.float32)
        boxes = np.tile([0.0, 0.0, self._config.crop_scale, 0.0], (count, 1))
        for jitter in jitters or (self._config.jitter, self._config.box_noise):
            boxes = jittered_boxes(boxes, jitter, rng)
        return place(torch.from_numpy(poses), boxes, self._config.network.input_size)


def place(poses: Tensor, boxes: np.ndarray, size: int) -> Tensor:
    """Poses ``(B, K, 2)`` in frame coordinates as crops at ``boxes`` ``(B, 4)`` see them, normalised."""
    return apply_maps(poses, torch.from_numpy(np.linalg.inv(crop_maps(boxes, size))))


def load_prior(folder: Path, skeleton: Skeleton, config: TrainConfig) -> PosePrior:
    """All ``*.npz`` under ``folder`` that hold ``pts``; ``subset`` names their sources, to weigh."""
    files = sorted(folder.rglob("*.npz"))
    found: list[np.ndarray] = []
    source: list[str] = []
    for path in files:
        arrays = load_arrays(path)
        if "pts" in arrays:
            found.append(arrays["pts"])
            source += list(arrays.get("subset", np.full(len(arrays["pts"]), path.stem)))
    if not found:
        raise ValueError(f"no poses under {folder}: want *.npz files with an array pts (N, K, 2)")
    names, index, counts = np.unique(source, return_inverse=True, return_counts=True)
    shares = np.array(
        [config.prior_weights.get(str(name), count) for name, count in zip(names, counts, strict=True)]
    )
    return PosePrior(np.concatenate(found), skeleton, config, (shares / counts)[index])
