"""The picture grid of a run: what a person must look at, as a GAN's losses say little."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from engines.network import PoseRegressor, SkeletonDrawer, as_input
from engines.render import render, to_pixels
from engines.skeleton import Skeleton
from tracker.overlay import Overlay, draw
from tracker.values import Frame, Landmarks, Result, Track
from training.images import Batch
from training.networks import Decoder

TILE = 128


@torch.no_grad()
def write_grid(
    path: Path,
    nets: tuple[SkeletonDrawer, Decoder, PoseRegressor],
    skeleton: Skeleton,
    batch: Batch,
    bottleneck: bool = True,
) -> None:
    """A PNG with a column a picture: x, x', y = Φ(x), β(η(y)), x̂ = Ψ(β(η(y)), x'), the landmarks on x.

    Without the ``bottleneck`` x̂ = Ψ(y, x').
    """
    drawer, decoder, regressor = nets
    target = as_input(batch.image)
    drawn = drawer(target)
    points = regressor(drawn)
    edges = torch.tensor(skeleton.layers, device=target.device)
    clean = render(points, edges, target.shape[-1])
    redrawn = decoder(clean if bottleneck else drawn, as_input(batch.other))
    rows = [tiles(each) for each in (target, as_input(batch.other), drawn, clean, redrawn)]
    pixels = to_pixels(points, TILE).cpu().numpy()
    rows.append([annotated(image, xy, skeleton) for image, xy in zip(rows[0], pixels, strict=True)])
    write_rows(path, rows)


def write_rows(path: Path, rows: list[list[np.ndarray]]) -> None:
    """A PNG of RGB tiles of one size."""
    grid = np.vstack([np.hstack(row) for row in rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(grid, cv2.COLOR_RGB2BGR))


def tiles(images: Tensor) -> list[np.ndarray]:
    """Images ``(B, 1 to 3, S, S)`` in [-1, 1] as RGB tiles; two channels are red and green-blue."""
    pixels = (images.float().clamp(-1, 1) + 1) * 127.5
    pixels = pixels[:, (0, 1, 1)] if pixels.shape[1] == 2 else pixels.expand(-1, 3, -1, -1)
    arrays = pixels.permute(0, 2, 3, 1).round().byte().cpu().numpy()
    return [cv2.resize(each, (TILE, TILE), interpolation=cv2.INTER_LINEAR) for each in arrays]


def annotated(image: np.ndarray, xy: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """A copy of a tile with landmarks ``(K, 2)`` in its pixels."""
    box = np.concatenate([xy.min(0), xy.max(0)])
    track = Track(1, box, Landmarks(xy, xy, np.ones(len(xy), np.float32)), 1.0)
    return draw(Result(Frame(image, 0, 0.0, 0), (track,), skeleton), Overlay(("edges",)))
