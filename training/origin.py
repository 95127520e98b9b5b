"""What a run learns from, beside its settings: one that goes on with something else is another run."""

from __future__ import annotations

import hashlib
import json

from torch import nn

from engines.model import Model
from training.run import Run

_NAME = "origin.json"


def keep_to_origin(run: Run, perceptual: nn.Module, start: Model | None, pictures: int) -> None:
    """Note in ``run.out`` what the run begins with, or compare with what is noted there.

    Raises ``ValueError`` with the names of what differs, ``OSError`` when the disk refuses.
    """
    origin = {
        # Absolute, as "." has no name of its own.
        "--data": f"{run.data.absolute().name}, {pictures} pictures",
        "--perceptual": _digest(perceptual),
        "--start": start.digest if start else "",
        "--negatives": " ".join("/".join(folder.parts[-2:]) for folder in run.negatives),
    }
    path = run.out / _NAME
    if not path.exists():
        path.write_text(json.dumps(origin), encoding="utf-8")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        other = [name for name, value in origin.items() if before[name] != value]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: choose another --out") from error
    if other:
        raise ValueError(
            f"the run in {run.out} began with another {' and '.join(other)}: give the same,"
            " or choose another --out"
        )


def _digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, parameter in network.named_parameters():
        digest.update(name.encode() + parameter.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
