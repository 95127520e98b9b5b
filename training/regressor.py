"""η learns to read skeleton images: nothing but poses is needed (KeypointGAN, supplement equation 1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.eager import has_bf16
from engines.network import PoseRegressor, initialise, move, soft_argmax
from engines.render import render
from engines.skeleton import SKELETONS
from training import checkpoint
from training.config import TrainConfig
from training.poses import PosePrior
from training.processes import ALONE, Processes

_SAVE_EVERY = 1000
_REPORT_EVERY = 250
_LARGEST_NORM = 1.0  # of the gradients of one optimiser


def pretrain(
    path: Path,
    prior: PosePrior,
    config: TrainConfig,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
    stopping: Callable[[], bool],
    processes: Processes = ALONE,
) -> PoseRegressor | None:
    """η₀ of a run, trained to its end; ``path`` is its checkpoint, from which it goes on if it is there.

    ``report`` gets step and mean error, in percent of the crop's side, now and then. None when
    ``stopping`` asked to stop before the end: then the checkpoint holds how far it came. Several
    ``processes`` share each batch; the first reports and saves.
    """
    torch.manual_seed(config.seed)
    skeleton = SKELETONS[config.skeleton]
    regressor = PoseRegressor(len(skeleton.joints), config.network, len(skeleton.layers))
    initialise(regressor)
    move(regressor, device)
    edges = torch.tensor(skeleton.layers, device=device)
    optimiser = torch.optim.Adam(regressor.parameters(), config.regressor_lr, betas=(0.5, 0.999))
    step, stopped = 0, False
    if stored := checkpoint.resume(path, config, processes):
        regressor.load_state_dict(stored["regressor"])
        optimiser.load_state_dict(stored["optimiser"])
        step = stored["step"]
    while step < config.regressor_steps and not stopped:
        step += 1
        for group in optimiser.param_groups:
            group["lr"] = config.regressor_lr * (
                0.5 + 0.5 * math.cos(math.pi * step / config.regressor_steps)
            )
        rng = np.random.default_rng([config.seed, step])
        poses = processes.share(prior.sample(config.regressor_batch, rng)).to(device)
        drawn = render(poses, edges, config.network.input_size)
        with autocast(device):
            logits = regressor.logits(drawn)
        loss = F.mse_loss(points_of(logits), poses)
        descend(optimiser, loss, processes)
        stopped = stopping()
        ended = stopped or step == config.regressor_steps
        if step % _REPORT_EVERY == 0 or ended:
            with processes.agreed():
                if processes.first:
                    error = reading_error(regressor, prior, edges, config)
                    report({"regressor_step": step, "error_percent": error})
        if step % _SAVE_EVERY == 0 or ended:
            state = {"regressor": regressor.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
            with processes.agreed():
                if processes.first:
                    checkpoint.save(path, config, state)
    return regressor if step == config.regressor_steps else None


@torch.no_grad()
def reading_error(regressor: PoseRegressor, prior: PosePrior, edges: Tensor, config: TrainConfig) -> float:
    """Mean distance between poses and what η reads from their drawings, in percent of the side."""
    poses = prior.sample(512, np.random.default_rng(12345)).to(edges.device)
    read = torch.cat([regressor(render(part, edges, config.network.input_size)) for part in poses.split(64)])
    return 50 * (read - poses).norm(dim=-1).mean().item()


def autocast(device: torch.device) -> torch.autocast:
    """bf16 for convolutions; renderer, soft-argmax and losses stay in float32 by their own casts.

    Where the processor only imitates bf16, all is in float32: that is many times as fast.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or has_bf16())


def descend(optimiser: torch.optim.Optimizer, loss: Tensor, processes: Processes, *normed: nn.Module) -> None:
    """One step down the mean of all processes' losses; the norm of its gradient is clipped.

    What the batch norms of ``normed`` keep is averaged in the same exchange as the gradients.
    """
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [each for group in optimiser.param_groups for each in group["params"]]
    gradients = [each.grad for each in parameters if each.grad is not None]
    kept = [each for network in normed for each in network.buffers() if each.is_floating_point()]
    processes.average([*gradients, *kept])
    nn.utils.clip_grad_norm_(parameters, _LARGEST_NORM)
    optimiser.step()


def points_of(logits: Tensor) -> Tensor:
    """Soft-argmax outside of autocast."""
    return soft_argmax(logits)[0]
