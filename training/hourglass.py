"""A stacked hourglass (Newell, Yang, Deng, ECCV 2016), learned from labels: the paper's supervised neighbour.

Residual blocks, hourglasses, a heat map a joint after each of them, and squared differences from Gaussians as
published; smaller than there, with Adam, a log-parabola through each peak and our framing of crops.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.network import NetworkConfig, as_input
from engines.skeleton import SKELETONS
from training.imm import gaussian_maps
from training.labelled import LabelledBatch, LabelledConfig, LabelledTask

_SMALLEST = 4  # cells across where an hourglass is narrowest


@dataclass(frozen=True)
class HourglassConfig(LabelledConfig):
    """A run of it. ``network.width`` is that of an hourglass, ``map_size`` of its heat maps."""

    network: NetworkConfig = field(
        default_factory=lambda: NetworkConfig(input_size=128, width=256, map_size=32)
    )
    stacks: int = 2


class Residual(nn.Module):
    """Convolutions 1x1, 3x3, 1x1, half as wide between, each after batch norm and ReLU; past them a skip."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.layers = nn.Sequential(
            *(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, half, 1)),
            *(nn.BatchNorm2d(half), nn.ReLU(), nn.Conv2d(half, half, 3, padding=1)),
            *(nn.BatchNorm2d(half), nn.ReLU(), nn.Conv2d(half, outputs, 1)),
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, inputs, S, S)`` → ``(B, outputs, S, S)``."""
        return self.layers(image) + self.skip(image)


class Hourglass(nn.Module):
    """Down by halves and up again, with a residual block beside every level."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.beside, self.down, self.up = (Residual(width, width) for _ in range(3))
        self.inner = Hourglass(width, depth - 1) if depth > 1 else Residual(width, width)

    def forward(self, image: Tensor) -> Tensor:
        """``(B, width, S, S)`` → the same."""
        below = self.up(self.inner(self.down(F.max_pool2d(image, 2))))
        return self.beside(image) + F.interpolate(below, scale_factor=2.0, mode="nearest")


class StackedHourglass(nn.Module):
    """Pictures ``(B, 3, S, S)`` → heat maps ``(B, K, map, map)``, after each hourglass."""

    def __init__(self, config: HourglassConfig) -> None:
        super().__init__()
        size, width, map_size = config.network.input_size, config.network.width, config.network.map_size
        joints, halvings = len(SKELETONS[config.skeleton].joints), (size // map_size).bit_length() - 1
        depth = max(1, (map_size // _SMALLEST).bit_length() - 1)
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 4, 7, 2 if halvings else 1, 3),
            nn.BatchNorm2d(width // 4),
            nn.ReLU(),
            Residual(width // 4, width // 2),
            *(nn.MaxPool2d(2) for _ in range(halvings - 1)),
            Residual(width // 2, width // 2),
            Residual(width // 2, width),
        )
        self.hourglasses = nn.ModuleList(
            nn.Sequential(
                Hourglass(width, depth),
                Residual(width, width),
                *(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU()),
            )
            for _ in range(config.stacks)
        )
        heads = [nn.Conv2d(width, joints, 1) for _ in range(config.stacks)]
        self.maps = nn.ModuleList(heads)
        for head in heads:
            # Maps are nearly blank. Heads that begin louder have Adam unlearn that first, and its memory of
            # those gradients keeps every step small for a long time.
            nn.init.normal_(head.weight, 0, 1e-3)
            if head.bias is not None:
                nn.init.zeros_(head.bias)
        between = range(config.stacks - 1)
        self.features_on = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in between)
        self.maps_on = nn.ModuleList(nn.Conv2d(joints, width, 1) for _ in between)

    def forward(self, image: Tensor) -> list[Tensor]:
        """See the class."""
        carried = self.stem(image)
        answers: list[Tensor] = []
        for number, hourglass in enumerate(self.hourglasses):
            features = hourglass(carried)
            answers.append(self.maps[number](features))
            if number < len(self.features_on):
                carried = carried + self.features_on[number](features) + self.maps_on[number](answers[-1])
        return answers

    def landmarks(self, image: Tensor) -> Tensor:
        """Landmarks ``(B, K, 2)`` of pictures ``(B, 3, S, S)``, normalised."""
        return peaks(self(image)[-1])


def peaks(maps: Tensor) -> Tensor:
    """The highest point ``(B, K, 2)`` of each of ``maps`` ``(B, K, S, S)``, normalised, finer than a cell.

    Along x and y the logarithm of a Gaussian is a parabola, which the peak and its neighbours determine. A
    peak in an outer cell has one neighbour only, and stays in the middle of its cell.
    """
    size = maps.shape[-1]
    logs = F.pad(maps.float().clamp_min(1e-4).log(), (1, 1, 1, 1), mode="reflect").flatten(2)
    highest = maps.flatten(2).argmax(-1)
    column, row = highest % size, highest // size
    middle = (row + 1) * (size + 2) + column + 1
    found = []
    for cell, step in ((column, 1), (row, size + 2)):
        before, at, after = (
            logs.gather(2, (middle + shift)[..., None])[..., 0] for shift in (-step, 0, step)
        )
        # Flat where all three are alike: then the cell's own middle.
        bend = (2 * at - before - after).clamp_min(1e-6)
        found.append(cell + ((after - before) / (2 * bend)).clamp(-0.5, 0.5))
    return torch.stack(found, -1) * (2 / (size - 1)) - 1


class HourglassTask(LabelledTask[HourglassConfig]):
    """See ``LabelledTask``."""

    def network(self) -> StackedHourglass:
        """The network before its first step."""
        return StackedHourglass(self.config)

    def loss(self, network: StackedHourglass, batch: LabelledBatch) -> Tensor:
        """Squared difference of all heat maps from Gaussians a cell wide; to be called in autocast."""
        answers = network(as_input(batch.image))
        size = answers[0].shape[-1]
        wanted = gaussian_maps(batch.points, size, 2 / (size - 1))
        return torch.stack([F.mse_loss(each.float(), wanted) for each in answers]).sum()
