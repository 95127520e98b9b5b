"""Labelled pictures, for the methods that the paper is compared with. Its own never learns from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from engines import crop
from engines.network import NetworkConfig
from engines.skeleton import SKELETONS, Skeleton
from training.augment import jittered_boxes, random_colours
from training.config import Jitter, Recipe
from training.index import label_files, read_labelled
from training.poses import place

_HELD_OUT = 10  # one picture in so many is only measured on


@dataclass(frozen=True)
class LabelledConfig(Recipe):
    """A run that learns from labels."""

    skeleton: str = "face68"
    crop_scale: float = 1.5
    network: NetworkConfig = field(default_factory=NetworkConfig)
    seed: int = 0
    steps: int = 20_000
    batch: int = 32
    lr: float = 1e-3
    ema: float = 0.999
    jitter: Jitter = field(default_factory=lambda: Jitter(scale=0.1, shift=0.06, roll=15.0))


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures, RGB, and their landmarks ``points`` ``(N, K, 2)`` in pixels."""

    images: list[np.ndarray]
    points: np.ndarray

    def boxes(self, crop_scale: float) -> np.ndarray:
        """The crops ``(N, 4)`` that an evaluation cuts."""
        return crop.landmark_boxes(self.points, crop_scale)

    def where(self, chosen: np.ndarray) -> Self:
        """The part that ``chosen`` ``(N,)`` marks."""
        kept = [image for image, keep in zip(self.images, chosen, strict=True) if keep]
        return type(self)(kept, self.points[chosen])


def load_labels(data: Path, skeleton: Skeleton) -> tuple[LabelledPictures, LabelledPictures]:
    """What ``data/labels/NAME_train.npz`` tell of ``data/train/NAME/images``: to learn from, and held out.

    Raises ``ValueError`` when there are none, or they are of another skeleton.
    """
    images: list[np.ndarray] = []
    points: list[np.ndarray] = []
    for path, folder in label_files(data):
        here, own = read_labelled(path, folder)
        if own.shape[1:] != (len(skeleton.joints), 2):
            raise ValueError(f"{path}: pts of shape {own.shape} are not of {skeleton.name}")
        images += here
        points.append(own)
    if len(images) <= 1:
        raise ValueError(
            f"no labelled pictures: want {data}/labels/NAME_train.npz of {data}/train/NAME/images"
        )
    everything = LabelledPictures(images, np.concatenate(points))
    held_out = np.arange(len(images)) % _HELD_OUT == 0
    return everything.where(~held_out), everything.where(held_out)


@dataclass(frozen=True)
class LabelledBatch:
    """``image`` ``(B, S, S, 3)`` uint8 with ``points`` ``(B, K, 2)``, normalised."""

    image: Tensor
    points: Tensor

    def to(self, device: torch.device) -> LabelledBatch:
        """The batch on another device."""
        return LabelledBatch(self.image.to(device), self.points.to(device))


def labelled_batch(
    pictures: LabelledPictures,
    skeleton: Skeleton,
    count: int,
    size: int,
    crop_scale: float,
    jitter: Jitter,
    rng: np.random.Generator,
) -> LabelledBatch:
    """``count`` crops of ``size`` px, moved, mirrored and coloured at random."""
    chosen = rng.integers(len(pictures.images), size=count)
    boxes = jittered_boxes(pictures.boxes(crop_scale)[chosen], jitter, rng)
    points = place(torch.from_numpy(pictures.points[chosen]), boxes, size)
    flipped = rng.random(count) < 0.5
    crops = []
    for index, box, flip in zip(chosen, boxes, flipped, strict=True):
        seen = cv2.LUT(crop.cut(pictures.images[index], box, size)[0], random_colours(rng)[None])
        crops.append(seen[:, ::-1] if flip else seen)
    mirrored = points[:, torch.from_numpy(skeleton.mirror)] * torch.tensor([-1.0, 1.0])
    points = torch.where(torch.from_numpy(flipped)[:, None, None], mirrored, points)
    return LabelledBatch(torch.from_numpy(np.stack(crops)), points)


Config = TypeVar("Config", bound=LabelledConfig)


class LabelledTask(Generic[Config]):
    """What a network learns from labelled ``pictures``; which network, and by what loss, its kinds say."""

    def __init__(self, config: Config, pictures: LabelledPictures) -> None:
        self.config, self._pictures = config, pictures

    def describe(self) -> str:
        """For people, and the card."""
        return f"{len(self._pictures.images)} labelled pictures"

    def batches(self, first: int) -> Iterator[LabelledBatch]:
        """Batches from ``first`` on, without end; each depends on the seed and its number alone."""
        config = self.config
        for number in count(first):
            yield labelled_batch(
                self._pictures,
                SKELETONS[config.skeleton],
                config.batch,
                config.network.input_size,
                config.crop_scale,
                config.jitter,
                np.random.default_rng([config.seed, number]),
            )

    def finish(self, network: nn.Module) -> None:
        """Nothing: it gives landmarks as it is."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing beside the network."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse."""
