"""Losses: pure functions of tensors. Points are normalised crop coordinates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from training.augment import apply_maps


def adversarial(answers: Sequence[Tensor], real: bool) -> Tensor:
    """Least-squares GAN: how far each scale's answers are from ``real``, mean over scales."""
    target = 1.0 if real else 0.0
    return torch.stack([(answer.float() - target).square().mean() for answer in answers]).mean()


def drawing(drawn: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference of skeleton images ``(B, L, S, S)``; 0 of none."""
    return (drawn.float() - wanted).square().sum() / max(1, wanted.numel())


def distance(points: Tensor, wanted: Tensor) -> Tensor:
    """Mean distance of points ``(B, K, 2)`` from where they are wanted; 0 of none."""
    return (points - wanted).norm(dim=-1).sum() / max(1, wanted[..., 0].numel())


def equivariance(
    points: Tensor, maps: Tensor, other_points: Tensor, other_maps: Tensor, flip: Tensor, mirror: Tensor
) -> Tensor:
    """Mean distance between points of two crops of one picture, in the coordinates of the first.

    ``points`` ``(B, K, 2)``, ``maps`` ``(B, 3, 3)`` to frame pixels; where ``flip`` ``(B,)`` one crop
    is the other's mirror image and joints trade names by ``mirror`` ``(K,)``.
    """
    renamed = torch.where(flip[:, None, None], other_points[:, mirror], other_points)
    moved = apply_maps(renamed, inverse(maps) @ other_maps)
    return distance(points, moved)


def inverse(maps: Tensor) -> Tensor:
    """Maps ``(B, 3, 3)`` the other way round; unlike ``torch.linalg.inv`` it does not wait for a GPU."""
    found: Tensor = torch.linalg.inv_ex(maps).inverse
    return found


def in_boxes(points: Tensor, maps: Tensor, boxes: Tensor, mirror: Tensor) -> Tensor:
    """Points ``(B, K, 2)`` of crops in units of their pictures' landmark boxes, as prior poses are.

    ``maps`` ``(B, 3, 3)`` lead to frame pixels; ``boxes`` ``(B, 3)``: centre and longer side there;
    ``mirror`` ``(K,)`` renames the joints of crops that show their picture mirrored.
    """
    mirrored = torch.linalg.det(maps[:, :2, :2]) < 0
    named = torch.where(mirrored[:, None, None], points[:, mirror], points)
    return (apply_maps(named, maps) - boxes[:, None, :2]) / boxes[:, None, 2:]


class MeanShape:
    """Asks that the landmarks be, on average, where they are in the prior: what ties a drawn eye to the eye.

    A discriminator hardly sees a shift of half a standard deviation, and the reconstruction not at all:
    Φ and Ψ can agree on any. One box is off by several percent and one face is not the mean, so
    it is the running mean over batches that is compared, and its deviation that a batch is pulled along.
    """

    def __init__(
        self,
        target: Tensor,
        mirror: Tensor,
        memory: float = 0.9,
        across: Callable[[Tensor], Tensor] = lambda value: value,
    ) -> None:
        """``target`` ``(K, 2)``: the prior's mean; ``mirror`` ``(K,)``: the joints of a mirror image.

        ``across`` makes of this process's value the mean over all that share a batch.
        """
        self._target, self._mirror, self._memory, self._across = target, mirror, memory, across
        # Made here: to make it from numbers in every step would wait for a GPU.
        self._flip = torch.tensor([-1.0, 1.0], device=target.device)
        self.mean = target.clone()

    def __call__(self, points: Tensor, trusted: Tensor) -> Tensor:
        """Mean squared deviation of the running mean, with the gradient of this batch's part of it.

        ``points`` ``(B, K, 2)`` as ``in_boxes`` gives them; ``trusted`` ``(B,)``: 0 for what does not count.
        """
        count = self._across(trusted.sum())
        weight = trusted[:, None, None] / torch.where(count > 0, count, 1)
        here = (points * weight).sum(0)
        # The prior holds every pose with its mirror image: so do the pictures.
        here = (here + here[self._mirror] * self._flip) / 2
        seen = self._across(here.detach())
        # Not ``if``: a GPU would have to be waited for.
        self.mean = torch.where(count > 0, self._memory * self.mean + (1 - self._memory) * seen, self.mean)
        deviation = self.mean - self._target
        pull = 2 * (deviation * (here - here.detach())).mean()
        return deviation.square().mean() + pull
