"""Pictures that Ψ paints of poses of the prior, which nobody has taken: two studies judge them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from engines.network import SkeletonDrawer, initialise, move
from training import losses
from training.networks import Decoder, ImageDiscriminator, frozen
from training.processes import Processes
from training.regressor import autocast, descend

_WEIGHT = 10.0  # of either study's loss: the paper has no other for any that it adds up


class SecondCycle:
    """From a pose of the prior over x̃ = Ψ(ȳ, x'), its picture in the looks of x', back to ȳ = Φ(x̃)."""

    def loss(self, drawer: SkeletonDrawer, decoder: Decoder, real: Tensor, appearance: Tensor) -> Tensor:
        """For Φ and Ψ, of drawn poses ``(B, L, S, S)`` and x' ``(B, 3, S, S)``; to be called in autocast."""
        painted = decoder(real, appearance)
        # What the batch norms of Φ keep is to be of pictures alone.
        drawer.eval()
        drawn = drawer(painted)
        drawer.train()
        return _WEIGHT * losses.drawing(drawn, real)

    def learn(self, target: Tensor, appearance: Tensor, lr: float, processes: Processes) -> dict[str, Tensor]:
        """Nothing: it has no network of its own."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse."""


class ImageJudge:
    """D_X: it is to take x̃ = Ψ(ȳ, x') for a picture where x' is seen beside it, as it takes x."""

    def __init__(self, width: int, lr: float, betas: tuple[float, float], device: torch.device) -> None:
        self.network = ImageDiscriminator(width)
        initialise(self.network)
        move(self.network, device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr, betas=betas)
        self._painted = torch.empty(0)

    def loss(self, drawer: SkeletonDrawer, decoder: Decoder, real: Tensor, appearance: Tensor) -> Tensor:
        """As ``SecondCycle`` has it; Φ has no part in it."""
        painted = decoder(real, appearance)
        self._painted = painted.detach().float()
        with frozen(self.network):
            return _WEIGHT * losses.adversarial([self.network(painted, appearance)], real=True)

    def learn(self, target: Tensor, appearance: Tensor, lr: float, processes: Processes) -> dict[str, Tensor]:
        """A step of D_X on what was painted last, and on x and x'; its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        with autocast(target.device):
            images = torch.cat([target, self._painted])
            on_real, on_fake = self.network(images, appearance.repeat(2, 1, 1, 1)).chunk(2)
        loss = (losses.adversarial([on_real], True) + losses.adversarial([on_fake], False)) / 2
        descend(self.optimiser, loss, processes)
        return {"image_discrimination": loss.detach()}

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {"network": self.network, "optimiser": self.optimiser}

    def state_dict(self) -> dict[str, Any]:
        """Weights and optimiser."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
