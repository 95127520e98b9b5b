"""The sets that kptrack keeps itself, ``images/`` and ``index.npz``: faces, heads of cats, people.

Everything is as ``training.evaluate`` has it: files, crops, errors and the sets that are told apart. What
is added are the fitted rows. The regression is fitted on ``labels/NAME_train.npz`` beside the folder
``test``, the points of the pictures in ``train/NAME/images``; only faces have such. Nothing published
stands beside these sets: nobody else was scored on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engines.skeleton import CAT_HEAD, FACE68, HUMAN, Skeleton
from training.benchmarks.cat_head import MEASURES
from training.benchmarks.protocol import Benchmark, Measure, Sample
from training.evaluate import LabelledSet, load_labelled, normalised_errors
from training.index import label_files, load_arrays, read_labelled

_UNITS = {FACE68.name: "NME %", CAT_HEAD.name: "NME %", HUMAN.name: "% of the crop"}


def benchmark(root: Path) -> Benchmark:
    """The set in ``root``, or the sets in its folders. Raises ``ValueError`` for what does not fit."""
    skeleton = _skeleton(root)
    sets = load_labelled(root, skeleton)
    joints = tuple(skeleton.joints[joint] for joint in sets[0].joints)
    measures = MEASURES if skeleton is CAT_HEAD else {f"{len(joints)} points": _mean_error(skeleton)}
    return Benchmark(
        name=f"{root.name} of {skeleton.name}",
        unit=_UNITS[skeleton.name],
        skeleton=skeleton,
        measures=measures,
        groups=sorted({str(group) for each in sets for group in each.groups}),
        test=lambda: _samples(sets),
        training=lambda: _training(root),
        confusable=skeleton is HUMAN,
        joints=joints,
    )


def _skeleton(root: Path) -> Skeleton:
    """Whose points the first set in ``root`` has: those that lack some name those they have."""
    index = next(iter([*root.glob("index.npz"), *sorted(root.glob("*/index.npz"))]), None)
    if index is None:
        raise ValueError(f"no index.npz in {root} or in a folder of it: want index.npz and images/")
    arrays = load_arrays(index, "pts")
    shape = arrays["pts"].shape
    if "joint_names" in arrays:
        return HUMAN
    for skeleton in (FACE68, CAT_HEAD, HUMAN):
        if shape[1:] == (len(skeleton.joints), 2):
            return skeleton
    raise ValueError(f"{index}: pts of shape {shape} are not of {', '.join(_UNITS)}: want 68, 9 or 17 points")


def _mean_error(skeleton: Skeleton) -> Measure:
    return lambda points, truth: np.nanmean(normalised_errors(points, truth, skeleton), axis=1)


def _samples(sets: list[LabelledSet]) -> Iterator[Sample]:
    for each in sets:
        for image, points, group in zip(each.images, each.points, each.groups, strict=True):
            yield Sample(image, points, str(group))


def _training(root: Path) -> Iterator[Sample]:
    """The labelled pictures beside the test sets."""
    beside = root.resolve().parents[:2]
    files = [each for folder in beside for each in label_files(folder)]
    if not files:
        raise ValueError(f"no labels to fit a regression on: want labels/NAME_train.npz beside {root}")
    for labels, folder in files:
        images, points = read_labelled(labels, folder)
        yield from (Sample(image, own, folder.parent.name) for image, own in zip(images, points, strict=True))
