"""TensorRT behind the ``Engine`` protocol; the one module that imports Torch-TensorRT."""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.buckets import BatchProfile, Buckets, pack
from engines.eager import DTYPES, EagerEngine
from engines.engine import MissingCapability, Points
from engines.export import INPUT_NAME
from engines.gpu import describe_gpu
from engines.model import Model
from engines.network import as_input
from engines.parity import ParityError
from engines.replay import Replay

INSTALL = "pip install 'kptrack[tensorrt]', or 'kptrack[tensorrt-rtx]', which is whole on the package index"
# Torch-TensorRT names outputs so, in the order of ``LandmarkNet.landmarks``.
OUTPUT_NAMES = ("output0", "output1", "output2")
_TYPE_NAMES = {"fp32": "FLOAT", "fp16": "HALF", "bf16": "BF16"}
LOGGERS = ("torch_tensorrt", "torch_tensorrt [TensorRT Conversion Context]")


@dataclass(frozen=True)
class Toolkit:
    """Torch-TensorRT as it is installed: ``flavour`` is tensorrt or tensorrt-rtx, the API the same."""

    torch_tensorrt: ModuleType
    trt: ModuleType
    flavour: str


def load_toolkit() -> Toolkit:
    """The installed flavour. Raises ``MissingCapability``, with the cause, where it does not load.

    Only to be called where there is a GPU: without one the import fails in many ways.
    """
    for name in LOGGERS:
        # It logs what it lacks for other purposes, and every error of a build with its traceback.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        # It prints to stdout, which is for data, before it raises.
        with contextlib.redirect_stdout(io.StringIO()):
            torch_tensorrt = import_module("torch_tensorrt")
            # Second: the first decides which of two packages bears this name.
            trt = import_module("tensorrt")
    except Exception as error:  # AssertionError, OSError, RuntimeError or a bare Exception
        cause = " ".join(str(error).split())[:200]
        raise MissingCapability(
            f"Torch-TensorRT does not load ({type(error).__name__}: {cause}): {INSTALL}", lacks="tensorrt"
        ) from error
    logging.captureWarnings(False)  # its import turns that on for the whole process
    rtx = getattr(trt, "_package_name", "tensorrt") == "tensorrt_rtx"
    return Toolkit(torch_tensorrt, trt, "tensorrt-rtx" if rtx else "tensorrt")


class TensorRTEngine:
    """A built plan with its buffers. Not for two threads at once."""

    runtime = "tensorrt"

    def __init__(
        self,
        model: Model,
        plan: bytes,
        precision: str,
        batch: BatchProfile,
        device: torch.device,
        toolkit: Toolkit,
    ) -> None:
        """Raises ``ParityError`` for a plan of other types, ``RuntimeError`` for one that does not load."""
        self.skeleton = model.skeleton
        self.input_size = model.config.input_size
        self.crop_scale = model.crop_scale
        self.precision = precision
        version = f"{toolkit.flavour} {toolkit.trt.__version__}"
        self.describe = f"TensorRT {precision} on {describe_gpu(device).name} ({version})"
        with torch.cuda.device(device):
            loaded = Plan(plan, precision, self.input_size, len(self.skeleton.joints), device, toolkit)
        stream, side = torch.cuda.Stream(device), self.input_size

        def open_pass(size: int) -> Replay:  # without ``self``: a cycle would be taken apart in any order
            # On the stream that will run it: elsewhere other work may not be done with the same memory yet.
            with torch.cuda.device(device), torch.cuda.stream(stream):
                program = loaded.program(size)
            return Replay(program, (size, side, side, 3), device, stream, program.capturable(stream))

        self._buckets = Buckets(
            batch.sizes(),
            len(self.skeleton.joints),
            open_pass,
            lambda: EagerEngine(model, precision, str(device)),
        )
        self(np.zeros((1, self.input_size, self.input_size, 3), np.uint8))

    def __call__(self, crops: np.ndarray) -> Points:
        """See ``Engine``."""
        return self._buckets(crops)

    @property
    def intact(self) -> bool:
        """Whether every batch size asked for so far found memory."""
        return self._buckets.intact

    def close(self) -> None:
        """Give contexts, graphs and buffers back."""
        self._buckets.close()


class Plan:
    """A deserialised plan. ``program`` makes what runs it at one batch size."""

    def __init__(
        self, plan: bytes, precision: str, size: int, joints: int, device: torch.device, toolkit: Toolkit
    ) -> None:
        """Raises as ``TensorRTEngine``."""
        # Python lets go of attributes in this order, and TensorRT wants what was made last to go first.
        self._cache: Any = None
        self._how: Any = None
        self._device = device
        self._dtype = DTYPES[precision]
        self._size = size
        self._shapes: dict[str, tuple[int, ...]] = dict(
            zip(OUTPUT_NAMES, ((joints, 2), (joints,), ()), strict=True)
        )
        self._log = _last_error(toolkit.trt)
        # The engine uses the runtime for as long as it lives.
        self._runtime = toolkit.trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise RuntimeError(f"TensorRT does not take the plan: {self._log.text}")
        self._check(precision)
        self._how, self._cache = _how_to_run(self._engine, toolkit)

    def types(self) -> dict[str, str]:
        """Name → type of everything that goes in and out."""
        names = map(self._engine.get_tensor_name, range(self._engine.num_io_tensors))
        return {name: self._engine.get_tensor_dtype(name).name for name in names}

    def program(self, batch: int) -> Program:
        """The plan with buffers for ``batch`` crops. Raises ``RuntimeError``, also for too little memory."""
        context = self._context()
        image = torch.empty(batch, 3, self._size, self._size, dtype=self._dtype, device=self._device)
        outputs = {
            name: torch.empty(batch, *shape, device=self._device) for name, shape in self._shapes.items()
        }
        if not context.set_input_shape(INPUT_NAME, tuple(image.shape)):
            raise RuntimeError(f"TensorRT refuses batch {batch}: {self._log.text}")
        # As much as this batch size needs, not the largest; PyTorch says so where it is not there.
        needed = context.update_device_memory_size_for_shapes()
        scratch = torch.empty(max(needed, 1), dtype=torch.uint8, device=self._device)
        context.set_device_memory(scratch.data_ptr(), needed)
        for name, tensor in ((INPUT_NAME, image), *outputs.items()):
            context.set_tensor_address(name, tensor.data_ptr())
        return Program(self, context, image, tuple(outputs.values()), scratch, self._log)

    def _context(self) -> Any:
        context = self._engine.create_execution_context(self._how)
        if context is None:
            raise RuntimeError(f"TensorRT makes no execution context: {self._log.text}")
        return context

    def _check(self, precision: str) -> None:
        """Refuse another precision: TensorRT builds an fp32 engine without a word where it was told wrong."""
        wanted = {INPUT_NAME: _TYPE_NAMES[precision], **dict.fromkeys(OUTPUT_NAMES, "FLOAT")}
        found = self.types()
        if found != wanted:
            raise ParityError(f"the built engine is refused: it takes and gives {found}, not {wanted}")


def _how_to_run(engine: Any, toolkit: Toolkit) -> tuple[Any, Any]:
    """What execution contexts are made with: their memory is ours, and their kernels stay the same.

    And a cache that must outlive them all, or None.
    """
    strategy = toolkit.trt.ExecutionContextAllocationStrategy.USER_MANAGED
    if toolkit.flavour != "tensorrt-rtx":
        return strategy, None
    config = engine.create_runtime_config()
    # TensorRT-RTX would otherwise swap kernels between passes, which no CUDA graph can follow.
    config.dynamic_shapes_kernel_specialization_strategy = (
        toolkit.trt.DynamicShapesKernelSpecializationStrategy.EAGER
    )
    config.set_execution_context_allocation_strategy(strategy)
    # It compiles kernels when a context is made: those of one batch size serve the next.
    cache = config.create_runtime_cache()
    config.set_runtime_cache(cache)  # that does not keep it alive
    return config, cache


class Program:
    """A plan bound to its buffers: crops ``(B, S, S, 3)`` uint8 on the GPU → packed rows."""

    def __init__(
        self,
        plan: Plan,
        context: Any,
        image: Tensor,
        outputs: tuple[Tensor, ...],
        scratch: Tensor,
        log: Any,
    ) -> None:
        self._context, self._image, self._outputs, self._log = context, image, outputs, log
        self._kept = plan, scratch  # the context knows their addresses only

    def __call__(self, crops: Tensor) -> Tensor:
        """Enqueue on the current stream. Raises ``RuntimeError``."""
        self._image.copy_(as_input(crops, self._image.dtype))
        if not self._context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
            raise RuntimeError(f"TensorRT does not run: {self._log.text}")
        return pack(*self._outputs)

    def capturable(self, stream: torch.cuda.Stream) -> bool:
        """Whether a CUDA graph can record it; only TensorRT-RTX has doubts."""
        ask = getattr(self._context, "is_stream_capturable", None)
        return ask is None or bool(ask(stream.cuda_stream))


def _last_error(trt: ModuleType) -> Any:
    """A logger for TensorRT that keeps the last error in ``text``: its functions only return None."""

    class LastError(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.text = "no reason given"

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                self.text = message

    return LastError()
