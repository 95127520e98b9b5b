"""Ways of running a model on the same crops: how long each takes, and how far it is from the plain one."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engines import BuildCancelled, Engine, MissingCapability, Model
from engines.buckets import out_of_memory
from engines.parity import ParityError
from ui.engines import open_told
from ui.interrupt import Cancel

_MOST_ROUNDS = 200
_FEWEST_ROUNDS = 5
_SECONDS_A_BATCH = 20.0
_WARM_UP = 2
CANCELLED = "cancelled"


@dataclass(frozen=True)
class Row:
    """One runtime, precision and batch size. Pixels are the crop's, against eager fp32.

    ``build_s`` is the time from nothing to the first result; a TensorRT engine that was built before
    is only loaded. A ``precision`` left to choose is ``auto`` and, in brackets, what was chosen. ``skipped``
    says in one word why there are no figures; ``CANCELLED`` is one.
    """

    runtime: str
    precision: str
    batch: int
    build_s: float | None = None
    median_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    fps: float | None = None
    ratio_to_eager: float | None = None
    px_mean: float | None = None
    px_max: float | None = None
    skipped: str | None = None


@dataclass
class _Candidate:
    """An engine to be timed, or the reason why there is none; neither before it is opened."""

    runtime: str
    precision: str
    open_s: float = 0.0
    engine: Engine | None = None
    skipped: str | None = None


class Race:
    """Engines on the same crops, timed against the first of them, which is plain eager fp32.

    Of one batch size all take turns pass by pass, so that a machine that is busy for a while is busy for
    all of them.
    """

    def __init__(
        self,
        model: Model,
        ways: Sequence[tuple[str, str]],
        crops: np.ndarray,
        say: Callable[[str], None],
        cancel: Cancel,
    ) -> None:
        """``ways`` are runtimes and precisions."""
        others = [_Candidate(*way) for way in ways if way != ("eager", "fp32")]
        self._candidates = [_Candidate("eager", "fp32"), *others]
        self._model, self._crops = model, crops
        self._say, self._cancel = say, cancel

    def run(self, batches: Sequence[int]) -> list[Row]:
        """Rows for every batch size and candidate. Closes the engines."""
        reference = self._opened(self._candidates[0])
        assert reference is not None  # eager fp32 runs everywhere
        self._truth = _landmarks(reference, self._crops, len(self._crops))
        rows: list[Row] = []
        for batch in batches:
            if rows and self._cancel.asked:
                break
            rows += self._time_batch(batch)
        for candidate in self._candidates:
            if candidate.engine is not None:
                candidate.engine.close()
        return rows

    def _opened(self, candidate: _Candidate) -> Engine | None:
        """The candidate's engine, opened if that was not tried before; None where it does not run."""
        if candidate.engine is not None or candidate.skipped is not None:
            return candidate.engine
        runtime, precision = candidate.runtime, candidate.precision
        self._say(f"opening {runtime} {precision} …")
        begin = time.perf_counter()
        try:
            candidate.engine = open_told(
                self._model, runtime, precision, "auto", self._say, lambda: self._cancel.asked
            )
        except BuildCancelled:
            if not self._cancel.asked:  # but by Ctrl-C
                raise
            candidate.skipped = CANCELLED
        except RuntimeError as error:  # a missing capability, or what PyTorch says of one
            candidate.skipped = self._passed_over(candidate, error)
        else:
            candidate.open_s = time.perf_counter() - begin
            found = candidate.engine.precision
            # Of the same precision, what is left to choose is faster than what is asked for as it is.
            candidate.precision = found if precision == found else f"auto ({found})"
        return candidate.engine

    def _time_batch(self, batch: int) -> list[Row]:
        crops = self._crops
        sample = np.resize(crops, (batch, *crops.shape[1:]))
        first_s: dict[int, float] = {}
        differences: dict[int, np.ndarray] = {}
        skipped: dict[int, str | None] = {}
        for index, candidate in enumerate(self._candidates):
            if index and self._cancel.asked:
                skipped[index] = candidate.skipped or CANCELLED
                continue
            engine = self._opened(candidate)
            if engine is None:
                skipped[index] = candidate.skipped
                continue
            self._say(f"warming up {candidate.runtime} {candidate.precision}, batch {batch} …")
            try:
                first_s[index] = _pass_s(engine, sample)
            except RuntimeError as error:  # a precision that PyTorch lacks here
                skipped[index] = self._passed_over(candidate, error)
                continue
            for _ in range(_WARM_UP):
                engine(sample)
            found = _landmarks(engine, crops, batch)
            differences[index] = np.linalg.norm(found - self._truth, axis=-1)
        taken = self._take_turns({index: self._candidates[index].engine for index in first_s}, sample)
        base_ms = float(np.median(taken[0])) if 0 in taken else None
        rows = []
        for index, each in enumerate(self._candidates):
            if index in skipped:
                rows.append(Row(each.runtime, each.precision, batch, skipped=skipped[index]))
                continue
            median, p95, p99 = (float(value) for value in np.percentile(taken[index], (50, 95, 99)))
            rows.append(
                Row(
                    each.runtime,
                    each.precision,
                    batch,
                    build_s=round(each.open_s + first_s[index], 3),
                    median_ms=round(median, 3),
                    p95_ms=round(p95, 3),
                    p99_ms=round(p99, 3),
                    fps=round(1000 * batch / median, 2),
                    ratio_to_eager=round(base_ms / median, 3) if base_ms else None,
                    px_mean=round(float(differences[index].mean()), 4),
                    px_max=round(float(differences[index].max()), 4),
                )
            )
        return rows

    def _take_turns(self, engines: dict[int, Engine | None], sample: np.ndarray) -> dict[int, list[float]]:
        """Milliseconds of every pass, in rounds of one pass an engine."""
        taken: dict[int, list[float]] = {index: [] for index in engines}
        begin = time.perf_counter()
        gc.collect()
        gc.disable()
        try:
            for count in range(_MOST_ROUNDS):
                enough = self._cancel.asked or time.perf_counter() - begin > _SECONDS_A_BATCH
                if count >= _FEWEST_ROUNDS and enough:
                    break
                for index, engine in engines.items():
                    if engine is not None:
                        taken[index].append(1000 * _pass_s(engine, sample))
        finally:
            gc.enable()
        return taken

    def _passed_over(self, candidate: _Candidate, error: RuntimeError) -> str:
        """Say why an engine does not run; the same in a word."""
        reason = str(error).split("\n")[0]
        self._say(f"skipping {candidate.runtime} {candidate.precision}: {reason}")
        return _in_a_word(error)


def _in_a_word(error: RuntimeError) -> str:
    """Why an engine does not run: what is missing, or what it failed at."""
    if isinstance(error, MissingCapability):
        return error.lacks
    if isinstance(error, ParityError):
        return "parity"
    return "memory" if out_of_memory(error) else "failed"


def _pass_s(engine: Engine, sample: np.ndarray) -> float:
    """Seconds of one pass; its result is in main memory by then, so a GPU is done too."""
    begin = time.perf_counter()
    engine(sample)
    return time.perf_counter() - begin


def _landmarks(engine: Engine, crops: np.ndarray, batch: int) -> np.ndarray:
    """Landmarks ``(N, K, 2)`` of all crops, ``batch`` at a time, the last batch filled up."""
    found = []
    for begin in range(0, len(crops), batch):
        part = crops[begin : begin + batch]
        found.append(engine(np.resize(part, (batch, *part.shape[1:]))).xy[: len(part)])
    return np.concatenate(found)
