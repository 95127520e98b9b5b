"""Distillation: a student learns a teacher's landmarks on unlabelled pictures, to be as good and faster."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from engines import open_engine
from engines.model import Model
from engines.network import as_input, move
from engines.render import to_pixels
from engines.skeleton import SKELETONS, Skeleton
from engines.student import StudentConfig, StudentNet
from training import checkpoint
from training.calibrate import NEAR_PERCENT, auc
from training.config import PRESETS, DistillConfig
from training.export import export_student
from training.grid import TILE, annotated, tiles, write_rows
from training.index import load_arrays
from training.learner import growing_average
from training.lessons import Lesson, Lessons, answers
from training.processes import ALONE
from training.regressor import autocast, descend
from training.run import Log, Run, Saver, interruptible
from training.stored import load_sets

_LOOK_EVERY = 250
_LOOKED_AT = 12  # pictures in a grid
_JUDGED = 256  # held-out crops
_WARM_UP = 0.03  # of the steps, until the learning rate is full
# Of losses whose gradients are of order one for each output: the points come first.
_DOUBT, _PRESENCE = 0.05, 0.05
_FIRST_CERTAINTY = 3.0  # an error of e^-3, 2.5 % of the crop
_TRUSTED = 0.04  # units of length: a picture counts the less, the more the teacher's spread exceeds it


def config_for(teacher: Model) -> DistillConfig:
    """What a student of this teacher is trained with: its pictures are weighed as the teacher's were."""
    presets = [each for each in PRESETS.values() if each.skeleton == teacher.skeleton.name]
    return DistillConfig(
        teacher.skeleton.name,
        teacher.crop_scale,
        StudentConfig(input_size=teacher.config.input_size),
        set_weights=presets[0].set_weights if presets else {},
    )


def distill(
    run: Run,
    teacher: Model,
    config: DistillConfig,
    resume: bool,
    device: torch.device,
    stop_at: int | None = None,
) -> bool:
    """Train a student until ``config.steps`` (or only to ``stop_at``), going on from there if ``resume``.

    Writes below ``run.out``: ``answers.pt``, what the teacher finds in every picture; ``checkpoint.pt``,
    ``log.jsonl``, ``grids/`` and, when it has come to its end or to ``stop_at``, ``model.safetensors``.
    False when it was interrupted: then the checkpoint holds all.

    Raises ``ValueError`` for data, a teacher or checkpoints that do not fit, ``TrainingStopped`` for a loss
    that is not finite, ``OSError`` when the disk refuses.
    """
    skeleton = SKELETONS[config.skeleton]
    _check_subject(run, skeleton)
    sets, unseen = (load_sets(run.data / "train", held_out) for held_out in (False, True))
    found = [path for name in ("checkpoint.pt", "answers.pt") if (path := run.out / name).exists()]
    if found and not resume:
        raise ValueError(f"{found[0]} is there: --resume goes on with it, or choose another --out")
    run.out.mkdir(parents=True, exist_ok=True)
    log = Log(run.out / "log.jsonl")
    log.say(
        f"a student of {teacher.name}: {config.skeleton}, {config.network.input_size} px,"
        f" {sum(len(each.images) for each in sets)} pictures"
        f" ({sum(len(each.images) for each in unseen)} held out), {device}"
    )
    last = min(stop_at or config.steps, config.steps)

    with interruptible(ALONE) as stopping:
        engine = open_engine(teacher, "eager", device=str(device))
        taught = answers(
            run.out / "answers.pt", sets + unseen, engine, teacher.digest, config, stopping, log.say
        )
        if taught is None:
            log.say("interrupted while the teacher was asked; --resume goes on with the set it was at")
            return False
        lessons = Lessons(sets, taught[: len(sets)], config)
        exam = Lessons(unseen, taught[len(sets) :], config)
        pupil = Pupil(config, skeleton, device)
        step = 0
        if stored := checkpoint.resume(run.out / "checkpoint.pt", config, ALONE):
            pupil.load_state_dict(stored["learner"])
            step = stored["step"]
            log.say(f"resumed at step {step}")
        saver = Saver(run.out / "checkpoint.pt", config, pupil, log, step)
        while saver.step < last and not stopping():
            number = saver.step + 1
            saver.after(number, pupil.step(number, lessons.batch(number)))
            if number % _LOOK_EVERY == 0:
                log.write({"step": number, **examine(pupil.graduate, exam, device)})
                _write_grid(run.out / "grids" / f"{number:06d}.png", pupil.graduate, exam, skeleton, device)
        saver.save()
        stopped = saver.step < last
    if stopped:
        log.say(f"interrupted at step {saver.step}; --resume goes on from there")
        return False
    model = run.out / "model.safetensors"
    held_out = examine(pupil.graduate, exam, device)
    export_student(model, pupil.graduate, config, teacher, run.data, run.command, sets, saver.step, held_out)
    log.say(f"wrote {model}")
    return True


def _check_subject(run: Run, skeleton: Skeleton) -> None:
    """Refuse a teacher of something else than the data show, where labels or poses beside them tell."""
    for path in sorted([*run.data.glob("labels/*.npz"), *run.data.glob("prior/**/*.npz")]):
        arrays = load_arrays(path)
        if "pts" in arrays and arrays["pts"].shape[1] != len(skeleton.joints):
            raise ValueError(
                f"{path} has {arrays['pts'].shape[1]} joints, and the teacher's {skeleton.name}"
                f" {len(skeleton.joints)}: give data and a teacher of the same subject"
            )


class Pupil:
    """The student as it learns. ``state_dict`` holds all of it, for checkpoints."""

    processes = ALONE

    def __init__(self, config: DistillConfig, skeleton: Skeleton, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config, self.device = config, device
        self.network = StudentNet(skeleton, config.network)
        last: Any = self.network.regressor[-1]
        joints = len(skeleton.joints)
        nn.init.normal_(last.weight, 0, 0.01)
        nn.init.zeros_(last.bias)
        nn.init.constant_(last.bias[3 * joints : 4 * joints], _FIRST_CERTAINTY)
        move(self.network, device)
        self.averaged = AveragedModel(
            self.network, multi_avg_fn=growing_average(config.ema), use_buffers=True
        )
        weights = [each for each in self.network.parameters() if each.ndim > 1]
        others = [each for each in self.network.parameters() if each.ndim == 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": weights, "weight_decay": config.decay}, {"params": others, "weight_decay": 0.0}],
            config.lr,
        )

    @property
    def graduate(self) -> StudentNet:
        """The student averaged over steps and in evaluation mode: for looking, measuring and shipping."""
        graduate: Any = self.averaged.module.eval()
        return cast(StudentNet, graduate)

    def step(self, number: int, lesson: Lesson) -> dict[str, Tensor]:
        """One step; the losses, detached. ``points`` is the mean distance from the teacher's, normalised."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.lr * _rate(number, self.config.steps)
        image, present, wanted, spread, unit = (
            value.to(self.device)
            for value in (lesson.image, lesson.present, lesson.points, lesson.spread, lesson.unit)
        )
        with autocast(self.device):
            points, certainty, presence = self.network.evidence(as_input(image))
        errors = (points - wanted).norm(dim=-1)
        trust = present * (_TRUSTED * unit / spread.mean(1).clamp_min(1e-6)).clamp(max=1)
        share = trust[:, None] / trust.sum().clamp_min(1e-6) / errors.shape[1]
        # What the student cannot know and what its teacher does not are doubts alike; neither moves a point.
        off = errors.detach() + spread
        # Laplace in the plane: -log of exp(-off / b) / b², with b = exp(-certainty).
        doubt = off * certainty.clamp(-2, 8).exp() - 2 * certainty
        near = (off < NEAR_PERCENT / 100 * unit[:, None]).float().mean(1)
        losses = {
            "points": (errors * share).sum(),
            "doubt": (doubt * share).sum(),
            "presence": F.binary_cross_entropy_with_logits(presence, near * present),
        }
        loss = losses["points"] + _DOUBT * losses["doubt"] + _PRESENCE * losses["presence"]
        descend(self.optimiser, loss, ALONE)
        self.averaged.update_parameters(self.network)
        return {name: value.detach() for name, value in losses.items()}

    def _parts(self) -> dict[str, Any]:
        return {"network": self.network, "averaged": self.averaged, "optimiser": self.optimiser}

    def state_dict(self) -> dict[str, Any]:
        """Weights, their averages, the optimiser."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse; raises ``KeyError``, ``ValueError`` or ``RuntimeError`` when it does not fit."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])


def _rate(number: int, steps: int) -> float:
    """Up within the first steps, then a cosine down to a hundredth."""
    return min(1.0, number / (_WARM_UP * steps)) * (
        0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * number / steps))
    )


@torch.no_grad()
def examine(student: StudentNet, exam: Lessons, device: torch.device) -> dict[str, float]:
    """Measures on held-out pictures against the teacher's answers.

    ``held_out_percent``: mean distance, in percent of the subject's unit, in undisturbed crops;
    ``held_out_presence_auc``: chance that a crop with the subject is told from one without, both disturbed.
    """
    clean = exam.batch(0, _JUDGED, clean=True)
    points, _, _ = student.evidence(as_input(clean.image.to(device)))
    errors = (points.cpu() - clean.points).norm(dim=-1).mean(1) / clean.unit
    mixed = exam.batch(1, _JUDGED)
    _, _, presence = student.evidence(as_input(mixed.image.to(device)))
    return {
        "held_out_percent": 100 * errors.mean().item(),
        "held_out_presence_auc": auc(presence.cpu(), mixed.present > 0.5),
    }


@torch.no_grad()
def _write_grid(
    path: Path, student: StudentNet, exam: Lessons, skeleton: Skeleton, device: torch.device
) -> None:
    """A PNG with a column a crop: the crop, the teacher's landmarks on it, the student's."""
    lesson = exam.batch(2, _LOOKED_AT)
    image = as_input(lesson.image.to(device))
    points, _, _ = student.evidence(image)
    shown = tiles(image)
    rows = [
        [
            annotated(tile, xy, skeleton)
            for tile, xy in zip(shown, to_pixels(each.cpu(), TILE).numpy(), strict=True)
        ]
        for each in (lesson.points, points)
    ]
    write_rows(path, [shown, *rows])
