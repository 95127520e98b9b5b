"""The training run: η on poses, Φ towards the mean pose, then all of them together."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engines.skeleton import SKELETONS
from training import checkpoint
from training.config import TrainConfig
from training.export import export_model
from training.framing import frame
from training.grid import write_grid
from training.images import Pictures
from training.learner import Learner
from training.perceptual import open_perceptual
from training.poses import load_prior
from training.puppets import Puppets
from training.regressor import pretrain
from training.selection import label_free_score

_SAVE_EVERY_S = 180.0
_LOG_EVERY = 50
_LOOK_EVERY = 250
_LOOKED_AT = 12  # pictures in a grid
_JUDGED = 128  # held-out pictures of the label-free score


class TrainingStopped(RuntimeError):
    """Training cannot go on; the message says why, the last good checkpoint is kept."""


@dataclass(frozen=True)
class Run:
    """Where a run reads and writes. ``command`` is what a person types to repeat it, for the card."""

    data: Path
    out: Path
    perceptual: Path | None
    command: str


def train(
    run: Run, config: TrainConfig, resume: bool, device: torch.device, stop_at: int | None = None
) -> bool:
    """Train until ``config.steps`` (or only to ``stop_at``), going on from the last checkpoint if ``resume``.

    Writes below ``run.out``: ``regressor.pt`` (η alone), ``checkpoint.pt``, ``log.jsonl``, ``grids/`` and,
    when it has come to its end or to ``stop_at``, ``model.safetensors``. False when it was interrupted:
    then the checkpoint holds all.

    Raises ``ValueError`` for data, poses or checkpoints that do not fit, ``TrainingStopped`` for a loss
    that is not finite, ``OSError`` when the disk refuses.
    """
    skeleton = SKELETONS[config.skeleton]
    prior = load_prior(run.data / "prior", skeleton, config)
    puppets = Puppets(prior.views, skeleton, config.crop_scale, config.seed) if config.puppets else None
    pictures = Pictures(run.data / "train", config, puppets=puppets)
    unseen = Pictures(run.data / "train", config, held_out=True)
    perceptual = open_perceptual(run.perceptual)
    found = [path for name in ("checkpoint.pt", "regressor.pt") if (path := run.out / name).exists()]
    if found and not resume:
        raise ValueError(f"{found[0]} is there: --resume goes on with it, or choose another --out")
    run.out.mkdir(parents=True, exist_ok=True)
    log = Log(run.out / "log.jsonl")
    log.say(
        f"{config.skeleton}, {config.network.input_size} px, {len(pictures)} pictures"
        f" ({len(unseen)} held out), {len(prior.poses) // 2} poses, {device}"
    )
    learner = Learner(config, skeleton, torch.from_numpy(prior.mean), perceptual, device)
    last = min(stop_at or config.steps, config.steps)

    with _interruptible() as interrupted:
        regressor = pretrain(
            run.out / "regressor.pt", prior, config, device, log.write, lambda: bool(interrupted)
        )
        if regressor is None:
            log.say("interrupted; --resume goes on from there")
            return False
        learner.regressor.load_state_dict(regressor.state_dict())
        first = -config.warm_start_steps
        if (run.out / "checkpoint.pt").exists():
            stored = checkpoint.load(run.out / "checkpoint.pt", config, device)
            learner.load_state_dict(stored["learner"])
            first = stored["step"]
            log.say(f"resumed at step {first}")
        saver = Saver(run.out / "checkpoint.pt", config, learner, log, first)
        for end in (0, last):  # of the warm start, and of the run
            if interrupted:
                break
            if end > 0 and puppets:
                frame(pictures.sets + unseen.sets, run.out / "boxes.pt", learner.averaged_nets, config)
            to_look = unseen.batch(0, _LOOKED_AT).to(device)
            to_judge = unseen.batch(1, _JUDGED).to(device)
            # Batches are numbered from the warm start on: a resumed run sees those that it has not seen.
            batches = pictures.batches(saver.step + config.warm_start_steps)
            for number, batch in enumerate(batches, start=saver.step + 1):
                if interrupted or number > end:
                    break
                batch = batch.to(device)
                if number <= 0:
                    losses = learner.warm_step(batch)
                else:
                    rng = np.random.default_rng([config.seed, number])
                    losses = learner.step(number, batch, prior.sample(config.batch, rng).to(device))
                saver.after(number, losses)
                if number % _LOOK_EVERY == 0:
                    nets = learner.averaged_nets
                    log.write({"step": number, **label_free_score(nets, perceptual, skeleton, to_judge)})
                    write_grid(run.out / "grids" / f"{number:06d}.png", nets, skeleton, to_look)
            saver.save()
    if interrupted:
        log.say(f"interrupted at step {saver.step}; --resume goes on from there")
        return False
    drawer, _, regressor = learner.averaged_nets
    model = run.out / "model.safetensors"
    export_model(model, drawer, regressor, config, run.data, run.command, pictures.sets, saver.step)
    log.say(f"wrote {model}")
    return True


class Saver:
    """Logs losses, and saves every few minutes, but never a state that a broken loss led to."""

    def __init__(self, path: Path, config: TrainConfig, learner: Learner, log: Log, step: int) -> None:
        self._path, self._config, self._learner, self._log = path, config, learner, log
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
        if time.monotonic() - self._saved_s > _SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the checkpoint of the last step."""
        self._check()
        checkpoint.save(self._path, self._config, {"step": self.step, "learner": self._learner.state_dict()})
        self._saved_s = time.monotonic()

    def _check(self) -> None:
        if not self._unlogged:
            return
        means = {
            name: torch.stack([each[name] for each in self._unlogged]).mean().item()
            for name in self._unlogged[-1]
        }
        broken = [name for name, value in means.items() if not np.isfinite(value)]
        if broken:
            raise TrainingStopped(
                f"the loss {broken[0]} is not finite near step {self.step}; {self._path} is the last good"
                " checkpoint: --resume goes on from it"
            )
        passed_s, self._logged_s = time.monotonic() - self._logged_s, time.monotonic()
        self._log.write({"step": self.step, **means, "seconds_a_step": passed_s / len(self._unlogged)})
        self._unlogged.clear()


class Log:
    """Progress for people on stderr, and the same as JSON lines in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, values: dict[str, Any]) -> None:
        """One line of numbers."""
        with self._path.open("a") as file:
            file.write(json.dumps(values) + "\n")
        self.say("  ".join(f"{key} {value:.4g}" for key, value in values.items()))

    @staticmethod
    def say(text: str) -> None:
        """A line for people only."""
        print(text, file=sys.stderr, flush=True)


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """A list that is empty until SIGINT or SIGTERM asks to stop; the second one stops at once."""
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {each: signal.signal(each, receive) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
