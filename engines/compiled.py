"""``torch.compile`` of the prepared network: faster once it is built, which takes half a minute on a CPU."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from engines.eager import choose_device, choose_precision, prepare, run
from engines.engine import MissingCapability, Points
from engines.model import Model


class CompiledEngine:
    """A compiled model. The first pass of each batch size compiles; one crop is compiled at once."""

    runtime = "compile"

    def __init__(self, model: Model, precision: str = "auto", device: str = "auto") -> None:
        self.skeleton = model.skeleton
        self.input_size = model.config.input_size
        self.crop_scale = model.crop_scale
        self._device = choose_device(device)
        if self._device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
            raise MissingCapability(
                "runtime compile needs a C++ compiler: install g++, or use --runtime eager", lacks="compiler"
            )
        self.precision, reason = choose_precision(precision, self._device)
        self.describe = f"compile {self.precision} on {self._device} ({reason}; batch norm folded)"
        # One specialised program a batch size: a single dynamic one is slower at batch 1.
        network = prepare(model.network(), self._device, self.precision)
        with _compiling(self._device):
            self._network = torch.compile(network, dynamic=False)
        self._compiled: set[int] = set()  # batch sizes
        self(np.zeros((1, self.input_size, self.input_size, 3), np.uint8))

    def __call__(self, crops: np.ndarray) -> Points:
        """See ``Engine``."""
        if len(crops) in self._compiled:
            return run(self._network, crops, self._device)
        with _compiling(self._device):
            points = run(self._network, crops, self._device)
        self._compiled.add(len(crops))
        return points

    def close(self) -> None:
        """Nothing is held that the garbage collector does not free."""


@contextmanager
def _compiling(device: torch.device) -> Iterator[None]:
    """Within it batch sizes are compiled; on a processor with the weights as constants.

    So oneDNN puts them in order once, and ReLUs and sums go into the convolutions. Said here because
    ``torch.compile(options=...)`` reaches only one of the two who must know.
    """
    with warnings.catch_warnings():
        # Inductor speaks of its own internals (TF32, deprecated calls): nothing that a caller can act on.
        warnings.simplefilter("ignore")
        from torch._inductor import config

        with config.patch(freezing=device.type == "cpu"):
            yield
