"""A tiny landmark model with a decoder beside it, and pictures to redraw with them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from commands import write_model

from engines.decoder import Decoder, DecoderModel, fingerprint
from engines.model import Model, load_model
from engines.network import NetworkConfig


def random_decoder(model: Model) -> DecoderModel:
    """A decoder of random weights that belongs to ``model``."""
    assert isinstance(model.config, NetworkConfig)
    torch.manual_seed(1)
    network = Decoder(model.config.width, len(model.skeleton.layers))
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):  # so that what goes in makes a difference
            torch.nn.init.kaiming_normal_(module.weight)
    return DecoderModel(
        model.skeleton,
        model.config,
        model.crop_scale,
        network.state_dict(),
        {"data": "none: random weights"},
        model.name,
        fingerprint(model),
    )


def write_pair(folder: Path) -> Path:
    """The model's file, whose landmarks are spread over the picture; its decoder lies beside it."""
    path = write_model(folder / "tiny.safetensors", sharp=15)
    random_decoder(load_model(path)).save(folder / "tiny.decoder.safetensors")
    return path


def write_scene(path: Path, seed: int = 0) -> np.ndarray:
    """A picture file ``(240, 320, 3)`` uint8 RGB of soft colours, and what it shows."""
    noise = np.random.default_rng(seed).integers(0, 255, (240, 320, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 6)
    image = cv2.normalize(image, image, 0, 255, cv2.NORM_MINMAX)
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return image
