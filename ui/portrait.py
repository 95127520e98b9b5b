"""A face and a cat in the public domain: what the demonstration shows, and what engines are compared on."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from engines import MissingCapability, Model
from engines.crop import cut

# The landmark box of the portrait: centre x, centre y, longer side, in its pixels.
_PORTRAIT_BOX = (225.0, 127.0, 86.0)
_PORTRAIT_CROPS = 64


def portrait() -> np.ndarray:
    """The portrait of Eileen Collins ``(512, 512, 3)`` uint8 RGB: NASA, public domain.

    Raises ``MissingCapability`` when scikit-image, which carries it, is not installed.
    """
    return np.asarray(_pictures().astronaut(), np.uint8)


def cat() -> np.ndarray:
    """Chelsea the cat ``(300, 451, 3)`` uint8 RGB, by Stéfan van der Walt: CC0. Her ears are cut off.

    Raises as ``portrait`` does.
    """
    return np.asarray(_pictures().chelsea(), np.uint8)


def _pictures() -> ModuleType:
    try:
        from skimage import data
    except ImportError as error:
        raise MissingCapability(
            "the portrait and the cat come with scikit-image: pip install 'kptrack[demo]'"
        ) from error
    return data


def portrait_crops(model: Model) -> np.ndarray:
    """Face crops ``(64, S, S, 3)`` uint8 of the demonstration portrait, cut as a tracker might miss."""
    random = np.random.default_rng(0)
    x, y, side = _PORTRAIT_BOX
    count = _PORTRAIT_CROPS
    shift = random.uniform(-0.08, 0.08, (count, 2)) * side
    scale = random.uniform(0.9, 1.1, count) * side * model.crop_scale
    roll = random.uniform(-0.25, 0.25, count)
    boxes = np.column_stack([x + shift[:, 0], y + shift[:, 1], scale, roll])
    crops = cut(portrait(), boxes, model.config.input_size)
    crops[::2] = crops[::2, :, ::-1]
    return crops
