"""Batch sizes: what an engine is built for, and any number of crops through programs of fixed sizes.

A CUDA graph and a TensorRT context are recorded for one shape each. ``Buckets`` keeps one pass a
batch size, opened when it is first needed, and gives crops to the smallest that holds them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from engines.engine import Points

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchProfile:
    """The batch sizes an engine accepts, and the one it is fastest at."""

    smallest: int = 1
    optimum: int = 8
    largest: int = 64

    def __post_init__(self) -> None:
        """Refuse sizes that are out of order."""
        if not 1 <= self.smallest <= self.optimum <= self.largest:
            raise ValueError(f"batch {self} is not SMALLEST:OPTIMUM:LARGEST, rising from 1 up")

    def __str__(self) -> str:
        """As it is typed."""
        return f"{self.smallest}:{self.optimum}:{self.largest}"

    @classmethod
    def parse(cls, text: str) -> BatchProfile:
        """Profile of ``1:8:64``. Raises ``ValueError``."""
        try:
            smallest, optimum, largest = map(int, text.split(":"))
        except ValueError as error:
            raise ValueError(f"batch {text!r} is not SMALLEST:OPTIMUM:LARGEST, as in 1:8:64") from error
        return cls(smallest, optimum, largest)

    def halved(self) -> BatchProfile:
        """The same for half as many crops at once."""
        largest = max(self.smallest, self.largest // 2)
        return BatchProfile(self.smallest, min(self.optimum, largest), largest)

    def sizes(self) -> tuple[int, ...]:
        """Doubling from the smallest to the largest, rising: at most half of a pass is padding."""
        found = [self.smallest]
        while 2 * found[-1] < self.largest:
            found.append(2 * found[-1])
        return tuple(sorted({*found, self.largest}))


class Pass(Protocol):
    """The network at one batch size."""

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """Crops ``(N, S, S, 3)`` uint8, N up to the batch size → ``pack``ed rows ``(N, 3K + 1)``."""
        ...


def pack(xy: Tensor, score: Tensor, subject_score: Tensor) -> Tensor:
    """What a network returns as one float32 tensor ``(B, 3K + 1)``: one download instead of three."""
    return torch.cat([xy.flatten(1), score, subject_score[:, None]], 1)


def unpack(rows: np.ndarray, joints: int) -> Points:
    """The inverse of ``pack``."""
    xy = rows[:, : 2 * joints].reshape(-1, joints, 2)
    return Points(xy.copy(), rows[:, 2 * joints : 3 * joints].copy(), rows[:, 3 * joints].copy())


def out_of_memory(error: BaseException | None) -> bool:
    """Whether a GPU's memory was too small; a failing capture hides the reason behind its own error."""
    while error is not None:
        # "CUDA out of memory" is PyTorch's, "OutOfMemory" TensorRT's.
        if isinstance(error, RuntimeError) and "outofmemory" in str(error).replace(" ", "").lower():
            return True
        error = error.__cause__ or error.__context__
    return False


class Buckets:
    """Any number of crops through passes of fixed batch sizes.

    Where the GPU's memory does not suffice for a size, the smaller ones go on; where it suffices
    for none, ``last_resort`` does, one crop at a time. Either is said once, as a warning of ``logging``.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        joints: int,
        open_pass: Callable[[int], Pass],
        last_resort: Callable[[], Callable[[np.ndarray], Points]],
    ) -> None:
        """``open_pass`` makes the pass of a batch size, ``last_resort`` what runs single crops."""
        self._sizes = list(sizes)
        self.intact = True  # until a size is given up
        self._joints = joints
        self._open_pass = open_pass
        self._open_last_resort = last_resort
        self._passes: dict[int, Pass] = {}
        self._last_resort: Callable[[np.ndarray], Points] | None = None

    def __call__(self, crops: np.ndarray) -> Points:
        """Landmarks of crops ``(N, S, S, 3)`` uint8."""
        rows = np.empty((len(crops), 3 * self._joints + 1), np.float32)
        done, too_large = 0, 0
        while done < len(crops) and self._sizes:
            size = self._fitting(len(crops) - done)
            part = crops[done : done + size]
            try:
                rows[done : done + len(part)] = self._pass(size)(part)
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                too_large = too_large or size
                self._do_without(size)
            else:
                done += len(part)
        for index in range(done, len(crops)):
            rows[index] = self._single(crops[index : index + 1])
        if too_large:
            rest = f"batches of {self._sizes[-1]}" if self._sizes else "single crops in eager PyTorch"
            _log.warning("out of GPU memory at batch %d: going on with %s", too_large, rest)
        return unpack(rows, self._joints)

    def close(self) -> None:
        """Give the passes and their memory back."""
        self._passes.clear()
        self._last_resort = None

    def _fitting(self, count: int) -> int:
        """The smallest size that holds ``count`` crops, or the largest there is."""
        return next((size for size in self._sizes if size >= count), self._sizes[-1])

    def _pass(self, size: int) -> Pass:
        if size not in self._passes:
            self._passes[size] = self._open_pass(size)
        return self._passes[size]

    def _do_without(self, size: int) -> None:
        """Give up a size and those above it."""
        self.intact = False
        self._sizes = [each for each in self._sizes if each < size]
        self._passes = {each: kept for each, kept in self._passes.items() if each < size}
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _single(self, crop: np.ndarray) -> np.ndarray:
        if self._last_resort is None:
            self._last_resort = self._open_last_resort()
        points = self._last_resort(crop)
        return np.concatenate([points.xy.ravel(), points.score.ravel(), points.subject_score])
