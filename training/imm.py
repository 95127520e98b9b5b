"""IMM, the method before the paper's: points that nobody names (Jakab, Gupta, Bilen, Vedaldi, NeurIPS 2018).

A frame is painted from the looks of another and from K points of its own, each a Gaussian: these come to mark
what moves. A linear map, fitted on labelled pictures, makes landmarks of them. Encoder, perceptual loss,
pictures and crops are those of our landmark models; the recipe is IMM's where we know it, else ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from engines import crop
from engines.network import Encoder, NetworkConfig, as_input, conv_block, initialise, soft_argmax, upsample
from engines.render import normalise, to_pixels
from engines.skeleton import SKELETONS
from training.benchmarks import regression
from training.config import PRESETS, Jitter, Recipe, TrainConfig
from training.images import Batch, Pictures
from training.labelled import LabelledPictures
from training.perceptual import PerceptualLoss

_SPREAD = 0.1  # standard deviation of a point's Gaussian, normalised, as IMM has it
_AT_ONCE = 64  # crops


@dataclass(frozen=True)
class ImmConfig(Recipe):
    """A run of IMM, as long as one of the face model. ``points``: how many it is to find."""

    skeleton: str = "face68"
    crop_scale: float = 1.5
    network: NetworkConfig = field(default_factory=NetworkConfig)
    points: int = 30
    seed: int = 0
    steps: int = 40_000
    batch: int = 64
    lr: float = 1e-3
    ema: float = 0.999
    jitter: Jitter = field(default_factory=Jitter)
    set_weights: dict[str, float] = field(default_factory=lambda: dict(PRESETS["face"].set_weights))

    @property
    def sampling(self) -> TrainConfig:
        """What ``Pictures`` is told: pairs of frames, or of a still and its warp, and none masked."""
        return TrainConfig(
            self.skeleton,
            self.crop_scale,
            self.network,
            self.seed,
            batch=self.batch,
            jitter=self.jitter,
            masked=0.0,
            set_weights=self.set_weights,
        )


class Imm(nn.Module):
    """Points of a picture, the picture painted from them, and the landmarks that they are mapped to."""

    regression: Tensor

    def __init__(self, config: ImmConfig) -> None:
        super().__init__()
        width, size, map_size = config.network.width, config.network.input_size, config.network.map_size
        halvings = (size // map_size).bit_length() - 1
        self.pose = Encoder(3, config.points, width, halvings=halvings)
        self.appearance = Encoder(3, 8 * width, width, halvings=halvings)
        channels = [8 * width + config.points, *(8 * width >> level for level in range(halvings + 1))]
        self.levels = nn.ModuleList(
            nn.Sequential(conv_block(inputs, outputs, 3), conv_block(outputs, outputs, 3))
            for inputs, outputs in pairwise(channels)
        )
        self.output = nn.Conv2d(channels[-1], 3, 3, padding=1)
        joints = len(SKELETONS[config.skeleton].joints)
        # Double: of points that lie together the weights are large and cancel out.
        self.register_buffer("regression", torch.zeros(2 * config.points, 2 * joints, dtype=torch.float64))
        initialise(self)

    def forward(self, image: Tensor, other: Tensor) -> Tensor:
        """``image`` ``(B, 3, S, S)`` painted from its own points and the looks of ``other``."""
        logits = self.pose(image)[-1]
        points, _ = soft_argmax(logits)
        maps = gaussian_maps(points, logits.shape[-1], _SPREAD)
        painted = torch.cat([maps, self.appearance(other)[-1]], 1)
        for number, level in enumerate(self.levels):
            painted = level(upsample(painted) if number else painted)
        return self.output(painted)

    def landmarks(self, image: Tensor) -> Tensor:
        """Landmarks ``(B, J, 2)`` of pictures ``(B, 3, S, S)``, normalised, by the linear map."""
        size = image.shape[-1]
        mapped = (self._found(image).flatten(1) @ self.regression).unflatten(1, (-1, 2))
        return normalise(mapped * size - 0.5, size).float()

    def _found(self, image: Tensor) -> Tensor:
        """Points ``(B, K, 2)``, from 0 to 1 over the crop."""
        size = image.shape[-1]
        points, _ = soft_argmax(self.pose(image)[-1])
        return (to_pixels(points.double(), size) + 0.5) / size

    @torch.no_grad()
    def fit(self, pictures: LabelledPictures, config: ImmConfig) -> None:
        """Find the linear map, as ``benchmarks.regression`` does, in undisturbed crops of ``pictures``."""
        boxes = pictures.boxes(config.crop_scale)
        pairs = zip(pictures.images, boxes, strict=True)
        crops = torch.from_numpy(
            np.concatenate([crop.cut(image, box, config.network.input_size) for image, box in pairs])
        )
        device = self.regression.device
        found = [self._found(as_input(part.to(device))).cpu().numpy() for part in crops.split(_AT_ONCE)]
        weights = regression.fit(np.concatenate(found), regression.in_crops(pictures.points, boxes))
        self.regression.copy_(torch.from_numpy(weights))


def gaussian_maps(points: Tensor, size: int, spread: float) -> Tensor:
    """A map ``(B, K, size, size)`` float32 a point of ``(B, K, 2)``: 1 there, less around it; normalised."""
    line = torch.linspace(-1, 1, size, device=points.device)
    x, y = torch.exp(-(points.float()[..., None] - line).square() / (2 * spread**2)).unbind(2)
    return y[..., None] * x[..., None, :]


class ImmTask:
    """What IMM learns from, and how well it does."""

    def __init__(
        self,
        data: Path,
        config: ImmConfig,
        pictures: LabelledPictures,
        perceptual: PerceptualLoss,
        device: torch.device,
    ) -> None:
        """``pictures`` are for the linear map alone; raises ``ValueError`` when they are too few for it."""
        if len(pictures.images) < 2 * config.points:
            raise ValueError(
                f"a linear map from {config.points} points takes {2 * config.points} labelled pictures or"
                f" more: there are {len(pictures.images)}; --set points={len(pictures.images) // 2}"
            )
        self._config, self._labelled = config, pictures
        self._pictures = Pictures(data / "train", config.sampling)
        self._perceptual = perceptual.to(device)

    def describe(self) -> str:
        """For people, and the card."""
        return f"{len(self._pictures)} unlabelled pictures, {len(self._labelled.images)} labelled for the map"

    def network(self) -> Imm:
        """The network before its first step."""
        return Imm(self._config)

    def batches(self, first: int) -> Iterator[Batch]:
        """Batches from ``first`` on, without end."""
        return self._pictures.batches(first)

    def loss(self, network: Imm, batch: Batch) -> Tensor:
        """How far the picture painted is from the one there is; to be called in autocast."""
        target = as_input(batch.image)
        return self._perceptual(network(target, as_input(batch.other)), target)

    def finish(self, network: Imm) -> None:
        """Make landmarks of its points."""
        network.fit(self._labelled, self._config)

    def state_dict(self) -> dict[str, Any]:
        """The running means of the loss."""
        return {"perceptual_running": self._perceptual.running}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse."""
        self._perceptual.running.copy_(state["perceptual_running"])
