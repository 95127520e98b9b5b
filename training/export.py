"""The only way from a training run to a model file."""

from __future__ import annotations

import copy
import os
import platform
from pathlib import Path
from typing import Any

import torch

from engines.decoder import Decoder, DecoderModel, fingerprint
from engines.model import Model
from engines.network import LandmarkNet, PoseRegressor, SkeletonDrawer
from engines.skeleton import SKELETONS
from engines.student import StudentNet
from training.ablations import departures
from training.calibrate import NEAR_PERCENT, calibrate, self_labelled
from training.config import DistillConfig, TrainConfig
from training.index import label_files, read_labelled
from training.stored import StoredSet

LICENCE = "research use only: trained on pictures of people without a licence for more; see weights/NOTICE.md"

Nets = tuple[SkeletonDrawer, Decoder, PoseRegressor]

# What a model's card says of the run is true of the decoder too; its scores and accuracy are not.
_SHARED = (
    "method",
    "data",
    "command",
    "step",
    "recipe",
    "hardware",
    "licence",
    "deviation",
    "ablation",
    "start",
)


def mixed(nets: Nets, start: tuple[Model, DecoderModel], share: float) -> Nets:
    """Φ, Ψ and η with ``share`` of every weight from what the run began with.

    So much of what that knew is kept beside what was learned since (Wortsman et al., Robust fine-tuning of
    zero-shot models, CVPR 2022).
    """
    model, decoder = start
    network: Any = model.network()
    copies = copy.deepcopy(nets)
    for net, before in zip(copies, (network.drawer, decoder.network(), network.regressor), strict=True):
        old = before.state_dict()
        net.load_state_dict(
            {
                name: value.lerp(old[name].to(value), share) if value.is_floating_point() else value
                for name, value in net.state_dict().items()
            }
        )
    return copies


def export_model(
    path: Path,
    drawer: SkeletonDrawer,
    regressor: PoseRegressor,
    config: TrainConfig,
    data: Path,
    command: str,
    sets: list[StoredSet],
    step: int,
    start: Model | None = None,
) -> None:
    """Write Φ and η, learned from ``sets``, with a card; scores are calibrated with labels in ``data``.

    These are the first of ``label_files``; without any, what the model itself finds in ``sets`` is taken.
    ``start``: what the run began with.
    """
    skeleton = SKELETONS[config.skeleton]
    network = LandmarkNet(skeleton, config.network)
    network.drawer.load_state_dict(drawer.state_dict())
    network.regressor.load_state_dict(regressor.state_dict())
    network.eval()
    pictures = sum(len(each.images) for each in sets)
    card: dict[str, Any] = {
        "method": "KeypointGAN (Jakab, Gupta, Bilen, Vedaldi, CVPR 2020); no paired label was used",
        "data": f"{pictures} unlabelled pictures and unpaired poses of {data.absolute().name}",
        "command": command,
        "step": step,
        "recipe": config.to_json(),
        "hardware": hardware(),
        "licence": LICENCE,
    }
    if start:
        card["start"] = {"name": start.name, "digest": start.digest, "step": start.card.get("step")}
    if config.puppets:
        card["deviation"] = (
            "Φ learned first, and beside the pictures, from drawn puppets in poses of the prior"
        )
    if changed := departures(config):
        card["ablation"] = changed
    card["scores"] = _score(network, config, data, sets)
    Model(skeleton, config.network, config.crop_scale, network.state_dict(), card).save(path)


def export_student(
    path: Path,
    network: StudentNet,
    config: DistillConfig,
    teacher: Model,
    data: Path,
    command: str,
    sets: list[StoredSet],
    step: int,
    held_out: dict[str, float],
) -> None:
    """Write a student that has learned from ``teacher`` on ``sets``, with a card, as ``export_model`` does.

    ``held_out``: measures against the teacher on pictures that it has not learned from.
    """
    skeleton = SKELETONS[config.skeleton]
    exported = StudentNet(skeleton, config.network)
    exported.load_state_dict(network.state_dict())
    exported.eval()
    pictures = sum(len(each.images) for each in sets)
    card: dict[str, Any] = {
        "method": "one direct network, distilled from a teacher's landmarks; no paired label was used",
        "teacher": {"name": teacher.name, "digest": teacher.digest, "method": teacher.card.get("method")},
        "data": f"{pictures} unlabelled pictures of {data.absolute().name};"
        f" the teacher's: {teacher.card.get('data')}",
        "command": command,
        "step": step,
        "recipe": config.to_json(),
        "hardware": hardware(),
        "licence": teacher.card.get("licence", LICENCE),
        "held_out_pictures": held_out,
        "scores": _score(exported, config, data, sets),
    }
    Model(skeleton, config.network, config.crop_scale, exported.state_dict(), card).save(path)


def _score(
    network: LandmarkNet | StudentNet,
    config: TrainConfig | DistillConfig,
    data: Path,
    sets: list[StoredSet],
) -> dict[str, Any]:
    """Calibrate the scores, in place; what a card says of them."""
    if files := label_files(data):
        labels, images = files[0]
        fit = calibrate(network, config, *read_labelled(labels, images))
        source = f"{labels.stem} (training pictures; moves no point)"
    else:
        fit = calibrate(network, config, *self_labelled(network, config, sets))
        source = (
            "the model's own landmarks in undisturbed crops of training pictures (no labels; moves no point)"
        )
    return {
        "meaning": f"expected share of points within {NEAR_PERCENT:g} % of the unit of length",
        "calibrated_with": source,
        **fit,
    }


def export_decoder(path: Path, decoder: Decoder, config: TrainConfig, model: Model) -> None:
    """Write Ψ beside the landmark model, read back from its file, that was trained with it."""
    card = {key: model.card[key] for key in _SHARED if key in model.card}
    DecoderModel(
        model.skeleton,
        config.network,
        config.crop_scale,
        decoder.state_dict(),
        card,
        model.name,
        fingerprint(model),
    ).save(path)


def hardware() -> str:
    """What a run is made on, for its card."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()} cores of a processor ({platform.machine()})"
