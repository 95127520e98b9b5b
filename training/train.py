"""The training run: η on poses, Φ towards the mean pose, then all of them together."""

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

from engines.decoder import DecoderModel, decoder_beside, load_decoder
from engines.model import DECODER, Model, load_model
from engines.skeleton import SKELETONS
from training import checkpoint
from training.config import TrainConfig
from training.export import export_decoder, export_model
from training.framing import frame
from training.grid import write_grid
from training.images import Pictures
from training.learner import Learner
from training.perceptual import open_perceptual
from training.poses import load_prior
from training.processes import ALONE, Processes
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
    """Where a run reads and writes. ``command`` is what a person types to repeat it, for the card.

    ``start``: name of a shipped model, or a model file, whose weights it begins with.
    """

    data: Path
    out: Path
    perceptual: Path | None
    command: str
    start: str | None = None


def train(
    run: Run,
    config: TrainConfig,
    resume: bool,
    device: torch.device,
    stop_at: int | None = None,
    processes: Processes = ALONE,
) -> bool:
    """Train until ``config.steps`` (or only to ``stop_at``), going on from the last checkpoint if ``resume``.

    Writes below ``run.out``: ``regressor.pt`` (η alone), ``checkpoint.pt``, ``log.jsonl``, ``grids/`` and,
    when it has come to its end or to ``stop_at``, ``model.safetensors`` and ``decoder.safetensors``. False
    when it was interrupted: then the checkpoint holds all. Several ``processes`` share every batch; the first
    of them writes.

    Raises ``ValueError`` for data, poses or checkpoints that do not fit, ``TrainingStopped`` for a loss
    that is not finite, ``OSError`` when the disk refuses, ``ToldElsewhere`` when that befell another process.
    """
    with processes.agreed():
        _check_shares(config, processes)
        skeleton = SKELETONS[config.skeleton]
        prior = load_prior(run.data / "prior", skeleton, config)
        puppets = Puppets(prior.views, skeleton, config.crop_scale, config.seed) if config.puppets else None
        pictures = Pictures(run.data / "train", config, puppets=puppets, processes=processes)
        unseen = Pictures(run.data / "train", config, held_out=True)
        torch.manual_seed(config.seed)  # a perceptual network without weights is the same in every process
        perceptual = open_perceptual(run.perceptual)
        start = _open_start(run.start, config) if run.start else None
        found = [path for name in ("checkpoint.pt", "regressor.pt") if (path := run.out / name).exists()]
        if found and not resume:
            raise ValueError(f"{found[0]} is there: --resume goes on with it, or choose another --out")
        run.out.mkdir(parents=True, exist_ok=True)
        learner = Learner(config, skeleton, torch.from_numpy(prior.mean), perceptual, device, processes)
    log = Log(run.out / "log.jsonl", silent=not processes.first)
    log.say(
        f"{config.skeleton}, {config.network.input_size} px, {len(pictures)} pictures"
        f" ({len(unseen)} held out), {len(prior.poses) // 2} poses, {device}"
        + (f", {processes.count} processes" if processes.count > 1 else "")
    )
    last = min(stop_at or config.steps, config.steps)

    with interruptible(processes) as stopping:
        first = -config.warm_start_steps
        if stored := checkpoint.resume(run.out / "checkpoint.pt", config, device, processes):
            learner.load_state_dict(stored["learner"])
            first = stored["step"]
            log.say(f"resumed at step {first}")
        elif start:
            learner.begin_with(*start)
            # It knows better than the mean pose already; puppets go on teaching it.
            first = first if puppets else 0
        else:
            path = run.out / "regressor.pt"
            regressor = pretrain(path, prior, config, device, log.write, stopping, processes)
            if regressor is None:
                log.say("interrupted; --resume goes on from there")
                return False
            learner.regressor.load_state_dict(regressor.state_dict())
        saver = Saver(run.out / "checkpoint.pt", config, learner, log, first)
        for end in (0, last):  # of the warm start, and of the run
            if stopping():
                break
            if end > 0 and puppets:
                # The others read what the first has found.
                for here in (processes.first, not processes.first):
                    with processes.agreed():
                        if here:
                            sets = pictures.sets + unseen.sets
                            frame(sets, run.out / "boxes.pt", learner.averaged_nets, config)
            to_look = unseen.batch(0, _LOOKED_AT).to(device)
            to_judge = unseen.batch(1, _JUDGED).to(device)
            # Batches are numbered from the warm start on: a resumed run sees those that it has not seen.
            batches = pictures.batches(saver.step + config.warm_start_steps)
            for number, batch in enumerate(batches, start=saver.step + 1):
                if number > end or stopping():
                    break
                batch = batch.to(device)
                if number <= 0:
                    losses = learner.warm_step(number, batch)
                else:
                    rng = np.random.default_rng([config.seed, number])
                    poses = processes.share(prior.sample(config.batch, rng))
                    losses = learner.step(number, batch, poses.to(device))
                saver.after(number, losses)
                if number % _LOOK_EVERY == 0:
                    with processes.agreed():
                        if processes.first:
                            nets = learner.averaged_nets
                            score = label_free_score(nets, perceptual, skeleton, to_judge)
                            log.write({"step": number, **score})
                            write_grid(run.out / "grids" / f"{number:06d}.png", nets, skeleton, to_look)
            saver.save()
        stopped = stopping()
    if stopped:
        log.say(f"interrupted at step {saver.step}; --resume goes on from there")
        return False
    drawer, decoder, regressor = learner.averaged_nets
    model = run.out / "model.safetensors"
    with processes.agreed():
        if processes.first:
            export_model(
                model,
                drawer,
                regressor,
                config,
                run.data,
                run.command,
                pictures.sets,
                saver.step,
                start and start[0],
            )
            export_decoder(run.out / DECODER, decoder, config, load_model(model))
    log.say(f"wrote {model}")
    return True


def _open_start(name: str, config: TrainConfig) -> tuple[Model, DecoderModel]:
    model = load_model(name)
    given = f"{model.skeleton.name} with {model.config} and crops of {model.crop_scale:g}"
    wanted = f"{config.skeleton} with {config.network} and crops of {config.crop_scale:g}"
    if given != wanted:
        raise ValueError(f"--start {name} is a model of {given}, this run trains {wanted}: choose its preset")
    return model, load_decoder(decoder_beside(name))


def _check_shares(config: TrainConfig, processes: Processes) -> None:
    for name in ("batch", "regressor_batch", "puppets"):
        if (size := getattr(config, name)) % processes.count:
            raise ValueError(
                f"{processes.count} processes cannot share a {name} of {size}: start a number of them that"
                f" divides it, or --set {name}={size - size % processes.count or processes.count}"
            )


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
