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

The prior of our faces, ``poses68.npz``, holds the poses of two of the test packages, LFPW's and iBUG's, if
without their pictures. A model that learned from these, as ``face`` and its student ``face-fast`` did, is
not to be set beside the published numbers: ``caution`` says so below the table. A figure called 300-W takes
a model trained with ``--set prior_weights.lfpw_test=0 --set prior_weights.ibug=0``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from engines.model import load_model, shipped_models
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
# The same packages, as poses68.npz calls them.
_TEST_POSES = ("lfpw_test", "ibug")
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
        caution=caution,
    )


def caution(card: Mapping[str, object]) -> str:
    """What a model's card tells against calling its error one of 300-W; "" if nothing.

    Its own prior may have held poses of the test, or that of its teacher or of the model that its run began
    with. Of these the card gives the file's digest, by which only shipped models are found.
    """
    recipe = json.loads(str(card.get("recipe", "{}")))
    if weighed := [name for name in _TEST_POSES if recipe.get("prior_weights", {}).get(name, 0) > 0]:
        without = " ".join(f"--set prior_weights.{name}=0" for name in _TEST_POSES)
        return (
            f"Not a 300-W figure: poses of the test, {' and '.join(weighed)}, were in the prior, if without"
            f" their pictures. For one train with {without}."
        )
    for relation in ("teacher", "start"):
        other = card.get(relation)
        if not isinstance(other, dict):
            continue
        known = _shipped_card(str(other.get("digest")))
        if known is None:
            return f"Its card does not say whether poses of the test were in the prior of its {relation}."
        if told := caution(known):
            return f"Of its {relation}, {other.get('name')}: {told}"
    return ""


def _shipped_card(digest: str) -> dict[str, object] | None:
    models = map(load_model, shipped_models().values())
    return next((model.card for model in models if model.digest == digest), None)


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
