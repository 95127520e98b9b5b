"""Checkpoints: whole or not there at all, and refused when they belong to another run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from training.config import TrainConfig

_FORMAT = "kptrack-checkpoint-1"


def save(path: Path, config: TrainConfig, contents: dict[str, Any]) -> None:
    """Write plain values and tensors; the file before it stays until the new one is on the disk.

    Raises ``OSError``, with nothing lost, when the disk is full or cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            torch.save({"format": _FORMAT, "config": config.to_json(), **contents}, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        # A full disk reaches us as whatever PyTorch's writer makes of a short write.
        known = isinstance(error, OSError) and error.strerror
        reason = known or str(error).split("\n")[0]
        raise OSError(f"{path} could not be written ({reason}); the one before it is kept") from error


def load(path: Path, config: TrainConfig, device: torch.device) -> dict[str, Any]:
    """What was saved. Raises ``ValueError`` for a damaged file and for one of another configuration."""
    try:
        stored = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{path} is damaged or no checkpoint ({reason}): delete it to start anew") from error
    if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
        raise ValueError(f"{path} is not a checkpoint of this version: choose another --out")
    if stored["config"] != config.to_json():
        raise ValueError(
            f"{path} has other settings: {_difference(TrainConfig.from_json(stored['config']), config)};"
            " give the same settings, or another --out"
        )
    return stored


def _difference(stored: TrainConfig, wanted: TrainConfig) -> str:
    pairs = {name: (getattr(stored, name), getattr(wanted, name)) for name in vars(wanted)}
    return ", ".join(
        f"{name} {there} there, {here} here" for name, (there, here) in pairs.items() if there != here
    )
