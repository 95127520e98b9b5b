"""What a score means: blur and self-consistency → the expected share of points near the truth."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.stats import rankdata
from torch import Tensor

from engines import crop
from engines.network import LandmarkNet, as_input, self_consistency, soft_argmax
from engines.render import to_pixels
from engines.skeleton import SKELETONS
from engines.student import StudentNet
from training.augment import jittered_boxes
from training.config import DistillConfig, Jitter, TrainConfig
from training.evaluate import normalised_errors
from training.stored import StoredSet

_BATCH = 64
_ENOUGH = 800  # pictures to fit four numbers
_RARE = 0.3  # of the mean: sets that are trained on less often are not what a score is for
NEAR_PERCENT = 10.0  # of the subject's unit of length
# Crops that see the subject well, and ever worse, up to not at all: a score must tell them apart.
_STRAY = (
    Jitter(0.0, 0.0, 0.0),
    Jitter(0.07, 0.045, 10.0),
    Jitter(0.15, 0.12, 20.0),
    Jitter(0.3, 0.35, 40.0),
)


@torch.no_grad()
def calibrate(
    network: LandmarkNet | StudentNet,
    config: TrainConfig | DistillConfig,
    pictures: list[np.ndarray],
    truth: np.ndarray,
) -> dict[str, float]:
    """Fit the four numbers of the scores, in place; no point moves. What the card says about the fit.

    ``truth`` ``(N, K, 2)``: the joints in pixels of the N ``pictures``.
    """
    skeleton, size = SKELETONS[config.skeleton], config.network.input_size
    rng = np.random.default_rng(0)
    certainties, presences, near = [], [], []
    for stray in _STRAY:
        boxes = jittered_boxes(crop.landmark_boxes(truth, config.crop_scale), stray, rng)
        crops = np.concatenate(
            [crop.cut(image, box, size) for image, box in zip(pictures, boxes, strict=True)]
        )
        xy = []
        for part in torch.from_numpy(crops).split(_BATCH):
            points, certainty, presence = _evidence(network, as_input(part))
            xy.append(to_pixels(points, size).numpy())
            certainties.append(certainty)
            presences.append(presence)
        found = crop.to_frame(np.concatenate(xy), boxes, size)
        near.append(torch.from_numpy(normalised_errors(found, truth, skeleton) < NEAR_PERCENT).float())
    is_near = torch.cat(near)
    network.point_calibration.copy_(_fit(torch.cat(certainties).flatten(), is_near.flatten()))
    network.subject_calibration.copy_(_fit(torch.cat(presences), is_near.mean(1)))
    return {
        "crops": len(is_near),
        "point_score_auc": auc(torch.cat(certainties).flatten(), is_near.flatten() > 0.5),
        "subject_score_auc": auc(torch.cat(presences), is_near.mean(1) > 0.5),
    }


def _evidence(network: LandmarkNet | StudentNet, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Points ``(B, K, 2)`` and what their scores ``(B, K)`` and the subject's ``(B,)`` are functions of."""
    if isinstance(network, StudentNet):
        return network.evidence(image)
    drawn = network.drawer(image)
    points, variance = soft_argmax(network.regressor.logits(drawn))
    return points, -variance.log(), self_consistency(drawn, points, network.edges)


@torch.no_grad()
def self_labelled(
    network: LandmarkNet | StudentNet, config: TrainConfig | DistillConfig, sets: list[StoredSet]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Training pictures and what the model itself finds in their best crops: where nobody labelled any."""
    size = config.network.input_size
    weights = np.array([config.set_weights.get(each.name, 1 / len(sets)) for each in sets])
    sets = [each for each, weight in zip(sets, weights, strict=True) if weight >= _RARE * weights.mean()]
    every = max(1, sum(len(each.images) for each in sets) // _ENOUGH)
    pictures = [image for each in sets for image in each.images][::every]
    stored = np.concatenate([each.boxes for each in sets])[::every]
    boxes = np.column_stack([stored[:, :2], stored[:, 2] * config.crop_scale, np.zeros(len(stored))])
    crops = np.concatenate([crop.cut(image, box, size) for image, box in zip(pictures, boxes, strict=True)])
    xy = [network(part)[0].numpy() for part in torch.from_numpy(crops).split(_BATCH)]
    return pictures, crop.to_frame(np.concatenate(xy), boxes, size)


def _fit(value: Tensor, share: Tensor) -> Tensor:
    """Bias and slope (never negative: the map must be monotone) of a logistic regression."""
    x, y = value.double().numpy(), share.double().numpy()

    def loss(parameters: np.ndarray) -> float:
        score = parameters[0] + parameters[1] * x
        return float((np.logaddexp(0, score) - y * score).mean())

    found = minimize(loss, [0.0, 1.0], bounds=[(None, None), (0, None)], method="L-BFGS-B")
    return torch.from_numpy(found.x).float()


def auc(value: Tensor, positive: Tensor) -> float:
    """Chance that a positive case has the larger value, half of one where they are alike: 0.5 is blind.

    ``value`` ``(N,)``, ``positive`` ``(N,)`` bool; NaN where all are positive or none.
    """
    ranks = torch.from_numpy(rankdata(value.numpy()))  # a mean rank for values that are alike
    count = int(positive.sum())
    rest = len(value) - count
    if not count or not rest:
        return float("nan")
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * rest))
