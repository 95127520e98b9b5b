"""From discovered points to labelled ones by a linear map: how methods without named points are scored.

Thewlis, Zhang, Lorenz, IMM and B-KinD fit a linear regression without bias from the coordinates of
their points to those of the labels; AutoLink also lets the labels' left and right change places in
each picture whenever that fits better, which forgives confusions that KeypointGAN's score counts.

Coordinates run from 0 to 1 over the crop, as in AutoLink; Zhang subtracts a half. Without a bias that
matters a little, and we decided for the former.
"""

from __future__ import annotations

import numpy as np

from engines import crop

_FEW_SWAPS = 10  # AutoLink's fit ends when no more labels than these want to change sides
_MOST_ROUNDS = 100  # it might go to and fro without end: ours stops
_OUTLIER = 3.0  # standard deviations


def in_crops(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Points ``(N, K, 2)`` in pixels → 0 to 1 over their crops at ``boxes`` ``(N, 4)``."""
    return np.asarray(crop.to_crop(points, boxes, 1) + 0.5, np.float64)


def apply(weights: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Labelled points ``(N, K, 2)`` by ``weights`` ``(2M, 2K)`` from found ones ``(N, M, 2)``."""
    return (found.reshape(len(found), -1) @ weights).reshape(len(found), -1, 2)


def fit(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Least-squares weights ``(2M, 2K)`` from found points ``(N, M, 2)`` to labels ``(N, K, 2)``.

    Raises ``ValueError`` when there are fewer pictures than weights of a coordinate.
    """
    x, y = found.reshape(len(found), -1), truth.reshape(len(truth), -1)
    if len(x) < x.shape[1]:
        raise ValueError(
            f"a regression from {found.shape[1]} points takes {x.shape[1]} labelled pictures or more:"
            f" there are {len(x)}"
        )
    return np.linalg.lstsq(x, y, rcond=None)[0]


def fit_unoriented(found: np.ndarray, truth: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """``fit`` with each picture's labels the way round that fits better, and without outliers.

    ``mirror`` ``(K,)`` exchanges left and right of the labels.
    """
    labels = truth.copy()
    for _ in range(_MOST_ROUNDS):
        fitted = apply(fit(found, labels), found)
        errors = _errors(fitted, labels)
        better = _errors(fitted, labels[:, mirror]) < errors
        if better.sum() <= _FEW_SWAPS:
            break
        labels[better] = labels[better][:, mirror]
    kept = errors <= errors.mean() + _OUTLIER * errors.std()
    return fit(found[kept], labels[kept])


def _errors(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points - truth, axis=-1).mean(axis=1)
