"""What every runtime promises: uint8 crops in, landmarks out. ``open_engine`` picks one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from engines.model import Model, load_model
from engines.skeleton import Skeleton

RUNTIMES = ("auto", "tensorrt", "cudagraph", "compile", "eager")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")

# Hears the phase of a build and how much of it is done, 0 to 1, if anybody knows; False cancels the build.
Report = Callable[[str, float | None], bool]


@dataclass(frozen=True)
class Points:
    """Landmarks of N crops.

    ``xy`` ``(N, K, 2)`` float32 in crop pixels; ``score`` ``(N, K)`` and ``subject_score`` ``(N,)``
    float32 from 0 to 1: the expected share of points within a tenth of the subject's unit of
    length, after calibration; a point and a subject have one each.
    """

    xy: np.ndarray
    score: np.ndarray
    subject_score: np.ndarray


class Engine(Protocol):
    """A model ready to run. ``describe`` is one line for people: runtime, precision, device, why."""

    skeleton: Skeleton
    input_size: int
    crop_scale: float
    runtime: str
    precision: str
    describe: str

    def __call__(self, crops: np.ndarray) -> Points:
        """Landmarks of crops ``(N, S, S, 3)`` uint8 RGB, S = ``input_size``; N may be 0."""
        ...

    def close(self) -> None:
        """Give back what the engine holds; it is not called again."""
        ...


def check_names(runtime: str, precision: str) -> None:
    """Raises ``ValueError`` for a name that is not in ``RUNTIMES`` or ``PRECISIONS``."""
    if runtime not in RUNTIMES:
        raise ValueError(f"runtime {runtime!r} is not one of {', '.join(RUNTIMES)}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")


def open_engine(
    model: Model | str | Path = "face",
    runtime: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    report: Report = lambda phase, share: True,
) -> Engine:
    """Engine of a model (a shipped model's name, a file, or a loaded ``Model``).

    ``auto`` on a GPU is TensorRT where a matching engine was built before, else CUDA graphs, both in
    fp16; elsewhere eager PyTorch with batch norm folded, in bf16 where the processor has it.
    ``tensorrt`` builds its engine if there is none, which takes minutes, and tells ``report``. An
    explicit ``eager`` in ``fp32`` is the reference: the network exactly as it was trained.

    Raises ``ValueError`` for a name that is not in ``RUNTIMES`` or ``PRECISIONS`` and for a model
    file that cannot be read; ``MissingCapability`` where this machine cannot run what was asked. A
    build raises ``BuildCancelled``, ``BuildError`` and ``engines.parity.ParityError`` too.
    """
    check_names(runtime, precision)
    loaded = model if isinstance(model, Model) else load_model(model)
    # Each brings in what the others do not need.
    if runtime == "tensorrt":
        from engines.build import open_or_build, target_of
        from engines.store import Store

        return open_or_build(target_of(loaded, precision, device), Store(), report)
    if runtime == "cudagraph":
        from engines.cudagraph import CudaGraphEngine

        return CudaGraphEngine(loaded, precision, device)
    if runtime == "compile":
        from engines.compiled import CompiledEngine

        return CompiledEngine(loaded, precision, device)
    if runtime == "auto":
        from engines.automatic import open_best

        return open_best(loaded, precision, device)
    from engines.eager import EagerEngine

    return EagerEngine(loaded, precision, device, auto=False)


class MissingCapability(RuntimeError):
    """This machine lacks something that was asked for; the message says what and what to do.

    ``lacks`` is what, in one word.
    """

    def __init__(self, message: str, lacks: str = "support") -> None:
        super().__init__(message)
        self.lacks = lacks


class BuildCancelled(Exception):
    """A ``Report`` asked for the end of a build before there was an engine."""

    def __init__(self) -> None:
        super().__init__("the build was cancelled")


class BuildError(RuntimeError):
    """There is no engine, for the reason that the message gives."""
