"""How good a run looks without a label: to choose among seeds and checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from engines.network import PoseRegressor, SkeletonDrawer, as_input
from engines.render import render
from engines.skeleton import Skeleton
from training import losses
from training.images import Batch
from training.networks import Decoder
from training.perceptual import PerceptualLoss


@torch.no_grad()
def label_free_score(
    nets: tuple[SkeletonDrawer, Decoder, PoseRegressor],
    perceptual: PerceptualLoss,
    skeleton: Skeleton,
    batch: Batch,
    bottleneck: bool = True,
) -> dict[str, float]:
    """Measures on held-out pictures, lower is better, and ``score``, which adds them up.

    ``held_out_reconstruction``: perceptual error as a share of that between two pictures of the batch;
    ``held_out_equivariance``: mean distance of the points of two crops of a picture, percent of the crop's
    side; ``held_out_cycle``: mean squared difference of y and β(η(y)). Without the ``bottleneck`` Ψ sees y.
    """
    drawer, decoder, regressor = nets
    target, view = as_input(batch.image), as_input(batch.view)
    edges = torch.tensor(skeleton.layers, device=target.device)
    drawn = drawer(target)
    points, view_points = regressor(drawn), regressor(drawer(view))
    clean = render(points, edges, target.shape[-1])
    redrawn = decoder(clean if bottleneck else drawn, as_input(batch.other))
    mirror = torch.from_numpy(skeleton.mirror).to(target.device)
    apart = losses.equivariance(points, batch.maps, view_points, batch.view_maps, batch.mirrored, mirror)
    measures = {
        "held_out_reconstruction": _share(perceptual, redrawn, target),
        "held_out_equivariance": 50 * apart.item(),
        "held_out_cycle": F.mse_loss(clean, drawn).item(),
    }
    # Each is near 1 for a run that has not begun and falls several times over in one that succeeds.
    score = (
        measures["held_out_reconstruction"]
        + measures["held_out_equivariance"] / 5
        + measures["held_out_cycle"] / 0.1
    )
    return {**measures, "score": score}


def _share(perceptual: PerceptualLoss, drawn: Tensor, target: Tensor) -> float:
    pairs = zip(perceptual.trunk(drawn), perceptual.trunk(target), strict=True)
    shares = [
        F.mse_loss(a.float(), b.float()) / F.mse_loss(b.float(), b.float().roll(1, 0)) for a, b in pairs
    ]
    return torch.stack(shares).mean().item()
