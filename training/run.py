"""What every training run has: where it reads and writes, a log, checkpoints, an end when asked for."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from training import checkpoint
from training.processes import Processes

_SAVE_EVERY_S = 180.0
_LOG_EVERY = 50


class TrainingStopped(RuntimeError):
    """Training cannot go on; the message says why, the last good checkpoint is kept."""


@dataclass(frozen=True)
class Run:
    """Where a run reads and writes. ``command`` is what a person types to repeat it, for the card.

    ``start``: name of a shipped model, or a model file, whose weights it begins with. ``negatives``: folders
    of pictures without a subject.
    """

    data: Path
    out: Path
    perceptual: Path | None
    command: str
    start: str | None = None
    negatives: tuple[Path, ...] = ()


class Learning(Protocol):
    """What is trained, and the processes that train it."""

    @property
    def processes(self) -> Processes:
        """All that take part; ``ALONE`` if it is one."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that a checkpoint is to hold."""
        ...


class Saver:
    """Logs losses, and saves every few minutes, but never a state that a broken loss led to.

    Of several processes all take note of every step, and the first writes.
    """

    def __init__(self, path: Path, config: checkpoint.Config, learner: Learning, log: Log, step: int) -> None:
        self._path, self._config, self._learner, self._log = path, config, learner, log
        self._processes = learner.processes
        self._unlogged: list[dict[str, Tensor]] = []
        self._saved_s = self._logged_s = time.monotonic()
        self.step = step

    def after(self, number: int, losses: dict[str, Tensor]) -> None:
        """Take note of a step."""
        self.step = number
        self._unlogged.append(losses)
        # Fetching a loss waits for the GPU: so not at every step. The warm start has losses of its own.
        if number % _LOG_EVERY == 0:
            self._check()
        if self._processes.anywhere(time.monotonic() - self._saved_s > _SAVE_EVERY_S):
            self.save()

    def save(self) -> None:
        """Write the checkpoint of the last step."""
        self._check()
        state = {"step": self.step, "learner": self._learner.state_dict()}
        with self._processes.agreed():
            if self._processes.first:
                checkpoint.save(self._path, self._config, state)
        self._saved_s = time.monotonic()

    def _check(self) -> None:
        if not self._unlogged:
            return
        names = list(self._unlogged[-1])
        rows = [torch.stack([each[name] for name in names]) for each in self._unlogged]
        means = self._processes.mean(torch.stack(rows).mean(0)).tolist()
        broken = [name for name, value in zip(names, means, strict=True) if not np.isfinite(value)]
        passed_s, self._logged_s = time.monotonic() - self._logged_s, time.monotonic()
        with self._processes.agreed():
            if broken:
                raise TrainingStopped(
                    f"the loss {broken[0]} is not finite near step {self.step}; {self._path} is the last good"
                    " checkpoint: --resume goes on from it"
                )
            pace = {"seconds_a_step": passed_s / len(rows)}
            self._log.write({"step": self.step, **dict(zip(names, means, strict=True)), **pace})
        self._unlogged.clear()


class Log:
    """Progress for people on stderr, and the same as JSON lines in a file."""

    def __init__(self, path: Path, silent: bool = False) -> None:
        self._path, self._silent = path, silent

    def write(self, values: dict[str, Any]) -> None:
        """One line of numbers."""
        if self._silent:
            return
        with self._path.open("a") as file:
            file.write(json.dumps(values) + "\n")
        self.say("  ".join(f"{key} {value:.4g}" for key, value in values.items()))

    def say(self, text: str) -> None:
        """A line for people only."""
        if not self._silent:
            print(text, file=sys.stderr, flush=True)


@contextmanager
def interruptible(processes: Processes) -> Iterator[Callable[[], bool]]:
    """Says whether SIGINT or SIGTERM has asked any process to stop; the second one stops at once.

    To be asked by all processes alike: all hear the same, and once it is so it stays so.
    """
    received: list[int] = []
    agreed = False

    def stopping() -> bool:
        nonlocal agreed
        agreed = agreed or processes.anywhere(bool(received))
        return agreed

    def receive(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {each: signal.signal(each, receive) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
