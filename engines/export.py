"""The network as TensorRT gets it: batch norm folded, low precision with islands of float32, exported.

TensorRT takes every operation in the precision that the graph has it in, so the graph itself says
what is half and what is not: convolutions in ``precision``; statistics, soft-argmax, rendering and
scores in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from engines.buckets import BatchProfile
from engines.eager import DTYPES, fold_batch_norm, layers
from engines.model import Model
from engines.network import LandmarkNet
from engines.student import StudentNet

# Part of a built engine's key: raise it when what is built changes, and engines are built again.
GRAPH_VERSION = 2
INPUT_NAME = "image"


class Graph(nn.Module):
    """``LandmarkNet.landmarks`` of pictures ``(B, 3, S, S)`` in ``dtype``; the results are float32."""

    def __init__(self, model: Model, precision: str) -> None:
        super().__init__()
        self.dtype = DTYPES[precision]
        self.network = _prepare(model.network(), self.dtype)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels ``(B, K, 2)``, scores ``(B, K)`` and ``(B,)``."""
        return self.network.landmarks(image)


class InstanceNorm32(nn.Module):
    """Instance norm with its statistics in float32: half overflows in a sum over 128 x 128 pixels."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)`` → the same, in the same precision."""
        wide = image.float()
        centred = wide - wide.mean((2, 3), keepdim=True)
        variance = centred.square().mean((2, 3), keepdim=True)
        return (centred * (variance + self.eps).rsqrt()).to(image.dtype)


def _prepare(network: LandmarkNet | StudentNet, dtype: torch.dtype) -> LandmarkNet | StudentNet:
    """As ``eager.prepare``, but in plain memory order and with explicit islands.

    Not channels last: Torch-TensorRT copies such a weight, hands TensorRT the copy's address and
    frees it before the build.
    """
    fold_batch_norm(network)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.InstanceNorm2d):
                setattr(parent, name, InstanceNorm32(child.eps))
    for module in layers(network):
        module.to(dtype)
    return network


def export(model: Model, precision: str, batch: BatchProfile, device: torch.device) -> ExportedProgram:
    """The model's ``Graph`` on ``device``, for every batch size of the profile."""
    graph = Graph(model, precision).to(device).eval()
    size = model.config.input_size
    dynamic = batch.smallest < batch.largest
    # An example of one crop would be taken for a constant.
    count = max(2, batch.optimum) if dynamic else batch.largest
    example = torch.zeros(count, 3, size, size, dtype=graph.dtype, device=device)
    shapes = {INPUT_NAME: {0: Dim("batch", min=batch.smallest, max=batch.largest)}} if dynamic else None
    with torch.no_grad():
        return torch.export.export(graph, (example,), dynamic_shapes=shapes)
