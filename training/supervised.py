"""Our own two networks, learned from labels: what they can do where every picture tells its points.

As far as this is from the self-supervised model, so much the method has still to give; the rest is the
networks' own.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engines.network import PoseRegressor, SkeletonDrawer, as_input, initialise
from engines.render import render
from engines.skeleton import SKELETONS
from training import losses
from training.labelled import LabelledBatch, LabelledConfig, LabelledTask
from training.regressor import points_of


@dataclass(frozen=True)
class SupervisedConfig(LabelledConfig):
    """A run of them."""


class SupervisedNet(nn.Module):
    """Φ and η, both from random weights."""

    edges: Tensor

    def __init__(self, config: SupervisedConfig) -> None:
        super().__init__()
        skeleton = SKELETONS[config.skeleton]
        self.drawer = SkeletonDrawer(config.network.width, len(skeleton.layers))
        self.regressor = PoseRegressor(len(skeleton.joints), config.network, len(skeleton.layers))
        self.register_buffer("edges", torch.tensor(skeleton.layers), persistent=False)
        initialise(self)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures ``(B, 3, S, S)`` → skeleton images ``(B, L, S, S)``, points ``(B, K, 2)``, normalised."""
        drawn = self.drawer(image)
        return drawn, points_of(self.regressor.logits(drawn))

    def landmarks(self, image: Tensor) -> Tensor:
        """The points alone."""
        return self(image)[1]


class SupervisedTask(LabelledTask[SupervisedConfig]):
    """See ``LabelledTask``."""

    def network(self) -> SupervisedNet:
        """The networks before their first step."""
        return SupervisedNet(self.config)

    def loss(self, network: SupervisedNet, batch: LabelledBatch) -> Tensor:
        """How far drawings and points are from the labels'; to be called in autocast."""
        drawn, points = network(as_input(batch.image))
        wanted = render(batch.points, network.edges, drawn.shape[-1])
        return losses.drawing(drawn, wanted) + losses.distance(points, batch.points)
