"""Running the command line in tests, with a model that needs no training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from engines.model import Model
from engines.network import LandmarkNet, NetworkConfig, initialise
from engines.skeleton import FACE68
from ui.cli import run


def write_model(path: Path, sharp: float = 30) -> Path:
    """A model file with random weights: tiny, and sure of whatever it sees.

    ``sharp``: by how much the last weights of η are larger than they begin. With 1 all landmarks lie in the
    middle of the crop, by default they fill it like a subject's.
    """
    torch.manual_seed(0)
    config = NetworkConfig(input_size=32, width=4, map_size=16)
    network = LandmarkNet(FACE68, config)
    initialise(network)
    weights = network.state_dict()
    weights["subject_calibration"] = torch.tensor([8.0, 0.0])
    weights["regressor.encoder.levels.3.2.weight"] *= sharp
    Model(FACE68, config, 1.5, weights, {"data": "none: random weights"}).save(path)
    return path


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The final objects of ``--progress json``, one an input."""
        return [entry for entry in map(json.loads, self.out.splitlines()) if "output" in entry]


def command(capfd: pytest.CaptureFixture[str], *arguments: object) -> Ended:
    """Run a command in this process."""
    capfd.readouterr()
    code = run([str(each) for each in arguments])
    out, err = capfd.readouterr()
    assert "Traceback" not in err
    return Ended(code, out, err)


def start_command(
    *arguments: object, program: str = "from ui.cli import main; main()", **options: Any
) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    line = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **options,
    )
