"""An exported program becomes a TensorRT plan: progress, cancel, and TensorRT's own words when it fails."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.export import ExportedProgram

from engines.buckets import BatchProfile
from engines.engine import BuildCancelled, BuildError, Report
from engines.trt import LOGGERS, Toolkit

# Phases below lie within milliseconds of each other.
_DEEPEST_PHASE = 2
_RESIZE = "RUNTIME_ACTIVATION_RESIZE_10_10"  # not in every version


def convert(toolkit: Toolkit, program: ExportedProgram, batch: BatchProfile, report: Report) -> bytes:
    """The plan of a program with one input, for the current GPU.

    Precisions are those of the program: TensorRT 11 knows no others, and Torch-TensorRT ignores
    without a word what it is told of them. Raises ``BuildCancelled``, and ``BuildError`` with the cause.
    """
    example = program.example_inputs[0][0]
    shapes = {
        f"{name}_shape": (count, *example.shape[1:])
        for name, count in (("min", batch.smallest), ("opt", batch.optimum), ("max", batch.largest))
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(action="ignore"),
        _errors() as errors,
        _monitored(toolkit, report) as monitor,
    ):
        # PyTorch warns Torch-TensorRT of deprecations: nothing that a caller can act on.
        try:
            plan = toolkit.torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine(
                program,
                arg_inputs=[toolkit.torch_tensorrt.Input(**shapes, dtype=example.dtype)],
                disable_tf32=True,  # fp32 means fp32
                # Its default is a file in the common temporary folder, which anybody may write.
                timing_cache_path=str(Path(folder) / "timing.bin"),
            )
        except Exception as error:  # whatever it likes, also AssertionError
            if monitor.cancelled:
                raise BuildCancelled from None
            cause = " ".join((errors[0] if errors else str(error)).split())[:300]
            raise BuildError(f"TensorRT builds no engine: {cause}") from error
    return bytes(plan)


class Phases:
    """Nested phases of a build, told to a ``Report`` as one phase with its share."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._stack: list[tuple[str, int, int]] = []
        self.cancelled = False

    def start(self, name: str, steps: int) -> None:
        """A phase of so many steps begins, within those that have begun."""
        self._stack.append((name, max(steps, 1), 0))
        self._tell()

    def finish(self, name: str) -> None:
        """The innermost phase of that name is over."""
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index][0] == name:
                del self._stack[index]
                return

    def step(self, name: str, number: int) -> bool:
        """Step ``number``, from 0, of a phase is done; False to cancel."""
        for index in range(len(self._stack) - 1, -1, -1):
            if self._stack[index][0] == name:
                self._stack[index] = (name, self._stack[index][1], number + 1)
                break
        self._tell()
        return not self.cancelled

    def _tell(self) -> None:
        share = 0.0
        for _, steps, done in reversed(self._stack):
            share = min(1.0, (done + share) / steps)
        if self._stack:
            name = self._stack[min(_DEEPEST_PHASE, len(self._stack)) - 1][0]
            self.cancelled = not self._report(name, share) or self.cancelled


@contextmanager
def _monitored(toolkit: Toolkit, report: Report) -> Iterator[Phases]:
    """Within it TensorRT's builder tells its progress and is set up as ours, where Torch-TensorRT lets it."""
    phases = Phases(report)
    try:
        # No public way leads there.
        interpreter = toolkit.torch_tensorrt.dynamo.conversion._TRTInterpreter.TRTInterpreter
        original = interpreter._populate_trt_builder_config
    except AttributeError:
        yield phases
        return

    def populate(self: Any, *args: Any, **options: Any) -> Any:
        config = original(self, *args, **options)
        config.progress_monitor = _monitor(toolkit, phases)
        # Or a context for one crop may ask for the memory of the largest batch.
        if feature := getattr(toolkit.trt.PreviewFeature, _RESIZE, None):
            config.set_preview_feature(feature, True)
        return config

    interpreter._populate_trt_builder_config = populate
    try:
        yield phases
    finally:
        interpreter._populate_trt_builder_config = original


def _monitor(toolkit: Toolkit, phases: Phases) -> Any:
    trt = toolkit.trt

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            phases.start(name, steps)

        def step_complete(self, name: str, number: int) -> bool:
            return phases.step(name, number)

        def phase_finish(self, name: str) -> None:
            phases.finish(name)

    return Monitor()


@contextmanager
def _errors() -> Iterator[list[str]]:
    """What is logged as an error within it, instead of being printed with a traceback."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    keep = Keep(logging.ERROR)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(each.level, each.propagate) for each in loggers]
    for each in loggers:
        each.addHandler(keep)
        each.setLevel(logging.ERROR)
        each.propagate = False
    try:
        yield found
    finally:
        for each, (level, propagate) in zip(loggers, before, strict=True):
            each.removeHandler(keep)
            each.setLevel(level)
            each.propagate = propagate
