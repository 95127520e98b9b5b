"""What our models are measured beside: IMM, a supervised hourglass, our own networks learned from labels.

Their presets, training and files. On the same pictures and crops as ours, so that ``eval`` can set them
side by side. They see labels, and are there to be measured: their files are none that a tracker takes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from engines.eager import choose_device
from engines.engine import Points
from engines.network import NetworkConfig, as_input, move
from engines.render import to_pixels
from engines.skeleton import SKELETONS
from engines.weightfile import Contents, FileKind, check_weights
from training import checkpoint
from training.config import Jitter
from training.evaluate import normalised_errors, predict
from training.export import LICENCE, hardware
from training.hourglass import HourglassConfig, HourglassTask, StackedHourglass
from training.images import Batch
from training.imm import Imm, ImmConfig, ImmTask
from training.labelled import LabelledBatch, LabelledPictures, load_labels
from training.learner import growing_average
from training.perceptual import open_perceptual
from training.processes import ALONE
from training.regressor import autocast, descend
from training.run import Log, Run, Saver, interruptible
from training.supervised import SupervisedConfig, SupervisedNet, SupervisedTask

# Whole: of points that lie together IMM's map has large weights that cancel out.
_FILE = FileKind("kptrack-baseline-1", "a baseline", "train it again", half=False)
_LOOK_EVERY = 500

BaselineConfig = ImmConfig | HourglassConfig | SupervisedConfig
Network = Imm | StackedHourglass | SupervisedNet
Task = ImmTask | HourglassTask | SupervisedTask

BASELINES: dict[str, BaselineConfig] = {
    "imm": ImmConfig(),
    "imm-lite": ImmConfig(network=NetworkConfig(input_size=64, width=16, map_size=16), steps=9000, batch=16),
    "hourglass": HourglassConfig(),
    "hourglass-lite": HourglassConfig(
        network=NetworkConfig(input_size=64, width=64, map_size=32), steps=9000, batch=16
    ),
    "supervised": SupervisedConfig(),
    "supervised-lite": SupervisedConfig(
        network=NetworkConfig(input_size=64, width=16, map_size=16), steps=9000, batch=16
    ),
}
_METHODS = {
    "imm": (ImmConfig, "IMM (Jakab et al., NeurIPS 2018), landmarks by a linear map fitted on labels"),
    "hourglass": (HourglassConfig, "stacked hourglass (Newell et al., ECCV 2016), learned from labels"),
    "supervised": (SupervisedConfig, "the networks of KeypointGAN, learned from labels"),
}


def train_baseline(
    run: Run, config: BaselineConfig, resume: bool, device: torch.device, stop_at: int | None = None
) -> bool:
    """Train until ``config.steps`` (or only to ``stop_at``), going on from the last checkpoint if ``resume``.

    Writes below ``run.out``: ``checkpoint.pt``, ``log.jsonl`` and, when it has come to its end or to
    ``stop_at``, ``model.safetensors`` for ``open_baseline``. False when it was interrupted: then the
    checkpoint holds all. Raises as ``training.train.train`` does.
    """
    path = run.out / "checkpoint.pt"
    if path.exists() and not resume:
        raise ValueError(f"{path} is there: --resume goes on with it, or choose another --out")
    pictures, held_out = load_labels(run.data, SKELETONS[config.skeleton])
    torch.manual_seed(config.seed)
    task: Task
    if isinstance(config, ImmConfig):
        task = ImmTask(run.data, config, pictures, open_perceptual(run.perceptual), device)
    elif isinstance(config, HourglassConfig):
        task = HourglassTask(config, pictures)
    else:
        task = SupervisedTask(config, pictures)
    run.out.mkdir(parents=True, exist_ok=True)
    log = Log(run.out / "log.jsonl")
    log.say(f"{config.skeleton}, {config.network.input_size} px, {task.describe()}, {device}")
    learner = Learner(config, task, device)
    step = 0
    if stored := checkpoint.resume(path, config, ALONE):
        learner.load_state_dict(stored["learner"])
        step = stored["step"]
        log.say(f"resumed at step {step}")
    last = min(stop_at or config.steps, config.steps)
    saver = Saver(path, config, learner, log, step)
    with interruptible(ALONE) as stopping:
        batches: Iterator[Batch | LabelledBatch] = task.batches(step + 1)
        for number, batch in enumerate(batches, start=step + 1):
            if number > last or stopping():
                break
            saver.after(number, learner.step(number, batch.to(device)))
            if number % _LOOK_EVERY == 0:
                log.write({"step": number, "held_out_nme": learner.examine(held_out)})
        saver.save()
        stopped = saver.step < last
    if stopped:
        log.say(f"interrupted at step {saver.step}; --resume goes on from there")
        return False
    card = {
        "data": f"{task.describe()}, of {run.data.absolute().name}",
        "command": run.command,
        "step": saver.step,
        "recipe": config.to_json(),
        "hardware": hardware(),
        "licence": LICENCE,
        "held_out_nme": learner.examine(held_out),
    }
    kind = next(kind for kind, (config_type, _) in _METHODS.items() if isinstance(config, config_type))
    described = {"kind": kind, "card": {"method": _METHODS[kind][1], **card}}
    _FILE.save(run.out / "model.safetensors", learner.graduate.state_dict(), described)
    log.say(f"wrote {run.out / 'model.safetensors'}")
    return True


class Learner:
    """A network as it learns its ``task``. ``state_dict`` holds all of it, for checkpoints."""

    processes = ALONE

    def __init__(self, config: BaselineConfig, task: Task, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self._config, self._task, self._device = config, task, device
        self.network: Any = task.network()
        move(self.network, device)
        self.averaged = AveragedModel(
            self.network, multi_avg_fn=growing_average(config.ema), use_buffers=True
        )
        self.optimiser = torch.optim.Adam(self.network.parameters(), config.lr)

    @property
    def graduate(self) -> Network:
        """The network averaged over steps and in evaluation mode."""
        graduate: Any = self.averaged.module.eval()
        return cast(Network, graduate)

    def step(self, number: int, batch: Batch | LabelledBatch) -> dict[str, Tensor]:
        """One step; the loss, detached. The rate falls as a cosine, to a hundredth."""
        fallen = 0.5 + 0.5 * math.cos(math.pi * number / self._config.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = self._config.lr * (0.01 + 0.99 * fallen)
        task: Any = self._task
        with autocast(self._device):
            loss = task.loss(self.network, batch)
        descend(self.optimiser, loss, ALONE)
        self.averaged.update_parameters(self.network)
        return {"loss": loss.detach()}

    def examine(self, held_out: LabelledPictures) -> float:
        """The averaged network's NME in percent, in undisturbed crops, once it has been finished."""
        task: Any = self._task
        task.finish(self.graduate)
        engine = BaselineEngine(self.graduate, self._config, "training", self._device)
        points = predict(engine, held_out.images, held_out.boxes(self._config.crop_scale))
        return float(normalised_errors(points, held_out.points, engine.skeleton).mean())

    def _parts(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "averaged": self.averaged,
            "optimiser": self.optimiser,
            "task": self._task,
        }

    def state_dict(self) -> dict[str, Any]:
        """Weights, their averages, the optimiser, what the task remembers."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse; raises ``KeyError``, ``ValueError`` or ``RuntimeError`` when it does not fit."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])


class BaselineEngine:
    """A trained baseline as ``eval`` runs any model: float32, and as sure of every point as of any other."""

    runtime, precision = "eager", "fp32"

    def __init__(self, network: Network, config: BaselineConfig, method: str, device: torch.device) -> None:
        self.skeleton, self.crop_scale = SKELETONS[config.skeleton], config.crop_scale
        self.input_size = config.network.input_size
        self.describe = f"eager PyTorch fp32 on {device}: {method}"
        self._network, self._device = network, device

    def __call__(self, crops: np.ndarray) -> Points:
        """See ``engines.engine.Engine``."""
        with torch.inference_mode():
            points = self._network.landmarks(as_input(torch.from_numpy(crops).to(self._device)))
        xy = to_pixels(points, self.input_size).cpu().numpy()
        return Points(xy, np.ones(xy.shape[:2], np.float32), np.ones(len(xy), np.float32))

    def close(self) -> None:
        """See ``engines.engine.Engine``."""


def open_baseline(path: Path, device: str = "auto") -> BaselineEngine | None:
    """The engine of a file that ``train_baseline`` has written; None of anything else.

    Raises ``ValueError`` where it does not fit this version, and as ``choose_device`` does.
    """
    chosen = choose_device(device)
    return _FILE.load(path, lambda file: _assemble(file, chosen)) if _FILE.recognises(path) else None


def _assemble(file: Contents, device: torch.device) -> BaselineEngine:
    """Engine from a file's contents; raises where its recipe or a weight does not fit."""
    config_type, method = _METHODS[file.described["kind"]]
    values = json.loads(file.described["card"]["recipe"])
    nested = {"network": NetworkConfig(**values["network"]), "jitter": Jitter(**values["jitter"])}
    config = config_type(**{**values, **nested})
    check_weights(lambda: _network(config), file.weights)
    network = _network(config)
    network.load_state_dict(file.weights)
    move(network, device)
    return BaselineEngine(network.eval(), config, method, device)


def _network(config: BaselineConfig) -> Network:
    if isinstance(config, ImmConfig):
        return Imm(config)
    return StackedHourglass(config) if isinstance(config, HourglassConfig) else SupervisedNet(config)
