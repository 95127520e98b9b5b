"""Random geometry and colour: crop jitter, affine maps between crops, thin-plate warps, block masks."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from engines import crop
from training.config import Jitter
from training.processes import ALONE, Processes


def jittered_boxes(boxes: np.ndarray, jitter: Jitter, rng: np.random.Generator) -> np.ndarray:
    """Boxes ``(N, 4)`` moved, scaled and turned at random; deviations are cut off at 2.5 sigma."""
    noise = np.clip(rng.standard_normal((4, len(boxes))), -2.5, 2.5)
    x, y, side, roll = boxes.T
    return np.stack(
        [
            x + side * jitter.shift * noise[0],
            y + side * jitter.shift * noise[1],
            side * np.exp(jitter.scale * noise[2]),
            roll + np.deg2rad(jitter.roll) * noise[3],
        ],
        axis=1,
    )


def crop_maps(boxes: np.ndarray, size: int, flipped: np.ndarray | None = None) -> np.ndarray:
    """Maps ``(N, 3, 3)`` float32 from a crop's normalised coordinates to frame pixels.

    ``flipped`` ``(N,)`` bool marks crops that were mirrored after they were cut.
    """
    half = (size - 1) / 2
    to_pixels = np.array([[half, 0, half], [0, half, half], [0, 0, 1]])
    maps = np.zeros((len(boxes), 3, 3))
    maps[:, :2] = crop.transforms(boxes, size)
    maps[:, 2, 2] = 1
    maps = maps @ to_pixels
    if flipped is not None:
        maps[flipped] = maps[flipped] @ np.diag([-1.0, 1.0, 1.0])
    return maps.astype(np.float32)


def apply_maps(points: Tensor, maps: Tensor) -> Tensor:
    """Points ``(B, K, 2)`` through affine maps ``(B, 3, 3)``."""
    return points @ maps[:, :2, :2].transpose(1, 2) + maps[:, None, :2, 2]


def warp_like_jitter(
    images: Tensor, jitter: Jitter, generator: torch.Generator, fill: float, processes: Processes = ALONE
) -> Tensor:
    """Images ``(B, C, S, S)`` each moved, scaled and turned at random; what comes in is ``fill``."""
    noise = torch.randn(4, processes.count * len(images), generator=generator).clamp(-2.5, 2.5)
    noise = processes.share(noise.T).T.to(images.device, non_blocking=True)
    scale, roll = (jitter.scale * noise[2]).exp(), np.deg2rad(jitter.roll) * noise[3]
    cosine, sine = roll.cos() * scale, roll.sin() * scale
    maps = torch.stack(
        [
            torch.stack([cosine, -sine, 2 * jitter.shift * noise[0]], -1),
            torch.stack([sine, cosine, 2 * jitter.shift * noise[1]], -1),
        ],
        1,
    )
    # bf16 would move points by a third of a pixel.
    with torch.autocast(images.device.type, enabled=False):
        grid = torch.nn.functional.affine_grid(maps, list(images.shape), align_corners=True)
    moved = torch.nn.functional.grid_sample(images.float() - fill, grid, align_corners=True)
    return moved + fill


class ThinPlateWarps:
    """Random thin-plate displacement fields, drawn once and reused with random signs.

    As KeypointGAN's for stills: 10 x 10 control points over a canvas twice the crop, kernel
    d² log d², weights N(0, 0.0005) plus, half the time, N(0, 0.005).
    """

    def __init__(self, size: int, rng: np.random.Generator, count: int = 200) -> None:
        line = np.linspace(-1, 1, 10)
        control = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
        inner = np.linspace(-0.5, 0.5, size)
        pixels = np.stack(np.meshgrid(inner, inner), -1).reshape(-1, 2)
        distance2 = ((pixels[:, None] - control[None]) ** 2).sum(-1)
        kernel = distance2 * np.log(distance2 + 1e-6)
        weights = 0.0005 * rng.standard_normal((count, 2, 100))
        weights += 0.005 * rng.standard_normal((count, 2, 100)) * (rng.random((count, 2, 1)) < 0.5)
        fields = weights @ kernel.T * size  # one unit of the canvas is ``size`` pixels
        fields -= fields.mean(axis=2, keepdims=True)
        self._fields = fields.reshape(count, 2, size, size).astype(np.float32)
        self._size = size

    def cut(self, frame: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A crop ``(size, size, 3)`` of ``frame`` at ``box`` ``(4,)``, warped at random."""
        size, margin = self._size, self._size // 4
        wide = crop.cut(frame, box * [1, 1, (size + 2 * margin) / size, 1], size + 2 * margin)[0]
        x, y = self._fields[rng.integers(len(self._fields))] * rng.choice([-1, 1], (2, 1, 1))
        line = np.arange(size, dtype=np.float32) + margin
        map_x, map_y = line[None] + x, line[:, None] + y
        return cv2.remap(
            wide,
            map_x.astype(np.float32),
            map_y.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )


def hide_blocks(
    image: np.ndarray, rng: np.random.Generator, share: float = 0.8, blocks: int = 8
) -> np.ndarray:
    """``image`` (S, S, 3) with ``share`` of ``blocks`` x ``blocks`` squares set to middle grey."""
    hidden = (rng.random((blocks, blocks)) < share).repeat(image.shape[0] // blocks, 0)
    return np.where(hidden.repeat(image.shape[1] // blocks, 1)[..., None], np.uint8(128), image)


def random_colours(rng: np.random.Generator) -> np.ndarray:
    """A look-up table ``(256, 3)`` uint8: gain, offset and gamma, a little different in each channel."""
    gain = np.exp(0.15 * rng.standard_normal() + 0.06 * rng.standard_normal(3))
    offset = 0.06 * rng.standard_normal() + 0.02 * rng.standard_normal(3)
    gamma = np.exp(0.2 * rng.standard_normal())
    values = (np.arange(256) / 255)[:, None] ** gamma * gain + offset
    return (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
