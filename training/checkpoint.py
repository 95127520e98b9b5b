"""Checkpoints: whole or not there at all, and refused when they belong to another run."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any, Protocol

import torch

from training.processes import Processes

_FORMAT = "kptrack-checkpoint-1"
_NOTHING = -(2**40)  # in place of a step, which may be negative, too


class Config(Protocol):
    """What a run was told."""

    def to_json(self) -> str:
        """All of it as one JSON object."""
        ...


def save(path: Path, config: Config, contents: dict[str, Any]) -> None:
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


def load(path: Path, config: Config) -> dict[str, Any]:
    """What was saved. Raises ``ValueError`` for a damaged file and for one of another configuration."""
    try:
        # Not on a GPU: what counts an optimiser's steps would stay there, and every step wait for it.
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{path} is damaged or no checkpoint ({reason}): delete it to start anew") from error
    if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
        raise ValueError(f"{path} is not a checkpoint of this version: choose another --out")
    if stored["config"] != config.to_json():
        raise ValueError(
            f"{path} has other settings: {_difference(stored['config'], config.to_json())};"
            " give the same settings, or another --out"
        )
    return stored


def resume(path: Path, config: Config, processes: Processes) -> dict[str, Any] | None:
    """What was saved after some ``step``, or None when there is nothing; however many processes saved it.

    Raises ``ValueError`` as ``load`` does, and where ``processes`` do not all find the same.
    """
    with processes.agreed():
        stored = load(path, config) if path.exists() else None
    same = processes.everywhere_same(stored["step"] if stored else _NOTHING)
    with processes.agreed():
        if not same:
            raise ValueError(f"{path} is not the same for all processes: --out must be a folder that all see")
    return stored


def _difference(stored: str, wanted: str) -> str:
    there, here = json.loads(stored), json.loads(wanted)
    pairs = {name: (_told(there, name), _told(here, name)) for name in {**here, **there}}
    return ", ".join(
        f"{name} {there} there, {here} here" for name, (there, here) in pairs.items() if there != here
    )


def _told(settings: dict[str, object], name: str) -> object:
    value = settings.get(name, "")
    return "nothing" if value == "" else value
