"""η learns to read skeleton images: nothing but poses is needed (KeypointGAN, supplement equation 1)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engines.network import PoseRegressor, initialise, move, soft_argmax
from engines.render import render
from engines.skeleton import Skeleton
from training.config import TrainConfig
from training.poses import PosePrior


def pretrain(
    prior: PosePrior,
    skeleton: Skeleton,
    config: TrainConfig,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> PoseRegressor:
    """A trained η; ``report`` gets its step and mean error, in percent of the crop's side, now and then."""
    rng = np.random.default_rng(config.seed)
    torch.manual_seed(config.seed)
    regressor = PoseRegressor(len(skeleton.joints), config.network)
    initialise(regressor)
    move(regressor, device)
    edges = torch.tensor(skeleton.edges, device=device)
    optimiser = torch.optim.Adam(regressor.parameters(), config.regressor_lr, betas=(0.5, 0.999))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: 0.5 + 0.5 * math.cos(math.pi * min(1, step / config.regressor_steps))
    )
    for step in range(1, config.regressor_steps + 1):
        poses = prior.sample(config.regressor_batch, rng).to(device)
        drawn = render(poses, edges, config.network.input_size)
        with autocast(device):
            logits = regressor.logits(drawn)
        loss = F.mse_loss(points_of(logits), poses)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(regressor.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 250 == 0 or step == config.regressor_steps:
            report({"regressor_step": step, "error_percent": reading_error(regressor, prior, edges, config)})
    return regressor


@torch.no_grad()
def reading_error(regressor: PoseRegressor, prior: PosePrior, edges: Tensor, config: TrainConfig) -> float:
    """Mean distance between poses and what η reads from their drawings, in percent of the side."""
    poses = prior.sample(512, np.random.default_rng(12345)).to(edges.device)
    read = torch.cat([regressor(render(part, edges, config.network.input_size)) for part in poses.split(64)])
    return 50 * (read - poses).norm(dim=-1).mean().item()


def autocast(device: torch.device) -> torch.autocast:
    """bf16 for convolutions; renderer, soft-argmax and losses stay in float32 by their own casts."""
    return torch.autocast(device.type, torch.bfloat16)


def points_of(logits: Tensor) -> Tensor:
    """Soft-argmax outside of autocast."""
    return soft_argmax(logits)[0]
