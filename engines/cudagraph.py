"""Eager PyTorch recorded as CUDA graphs: the fast way on a GPU without TensorRT.

At batch 1 the network is some hundred short kernels, and launching them one by one from Python
takes longer than running them. A graph launches all of them at once.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from engines.buckets import BatchProfile, Buckets, pack
from engines.eager import choose_precision, exact, prepare, run
from engines.engine import Points
from engines.gpu import require_gpu
from engines.model import Model
from engines.replay import Replay


class CudaGraphEngine:
    """A model as CUDA graphs, one a batch size, recorded when it is first needed.

    Not for two threads at once.
    """

    runtime = "cudagraph"

    def __init__(
        self, model: Model, precision: str = "auto", device: str = "auto", reason: str = "as asked"
    ) -> None:
        """``reason``: why this runtime, for ``describe``. Raises ``MissingCapability`` without a GPU."""
        self.skeleton = model.skeleton
        self.input_size = model.config.input_size
        self.crop_scale = model.crop_scale
        chosen = require_gpu(self.runtime, device)
        self.precision, _ = choose_precision(precision, chosen)
        self.describe = f"cudagraph {self.precision} on {chosen} ({reason}; batch norm folded)"
        network = prepare(model.network(), chosen, self.precision)
        stream = torch.cuda.Stream(chosen)
        size = self.input_size

        def program(crops: Tensor) -> Tensor:
            with exact(chosen, self.precision):
                return pack(*network(crops))

        self._buckets = Buckets(
            BatchProfile().sizes(),
            len(self.skeleton.joints),
            lambda batch: Replay(program, (batch, size, size, 3), chosen, stream),
            lambda: partial(run, network, device=chosen),
        )
        self(np.zeros((1, size, size, 3), np.uint8))

    def __call__(self, crops: np.ndarray) -> Points:
        """See ``Engine``."""
        return self._buckets(crops)

    def close(self) -> None:
        """Give graphs and buffers back."""
        self._buckets.close()
