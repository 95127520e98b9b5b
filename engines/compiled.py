"""``torch.compile`` of the prepared network: faster once it is built, which takes half a minute on a CPU."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch

from engines.buckets import BatchProfile, Buckets, Pass, pack
from engines.eager import choose_device, choose_precision, exact, prepare, run
from engines.engine import MissingCapability, Points
from engines.model import Model

_BATCH = BatchProfile(1, 8, 256)


class CompiledEngine:
    """A compiled model, a program a batch size, compiled when it is first needed; one crop's at once.

    Not for two threads at once.
    """

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
        # A video's subjects come and go: doubled sizes, or every number of them would be compiled for.
        self._buckets = Buckets(
            _BATCH.sizes(),
            len(self.skeleton.joints),
            self._open_pass,
            lambda: partial(run, network, device=self._device),
        )
        self(np.zeros((1, self.input_size, self.input_size, 3), np.uint8))

    def __call__(self, crops: np.ndarray) -> Points:
        """See ``Engine``."""
        return self._buckets(crops)

    def _open_pass(self, size: int) -> Pass:
        blank = np.zeros((size, self.input_size, self.input_size, 3), np.uint8)
        with _compiling(self._device):
            self._rows(blank)

        def of_size(crops: np.ndarray) -> np.ndarray:
            return self._rows(np.concatenate([crops, blank[len(crops) :]]))[: len(crops)]

        return of_size

    def _rows(self, crops: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), exact(self._device, self.precision):
            return pack(*self._network(torch.from_numpy(crops).to(self._device))).cpu().numpy()

    def close(self) -> None:
        """Give the programs back."""
        self._buckets.close()


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

        with (
            config.patch(freezing=device.type == "cpu"),
            torch._dynamo.config.patch(recompile_limit=len(_BATCH.sizes())),
        ):
            yield
