"""Losses: pure functions of tensors. Points are normalised crop coordinates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.augment import apply_maps


def adversarial(answers: Sequence[Tensor], real: bool) -> Tensor:
    """Least-squares GAN: how far each scale's answers are from ``real``, mean over scales."""
    target = 1.0 if real else 0.0
    return torch.stack([(answer.float() - target).square().mean() for answer in answers]).mean()


def equivariance(
    points: Tensor, maps: Tensor, other_points: Tensor, other_maps: Tensor, flip: Tensor, mirror: Tensor
) -> Tensor:
    """Mean distance between points of two crops of one picture, in the coordinates of the first.

    ``points`` ``(B, K, 2)``, ``maps`` ``(B, 3, 3)`` to frame pixels; where ``flip`` ``(B,)`` one crop
    is the other's mirror image and joints trade names by ``mirror`` ``(K,)``.
    """
    renamed = torch.where(flip[:, None, None], other_points[:, mirror], other_points)
    moved = apply_maps(renamed, torch.linalg.inv(maps) @ other_maps)
    return (points - moved).norm(dim=-1).mean()


def framing(points: Tensor, maps: Tensor, boxes: Tensor, trusted: Tensor) -> Tensor:
    """How far the landmarks' box is, on average over the batch, from the detector's.

    One estimate is off by several percent, their mean is not: so the mean of the deviations is
    squared, not the deviations. ``boxes`` ``(B, 3)``: centre and longer side in frame pixels;
    ``trusted`` ``(B,)``: whose box was estimated on that very picture.
    """
    seen = apply_maps(points, maps)
    low, high = seen.amin(1), seen.amax(1)
    centre = ((low + high) / 2 - boxes[:, :2]) / boxes[:, 2:]
    side = ((high - low).amax(1, keepdim=True) / boxes[:, 2:]).clamp_min(1e-3).log()
    deviation = torch.cat([centre, side], 1) * trusted[:, None]
    return (deviation.sum(0) / trusted.sum().clamp_min(1)).square().sum()
