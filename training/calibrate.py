"""What a score means: blur and self-consistency → the expected share of points near the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from engines import crop
from engines.network import LandmarkNet, self_consistency, soft_argmax
from engines.render import to_pixels
from engines.skeleton import SKELETONS
from training.augment import jittered_boxes
from training.config import Jitter, TrainConfig
from training.evaluate import normalised_errors
from training.images import as_input
from training.index import load_arrays, read_picture

NEAR_PERCENT = 10.0  # of the subject's unit of length
# Crops that see the subject well, and ever worse, up to not at all: a score must tell them apart.
_STRAY = (
    Jitter(0.0, 0.0, 0.0),
    Jitter(0.07, 0.045, 10.0),
    Jitter(0.15, 0.12, 20.0),
    Jitter(0.3, 0.35, 40.0),
)


@torch.no_grad()
def calibrate(network: LandmarkNet, config: TrainConfig, images: Path, labels: Path) -> dict[str, float]:
    """Fit the four numbers of the scores, in place; no point moves. What the card says about the fit.

    ``labels``: an npz with ``name`` and ``pts``; ``images``: the folder of those pictures.
    """
    arrays = load_arrays(labels, "name", "pts")
    names, truth = arrays["name"], arrays["pts"].astype(np.float32)
    skeleton, size = SKELETONS[config.skeleton], config.network.input_size
    rng = np.random.default_rng(0)
    pictures = [read_picture(images / str(name)) for name in names]
    blur, agreement, near = [], [], []
    for stray in _STRAY:
        boxes = jittered_boxes(crop.landmark_boxes(truth, config.crop_scale), stray, rng)
        crops = np.concatenate(
            [crop.cut(image, box, size) for image, box in zip(pictures, boxes, strict=True)]
        )
        xy = []
        for part in torch.from_numpy(crops).split(64):
            drawn = network.drawer(as_input(part))
            points, variance = soft_argmax(network.regressor.logits(drawn))
            xy.append(to_pixels(points, size).numpy())
            blur.append(variance.log())
            agreement.append(self_consistency(drawn, points, network.edges))
        found = crop.to_frame(np.concatenate(xy), boxes, size)
        near.append(torch.from_numpy(normalised_errors(found, truth, skeleton) < NEAR_PERCENT).float())
    is_near = torch.cat(near)
    network.point_calibration.copy_(_fit(-torch.cat(blur).flatten(), is_near.flatten()))
    network.subject_calibration.copy_(_fit(torch.cat(agreement), is_near.mean(1)))
    return {
        "crops": len(is_near),
        "point_score_auc": _auc(-torch.cat(blur).flatten(), is_near.flatten() > 0.5),
        "subject_score_auc": _auc(torch.cat(agreement), is_near.mean(1) > 0.5),
    }


def _fit(value: Tensor, share: Tensor) -> Tensor:
    """Bias and slope (never negative: the map must be monotone) of a logistic regression."""
    x, y = value.double().numpy(), share.double().numpy()

    def loss(parameters: np.ndarray) -> float:
        score = parameters[0] + parameters[1] * x
        return float((np.logaddexp(0, score) - y * score).mean())

    found = minimize(loss, [0.0, 1.0], bounds=[(None, None), (0, None)], method="L-BFGS-B")
    return torch.from_numpy(found.x).float()


def _auc(value: Tensor, positive: Tensor) -> float:
    """Chance that a positive case has the larger value: 1 perfect, 0.5 blind."""
    ranks = value.argsort().argsort().double() + 1
    count = int(positive.sum())
    rest = len(value) - count
    if not count or not rest:
        return float("nan")
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * rest))
