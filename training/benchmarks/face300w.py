"""300-W: 68 points, mean error in percent of the distance of the eyes; common, challenging and full.

Reads iBUG's packages as unpacked, every picture with a ``.pts`` file of the same name beside it:

    afw/ (337)   helen/trainset/ (2000)   helen/testset/ (330)
    ibug/ (135)  lfpw/trainset/ (811)     lfpw/testset/ (224)

Common are the test sets of Helen and LFPW, challenging is iBUG, full is both (689); the other 3,148
are for training, here only of the regression. Inter-ocular is the distance of the outer eye corners,
inter-pupil that of the means of each eye's six points.

Decided by us: coordinates in ``.pts`` count from 1, as Menpo, iBUG's own reader, takes them; crops are
around the labelled points, as for our other sets (KeypointGAN's crops are not known). Mirrored pictures
(``*_mirror``), which dlib's package adds, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from engines.skeleton import FACE68
from training.benchmarks.files import folder_of
from training.benchmarks.protocol import Benchmark, Sample
from training.benchmarks.published import FACE300W
from training.evaluate import normalised_errors
from training.index import read_picture

COUNTS = {
    "helen/testset": 330,
    "lfpw/testset": 224,
    "ibug": 135,
    "afw": 337,
    "helen/trainset": 2000,
    "lfpw/trainset": 811,
}
_TEST = {"helen/testset": "common", "lfpw/testset": "common", "ibug": "challenging"}
_TRAINING = {"afw": "training", "helen/trainset": "training", "lfpw/trainset": "training"}
_PICTURES = (".jpg", ".png", ".jpeg")
_EYES = [[FACE68.joints.index(f"{side}_eye_{index}") for index in range(6)] for side in ("left", "right")]


def benchmark(root: Path, counts: Mapping[str, int] = COUNTS) -> Benchmark:
    """The protocol on the packages in ``root``, where ``counts`` pictures are expected of each.

    Raises ``ValueError`` when a package of the test split is not whole.
    """
    test = _labels_of(root, _TEST, counts)
    return Benchmark(
        name="300-W",
        unit="NME %",
        skeleton=FACE68,
        measures={"inter-ocular": inter_ocular, "inter-pupil": inter_pupil},
        groups=("common", "challenging"),
        total="full",
        test=partial(_samples, test),
        training=lambda: _samples(_labels_of(root, _TRAINING, counts)),
        published=FACE300W,
    )


def inter_ocular(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean error ``(N,)`` in percent of the distance of the outer eye corners."""
    return normalised_errors(points, truth, FACE68).mean(axis=1)


def inter_pupil(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean error ``(N,)`` in percent of the distance of the middles of the eyes."""
    left, right = (truth[:, eye].mean(axis=1) for eye in _EYES)
    unit = np.linalg.norm(left - right, axis=-1)
    return 100 * np.linalg.norm(points - truth, axis=-1).mean(axis=1) / unit


def _labels_of(root: Path, packages: dict[str, str], counts: Mapping[str, int]) -> list[tuple[Path, str]]:
    """The label files of ``packages`` and the group of each."""
    labels: list[tuple[Path, str]] = []
    for package, group in packages.items():
        folder = folder_of(root, *package.split("/"), want="iBUG's packages unpacked: afw, helen, ibug, lfpw")
        here = sorted(path for path in folder.glob("*.pts") if not path.stem.endswith("_mirror"))
        if len(here) != counts[package]:
            raise ValueError(f"{folder}: {len(here)} .pts files, want {counts[package]}: half a download?")
        labels += [(path, group) for path in here]
    return labels


def _samples(labels: list[tuple[Path, str]]) -> Iterator[Sample]:
    for path, group in labels:
        pictures = [path.with_suffix(suffix) for suffix in _PICTURES]
        picture = next((each for each in pictures if each.is_file()), None)
        if picture is None:
            raise ValueError(f"{path}: no picture of that name beside it: half a download?")
        yield Sample(read_picture(picture), read_pts(path), group)


def read_pts(path: Path) -> np.ndarray:
    """The points ``(68, 2)`` of a ``.pts`` file, counted from 0. Raises ``ValueError``."""
    text = path.read_text(encoding="utf-8", errors="replace")
    inside = re.search(r"\{(.*)\}", text, re.DOTALL)
    try:
        points = np.array((inside[1] if inside else "").split(), float).reshape(-1, 2)
    except ValueError as error:
        raise ValueError(f"{path} is no .pts file: want points x y between braces") from error
    if len(points) != len(FACE68.joints):
        raise ValueError(f"{path}: {len(points)} points between braces, want {len(FACE68.joints)}")
    return points - 1
