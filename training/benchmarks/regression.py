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

    A label of NaN is none: its picture does not count for that point. Raises ``ValueError`` when there
    are fewer pictures than weights of a coordinate.
    """
    x = found.reshape(len(found), -1)
    labelled = ~np.isnan(truth).any(axis=2)
    weights = np.empty((x.shape[1], *truth.shape[1:]))
    # Points that the same pictures have are fitted at once: in most sets that is all of them.
    for pictures in np.unique(labelled, axis=1).T:
        if pictures.sum() < x.shape[1]:
            raise ValueError(
                f"a regression from {found.shape[1]} points takes {x.shape[1]} labelled pictures or more:"
                f" there are {pictures.sum()}"
            )
        points = (labelled == pictures[:, None]).all(axis=0)
        y = truth[pictures][:, points]
        fitted = np.linalg.lstsq(x[pictures], y.reshape(len(y), -1), rcond=None)[0]
        weights[:, points] = fitted.reshape(len(weights), -1, 2)
    return weights.reshape(len(weights), -1)


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
    return np.asarray(np.nanmean(np.linalg.norm(points - truth, axis=-1), axis=1))
