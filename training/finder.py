"""How the finder is trained: scenes pasted together from stored pictures, then frames of whole clips."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from engines.finder import KINDS, Finder, FinderModel, FinderNet, load_finder, overlap
from engines.network import as_input
from engines.skeleton import CAT_HEAD, FACE68, HUMAN
from training import checkpoint
from training.clips import Clips
from training.config import FindingConfig
from training.export import LICENCE, hardware
from training.learner import growing_average
from training.processes import ALONE
from training.regressor import autocast
from training.run import Log, Run, Saver, interruptible
from training.scenes import Scene, Scenes, stacked
from training.workers import made_ahead

_WARM_UP = 200  # steps until the learning rate is full
_LOOK_EVERY = 500
_JUDGED = 160  # scenes of people and cats that training has not seen
_RIGHT_IOU = 0.4
# What PyTorch makes of a file that holds something else.
_UNREADABLE = (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError, LookupError, TypeError)
# Below it a peak is nobody. Low, as the landmark model has its own say afterwards about who is there, and
# lower for people, who bend and turn as no head does.
_LEAST_SCORES = {FACE68.name: 0.3, HUMAN.name: 0.25, CAT_HEAD.name: 0.3}


@dataclass(frozen=True)
class Sources:
    """What a run may look at besides the pictures below ``Run.data``.

    ``boxes``: where people are in their pictures (``boxes.pt`` of a run of theirs); ``start``: a finder
    to go on from; ``clips``: whole clips, in which ``start`` and the landmark models find the subjects.
    """

    boxes: Path | None = None
    start: Path | None = None
    clips: tuple[Path, ...] = ()


def train_finder(run: Run, config: FindingConfig, resume: bool, sources: Sources) -> bool:
    """Train until ``config.steps``, going on from the last checkpoint if ``resume``.

    Writes below ``run.out``: ``checkpoint.pt``, ``log.jsonl`` and, at the end, ``finder.safetensors``.
    False when it was interrupted: then the checkpoint holds all. Raises as ``training.train.train`` does.
    """
    path = run.out / "checkpoint.pt"
    if path.exists() and not resume:
        raise ValueError(f"{path} is there: --resume goes on with it, or choose another --out")
    if sources.clips and not sources.start:
        raise ValueError("--clips needs --start: a finder that finds the subjects in them")
    boxes = _stored_boxes(sources.boxes)
    run.out.mkdir(parents=True, exist_ok=True)
    log = Log(run.out / "log.jsonl")
    start = load_finder(sources.start) if sources.start else None
    seen = Scenes(run.data, config.seed, boxes=boxes)
    unseen = Scenes(run.data, config.seed, held_out=True, boxes=boxes)
    log.say(f"finder: {seen.describe()} ({len(unseen)} held out)")
    clips = Clips(sources.clips, start) if start and sources.clips else None
    if clips:
        log.say(f"clips: {clips.describe()}")
    learner = FinderLearner(config, start)
    first = 0
    if path.exists():
        stored = checkpoint.load(path, config)
        learner.load_state_dict(stored["learner"])
        first = stored["step"]
        log.say(f"resumed at step {first}")
    to_judge = [scene for number in range(_JUDGED // 8) for scene in unseen.batch(number, 8)]
    with interruptible(ALONE) as stopping:
        saver = Saver(path, config, learner, log, first)
        for number, batch in enumerate(_batches(seen, clips, config, first), start=first + 1):
            if number > config.steps or stopping():
                break
            saver.after(number, learner.step(number, batch))
            if number % _LOOK_EVERY == 0:
                log.write({"step": number, **judge(learner.model({}), to_judge)})
        saver.save()
        if stopping():
            log.say(f"interrupted at step {saver.step}; --resume goes on from there")
            return False
    card = _card(run, config, seen, clips, saver.step)
    if start:
        card["start"] = start.card
    measures = judge(learner.model({}), to_judge)
    card["held_out_scenes"] = {key: round(value, 1) for key, value in measures.items()}
    learner.model(card).save(run.out / "finder.safetensors")
    log.say(f"wrote {run.out / 'finder.safetensors'}")
    return True


def _stored_boxes(path: Path | None) -> list[np.ndarray] | None:
    """Boxes of people ``(N, 3)`` of every set to learn from and then of every held-out one."""
    if path is None:
        return None
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)["boxes"]
        return [each.numpy().astype(np.float64).reshape(-1, 3) for each in stored]
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{path} holds no boxes of a run of people ({reason})") from error


class FinderLearner:
    """The network, its average and its optimiser; one step."""

    processes = ALONE

    def __init__(self, config: FindingConfig, start: FinderModel | None = None) -> None:
        torch.manual_seed(config.seed)
        self._config = config
        self.network = FinderNet(config.network if start is None else start.config)
        if start is not None:
            self.network.load_state_dict(start.network().state_dict())
        else:
            torch.nn.init.normal_(self.network.last.weight, 0, 0.01)
            with torch.no_grad():
                bias = torch.zeros(len(KINDS), 4)
                bias[:, 0] = -4.0  # nearly every cell is no centre
                self.network.last.bias = torch.nn.Parameter(bias.flatten())
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = AveragedModel(
            self.network, multi_avg_fn=growing_average(config.ema), use_buffers=True
        )
        self._optimiser = torch.optim.AdamW(self.network.parameters(), lr=config.lr, weight_decay=1e-2)

    def step(self, number: int, scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Learn from scenes of one shape; the losses."""
        config = self._config
        images, wanted, sized, counted = (torch.from_numpy(each) for each in stacked(scenes))
        for group in self._optimiser.param_groups:
            warm = min(1.0, number / _WARM_UP)
            fall = 0.5 + 0.5 * math.cos(math.pi * min(1.0, number / config.steps))
            group["lr"] = config.lr * warm * max(fall, 0.02)
        with autocast(torch.device("cpu")):
            maps = self.network.train()(as_input(images))
        losses = finder_losses(maps.float(), wanted, sized, counted)
        total = losses["centre"] + config.size * losses["size"] + config.place * losses["place"]
        self._optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._optimiser.step()
        self._average.update_parameters(self.network)
        return {key: value.detach() for key, value in losses.items()}

    def model(self, card: dict[str, object]) -> FinderModel:
        """The averaged network as a model."""
        weights = {key: value.detach().clone() for key, value in self._average.module.state_dict().items()}
        return FinderModel(self.network.config, _LEAST_SCORES, weights, card)

    def state_dict(self) -> dict[str, Any]:
        """Weights, average and optimiser."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "average": self._average, "optimiser": self._optimiser}


def finder_losses(maps: Tensor, wanted: Tensor, sized: Tensor, counted: Tensor) -> dict[str, Tensor]:
    """Losses of maps ``(B, kinds, 4, h, w)``; the others as from ``Scene.arrays``.

    Centres: the focal loss of CornerNet (Law and Deng, ECCV 2018, equation 1), which forgives what is
    near a centre. Sizes and places: smooth L1 where a centre is near.
    """
    logit, near = maps[:, :, 0], wanted[:, :, 0]
    centre = near == 1
    probability = logit.sigmoid()
    hit = -F.logsigmoid(logit) * (1 - probability) ** 2
    false = -F.logsigmoid(-logit) * probability**2 * (1 - near) ** 4
    count = centre.sum().clamp_min(1)
    errors = F.smooth_l1_loss(maps[:, :, 1:], wanted[:, :, 1:], reduction="none", beta=0.1)
    weight = sized[:, :, None] / sized.sum().clamp_min(1)
    return {
        "centre": (torch.where(centre, hit, false) * counted).sum() / count,
        "size": (errors[:, :, :1] * weight).sum(),
        "place": (errors[:, :, 1:] * weight).sum(),
    }


def judge(model: FinderModel, scenes: Sequence[Scene]) -> dict[str, float]:
    """Measures of a model in scenes whose boxes are known.

    ``found_KIND``: percent of the subjects that are in the right place; ``false_KIND``: boxes where nobody
    of the kind is, in a hundred scenes. These are harder than the world: pieces and other subjects abound.
    """
    measures = {}
    for kind in KINDS:
        finder = Finder(kind, model)
        found = false = subjects = 0
        for scene in scenes:
            boxes, _ = finder(scene.image)
            free = [*scene.boxes[kind]]
            subjects += len(free)
            for box in boxes:
                right = [row for row, each in enumerate(free) if overlap(box, each) >= _RIGHT_IOU]
                if right:
                    del free[right[0]]
                    found += 1
                else:
                    taken = (*scene.boxes[kind], *scene.ignored[kind])
                    false += not any(np.abs(box[:2] - each[:2]).max() < each[2] / 2 for each in taken)
        measures[f"found_{kind}"] = 100 * found / max(1, subjects)
        measures[f"false_{kind}"] = 100 * false / len(scenes)
    return measures


def _batches(scenes: Scenes, clips: Clips | None, config: FindingConfig, first: int) -> Iterator[list[Scene]]:
    """Batches from ``first`` on, without end; each depends on its number alone."""

    def make(number: int) -> list[Scene]:
        return scenes.batch(number, config.batch, clips.scene if clips else None, config.clips)

    return made_ahead(make, first)


def _card(
    run: Run, config: FindingConfig, scenes: Scenes, clips: Clips | None, step: int
) -> dict[str, object]:
    card: dict[str, object] = {
        "method": "centre heat maps, sizes and places; no box was labelled by anyone",
        "data": f"scenes pasted together from unlabelled pictures that were cut around their subjects:"
        f" {scenes.describe()}",
        "command": run.command,
        "step": step,
        "recipe": config.to_json(),
        "hardware": hardware(),
        "licence": LICENCE,
    }
    if clips:
        card["self_training"] = clips.describe()
    return card
