"""The only way from a training run to a model file."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from engines.model import Model
from engines.network import LandmarkNet, PoseRegressor, SkeletonDrawer
from engines.skeleton import SKELETONS
from training.calibrate import NEAR_PERCENT, calibrate, labelled, self_labelled
from training.config import TrainConfig
from training.stored import StoredSet

_LICENCE = (
    "research use only: trained on pictures of people without a licence for more; see weights/NOTICE.md"
)


def export_model(
    path: Path,
    drawer: SkeletonDrawer,
    regressor: PoseRegressor,
    config: TrainConfig,
    data: Path,
    command: str,
    sets: list[StoredSet],
    step: int,
) -> None:
    """Write Φ and η, learned from ``sets``, with a card; scores are calibrated with ``data/labels``.

    Without any there, with what the model itself finds in ``sets``.
    """
    skeleton = SKELETONS[config.skeleton]
    network = LandmarkNet(skeleton, config.network)
    network.drawer.load_state_dict(drawer.state_dict())
    network.regressor.load_state_dict(regressor.state_dict())
    network.eval()
    pictures = sum(len(each.images) for each in sets)
    card: dict[str, Any] = {
        "method": "KeypointGAN (Jakab, Gupta, Bilen, Vedaldi, CVPR 2020); no paired label was used",
        "data": f"{pictures} unlabelled pictures and unpaired poses of {data.name}",
        "command": command,
        "step": step,
        "recipe": config.to_json(),
        "hardware": _hardware(),
        "licence": _LICENCE,
    }
    if config.puppets:
        card["deviation"] = (
            "Φ learned first, and beside the pictures, from drawn puppets in poses of the prior"
        )
    labels = next(iter(sorted((data / "labels").glob("*_train.npz"))), None)
    if labels:
        images = data / "train" / labels.stem.removesuffix("_train") / "images"
        fit = calibrate(network, config, *labelled(images, labels))
        source = f"{labels.stem} (training pictures; moves no point)"
    else:
        fit = calibrate(network, config, *self_labelled(network, config, sets))
        source = (
            "the model's own landmarks in undisturbed crops of training pictures (no labels; moves no point)"
        )
    card["scores"] = {
        "meaning": f"expected share of points within {NEAR_PERCENT:g} % of the unit of length",
        "calibrated_with": source,
        **fit,
    }
    Model(skeleton, config.network, config.crop_scale, network.state_dict(), card).save(path)


def _hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()} cores of a processor ({platform.machine()})"
