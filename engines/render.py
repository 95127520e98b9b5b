"""β: landmarks → skeleton image, differentiable. KeypointGAN, equation 2 and the authors' renderer.

Every edge is a line of intensity ``exp(-sharpness * d)``, d the distance to the segment in
normalised units; edges are combined by their maximum and the result is stretched to [-1, 1]. The
distance is not squared, as in the authors' code, so the profile is a cusp: at 128 px and the
default sharpness it falls to half at 1.8 px.
"""

from __future__ import annotations

import torch
from torch import Tensor

SHARPNESS = 25.0  # 1 / 0.2²
_DISTANCE_EPS = 1e-6  # keeps the root differentiable on the line itself
_LENGTH_EPS = 1e-6  # keeps an edge of no length a point


def normalise(points: Tensor, size: int) -> Tensor:
    """Pixels of a picture ``size`` wide → [-1, 1], with -1 and 1 on the outer pixel centres."""
    return points * (2 / (size - 1)) - 1


def to_pixels(points: Tensor, size: int) -> Tensor:
    """The inverse of ``normalise``."""
    return (points + 1) * ((size - 1) / 2)


def render(points: Tensor, edges: Tensor, size: int, sharpness: float = SHARPNESS) -> Tensor:
    """Skeleton images ``(B, L, size, size)`` float32 in [-1, 1].

    ``points`` ``(B, K, 2)`` normalised (x, y); ``edges`` ``(L, E, 2)`` int64, those of each channel, or
    ``(E, 2)`` for one. Differentiable in ``points``: each pixel follows the edge nearest to it, which is
    what the maximum does.
    """
    points = points.float()
    layers, count = edges.shape[:-2].numel(), edges.shape[-2]
    start, end = points[:, edges.flatten()].view(-1, count, 2, 2).unbind(2)
    with torch.no_grad():
        distances2 = _squared_distances(start, end - start, size)
    if torch.is_grad_enabled() and points.requires_grad:
        # Only the nearest edge of a pixel has a gradient: it is measured again, with one.
        distance2 = _squared_distance_to(start, end, distances2.min(1).indices, size)  # argmin is slow
    else:
        distance2 = distances2.amin(1).clamp_min(0)
    intensity = torch.exp(-sharpness * (distance2 + _DISTANCE_EPS).sqrt())
    return (2 * intensity - 1).view(-1, layers, size, size)


def _squared_distances(start: Tensor, along: Tensor, size: int) -> Tensor:
    """Squared distance of every pixel to every edge, ``(B, E, size²)``; without a gradient.

    On the edge itself it may be negative, by rounding. Position along the edge, in units of length,
    and squared distance to its start are each a part of x plus a part of y; that and a few passes in
    place are all that happens at full size. A tensor (B, E, H, W, 2) is what made this the slowest
    part of training, and in (B, E, H, W) PyTorch's compiler sees a picture and puts edges innermost.
    """
    line = torch.linspace(-1, 1, size, device=start.device)
    offset = line - start.flatten(0, 1)[..., None]  # (B * E, 2, size)
    way = along.flatten(0, 1)[..., None]
    length = way.square().sum(1, keepdim=True).clamp_min(_LENGTH_EPS).sqrt()
    position = _x_plus_y(offset * way / length)
    distance2 = _x_plus_y(offset.square())
    on_edge = torch.minimum(position.clamp_min(0), length)
    distance2.sub_(position.mul_(2).sub_(on_edge).mul_(on_edge))
    return distance2.unflatten(0, start.shape[:2]).flatten(2)


def _x_plus_y(parts: Tensor) -> Tensor:
    """``(N, 2, size)``, of each column and of each row → their sums ``(N, size, size)``."""
    x, y = parts.unbind(1)
    return x[:, None] + y[..., None]


def _squared_distance_to(start: Tensor, end: Tensor, nearest: Tensor, size: int) -> Tensor:
    """Squared distance of every pixel to the edge ``nearest`` ``(B, size²)`` names for it."""
    index = nearest[..., None].expand(-1, -1, 2)
    from_, to = start.gather(1, index), end.gather(1, index)
    line = torch.linspace(-1, 1, size, device=start.device)
    pixel = torch.stack([line.repeat(size), line.repeat_interleave(size)], -1)  # x, y in row order
    along = to - from_
    length2 = along.square().sum(-1).clamp_min(_LENGTH_EPS)
    fraction = (((pixel - from_) * along).sum(-1) / length2).clamp(0, 1)
    return (pixel - from_ - fraction[..., None] * along).square().sum(-1)
