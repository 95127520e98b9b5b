"""``python rtx_plan.py MODEL PRECISION``: a real TensorRT-RTX plan without a GPU, told as JSON.

TensorRT-RTX builds plans on any machine, but Torch-TensorRT, whose converters this is about, asks
PyTorch for a GPU when it is imported, and deserialises what it built. Both are answered here with as
little as it takes; exporting, converting and building are the real ones.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from types import SimpleNamespace
from typing import Any

import torch


def pretend_a_gpu() -> None:
    """Answer what Torch-TensorRT asks of ``torch.cuda`` while it converts."""
    gpu = SimpleNamespace(name="none", major=8, minor=9, total_memory=1 << 33, multi_processor_count=1)
    answers: dict[str, Any] = {
        "get_device_capability": (gpu.major, gpu.minor),
        "get_device_properties": gpu,
        "get_device_name": gpu.name,
        "current_device": 0,
        "device_count": 1,
        "mem_get_info": (1 << 33, 1 << 33),
        "empty_cache": None,
        "synchronize": None,
        "ipc_collect": None,
        "set_device": None,
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *_, answer=answer: answer)
    vars(torch._C).setdefault("_CudaDeviceProperties", SimpleNamespace)
    # Its compiled runtime wants CUDA's libraries; without it, it runs in Python.
    is_file = os.path.isfile
    os.path.isfile = lambda path: "libtorchtrt" not in str(path) and is_file(path)


class NoRuntime:
    """The TensorRT runtime object: keeps the plan instead of loading it onto a GPU."""

    def __init__(self, _logger: object) -> None:
        self.plan = b""

    def deserialize_cuda_engine(self, plan: Any) -> NoRuntime:
        """The plan itself in place of an engine."""
        self.plan = bytes(plan)
        return self

    def serialize(self) -> bytes:
        """The plan."""
        return self.plan


def main(model: str, precision: str) -> None:
    """Build and describe; the last line on stdout is the JSON."""
    pretend_a_gpu()
    from engines.buckets import BatchProfile
    from engines.convert import convert
    from engines.engine import BuildCancelled
    from engines.export import export
    from engines.model import load_model
    from engines.trt import load_toolkit

    toolkit = load_toolkit()
    toolkit.trt.Runtime = NoRuntime  # type: ignore[attr-defined]
    interpreter = toolkit.torch_tensorrt.dynamo.conversion._TRTInterpreter.TRTInterpreter
    original = interpreter._populate_trt_builder_config
    networks = []

    def populate(self: Any, *args: Any, **options: Any) -> Any:
        networks.append(self.ctx.net)
        return original(self, *args, **options)

    interpreter._populate_trt_builder_config = populate
    phases: list[tuple[str, float]] = []

    def report(phase: str, share: float | None) -> bool:
        phases.append((phase, share or 0.0))
        return True

    batch = BatchProfile(1, 4, 16)
    program = export(load_model(model), precision, batch, torch.device("cpu"))
    plan = convert(toolkit, program, batch, report)
    (network,) = networks
    try:
        convert(toolkit, program, batch, lambda phase, share: share is None or share < 0.2)
        cancelled = False
    except BuildCancelled:
        cancelled = True
    ends = [network.get_input(0), *map(network.get_output, range(network.num_outputs))]
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    found = {
        "flavour": toolkit.flavour,
        "plan_bytes": len(plan),
        "ends": [[end.name, end.dtype.name, list(end.shape)] for end in ends],
        "convolutions": Counter(
            each.get_output(0).dtype.name for each in layers if each.type.name == "CONVOLUTION"
        ),
        "islands": Counter(
            each.get_output(0).dtype.name
            for each in layers
            if each.type.name in ("REDUCE", "SOFTMAX", "UNARY")
        ),
        "phases": sorted({phase for phase, _ in phases}),
        "cancelled": cancelled,
        "share": [phases[0][1], max(share for _, share in phases)],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
