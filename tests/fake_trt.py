"""A stand-in for TensorRT: plans that run the exported program on the CPU, through real addresses."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from engines import build, trt
from engines.buckets import BatchProfile
from engines.export import export
from engines.gpu import Gpu
from engines.model import Model
from engines.parity import generated_crops
from engines.trt import Toolkit

GPU = Gpu("GeForce 9000", "9.9", "600.1")


class FakeTensorRT:
    """The toolkit and what went on in it.

    ``plans``: plan → program. ``shift_px`` moves every point, ``shift_score`` changes every score.
    ``types`` is what deserialised engines say of their ends. ``steps`` is how many steps a build has.
    ``room``: the largest batch that finds memory.
    """

    def __init__(self) -> None:
        self.plans: dict[bytes, torch.export.ExportedProgram] = {}
        self.shift_px = 0.0
        self.types = {"image": "FLOAT", "output0": "FLOAT", "output1": "FLOAT", "output2": "FLOAT"}
        self.steps = 4
        self.room = 10**6
        self.failure = ""
        self.contexts: list[int] = []
        self.ended: list[str] = []  # TensorRT's objects as they are let go of
        self.settings: dict[str, Any] = {}
        self.features: dict[str, bool] = {}
        self.shift_score = 0.0
        fake = self

        class Interpreter:
            def _populate_trt_builder_config(self) -> SimpleNamespace:
                return SimpleNamespace(progress_monitor=None, set_preview_feature=fake.features.__setitem__)

        class Runtime:
            def __init__(self, logger: Any) -> None:
                self.logger = logger

            def deserialize_cuda_engine(self, plan: bytes) -> FakeEngine | None:
                if plan not in fake.plans:
                    self.logger.log("error", "magic tag does not match")
                    return None
                return FakeEngine(fake, fake.plans[plan])

        class Base:
            Severity = SimpleNamespace(INTERNAL_ERROR="internal", ERROR="error")

        self.interpreter = Interpreter
        conversion = SimpleNamespace(_TRTInterpreter=SimpleNamespace(TRTInterpreter=Interpreter))
        torch_tensorrt = SimpleNamespace(
            __version__="2.13.0",
            Input=lambda **shapes: shapes,
            dynamo=SimpleNamespace(
                conversion=conversion, convert_exported_program_to_serialized_trt_engine=self._convert
            ),
        )
        tensorrt = SimpleNamespace(
            __version__="11.0.0",
            Runtime=Runtime,
            ILogger=Base,
            IProgressMonitor=Base,
            PreviewFeature=SimpleNamespace(RUNTIME_ACTIVATION_RESIZE_10_10="resize"),
            ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="ours"),
            DynamicShapesKernelSpecializationStrategy=SimpleNamespace(EAGER="eager"),
        )
        self.toolkit = Toolkit(torch_tensorrt, tensorrt, "tensorrt")  # type: ignore[arg-type]

    def _convert(self, program: torch.export.ExportedProgram, **settings: Any) -> bytes:
        """As Torch-TensorRT does it: phases to the monitor, an assertion when there is no engine."""
        self.settings = settings
        monitor = self.interpreter()._populate_trt_builder_config().progress_monitor
        monitor.phase_start("Building engine", None, 1)
        monitor.phase_start("Timing", "Building engine", self.steps)
        going_on = all(monitor.step_complete("Timing", number) for number in range(self.steps))
        monitor.phase_finish("Timing")
        monitor.phase_finish("Building engine")
        assert going_on
        if self.failure:
            raise RuntimeError(self.failure)
        plan = f"plan {len(self.plans)}".encode()
        self.plans[plan] = program
        return plan


class FakeEngine:
    """A deserialised engine."""

    def __init__(self, fake: FakeTensorRT, program: torch.export.ExportedProgram) -> None:
        self._fake, self._run = fake, program.module()
        self._names = list(fake.types)
        self.num_io_tensors = len(self._names)

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_dtype(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(name=self._fake.types[name])

    def create_execution_context(self, how: str | FakeConfig) -> FakeContext:
        if isinstance(how, FakeConfig):
            assert (how.strategy, how.dynamic_shapes_kernel_specialization_strategy) == ("ours", "eager")
            return FakeContext(self._fake, self._run, how.cache)
        assert how == "ours"
        return FakeContext(self._fake, self._run)

    def create_runtime_config(self) -> FakeConfig:
        return FakeConfig(self._fake)

    def __del__(self) -> None:
        self._fake.ended.append("engine")


class FakeConfig:
    """TensorRT-RTX's runtime configuration: as the real one it does not keep its cache alive."""

    dynamic_shapes_kernel_specialization_strategy = "lazy"
    strategy = ""

    def __init__(self, fake: FakeTensorRT) -> None:
        self._fake = fake
        self.cache: Callable[[], FakeCache | None] = lambda: None

    def set_execution_context_allocation_strategy(self, strategy: str) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> FakeCache:
        return FakeCache(self._fake)

    def set_runtime_cache(self, cache: FakeCache) -> bool:
        self.cache = weakref.ref(cache)
        return True

    def __del__(self) -> None:
        self._fake.ended.append("config")


class FakeCache:
    """TensorRT-RTX's cache of compiled kernels."""

    def __init__(self, fake: FakeTensorRT) -> None:
        self._fake = fake

    def __del__(self) -> None:
        self._fake.ended.append("cache")


class FakeContext:
    """An execution context: it knows its buffers by their addresses only."""

    def __init__(
        self,
        fake: FakeTensorRT,
        run: Callable[[torch.Tensor], tuple[torch.Tensor, ...]],
        cache: Callable[[], object] = object,
    ) -> None:
        self._fake, self._run, self._cache = fake, run, cache
        self._addresses: dict[str, int] = {}

    def __del__(self) -> None:
        self._fake.ended.append("context")

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name == "image"
        self._shape = shape
        self._fake.contexts.append(shape[0])
        return True

    def update_device_memory_size_for_shapes(self) -> int:
        if self._shape[0] > self._fake.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate more than there is")
        return 0

    def set_device_memory(self, address: int, size: int) -> None:
        assert address
        assert size == 0

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        assert self._cache() is not None
        half = self._fake.types["image"] == "HALF"
        image = torch.from_numpy(self._view("image", self._shape, np.float16 if half else np.float32))
        with torch.no_grad():
            outputs = self._run(image.clone())
        for index, output in enumerate(outputs):
            found = output.numpy() + (self._fake.shift_px if index == 0 else self._fake.shift_score)
            self._view(f"output{index}", output.shape, np.float32)[:] = found
        return True

    def _view(self, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = (ctypes.c_ubyte * size).from_address(self._addresses[name])
        return np.ctypeslib.as_array(memory).view(dtype).reshape(shape)


class CpuReplay:
    """``engines.replay.Replay`` without a GPU: the same program, launched step by step."""

    def __init__(self, program: Any, shape: tuple[int, ...], *_: object) -> None:
        self._program, self._crops = program, torch.zeros(shape, dtype=torch.uint8)

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        self._crops[: len(crops)] = torch.from_numpy(crops)
        return self._program(self._crops)[: len(crops)].numpy()


_EXPORTED: dict[object, torch.export.ExportedProgram] = {}


def export_once(model: Model, precision: str, batch: BatchProfile, device: torch.device) -> Any:
    """``export``, which takes half a second, of the same only once."""
    key = (model.digest, precision, batch)
    if key not in _EXPORTED:
        _EXPORTED[key] = export(model, precision, batch, device)
    return _EXPORTED[key]


@pytest.fixture(name="tensorrt")
def tensorrt_fixture(monkeypatch, tmp_path) -> FakeTensorRT:
    """TensorRT on a pretended GPU, with a store of its own. Everything else is real."""
    fake = FakeTensorRT()
    device = torch.device("cpu")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "require_gpu", lambda runtime, name: device)
    monkeypatch.setattr(build, "load_toolkit", lambda: fake.toolkit)
    monkeypatch.setattr(build, "export", export_once)
    monkeypatch.setattr(build, "generated_crops", lambda size: generated_crops(size, 11))
    for module in (build, trt):
        monkeypatch.setattr(module, "describe_gpu", lambda _: GPU)
    monkeypatch.setattr(trt, "Replay", CpuReplay)
    for name in ("device", "stream"):
        monkeypatch.setattr(torch.cuda, name, lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=0))
    return fake
