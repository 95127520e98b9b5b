"""Cat Head (the CAT data set of Zhang, Sun and Tang 2008): error in percent of the distance of the eyes.

Reads the two archives as unpacked: ``CAT_00`` to ``CAT_06``, each picture ``N.jpg`` with ``N.jpg.cat``
beside it: "9", then x y of left eye, right eye, mouth, three points of the left ear (outer base, tip,
inner base), three of the right (inner base, tip, outer base); left and right as seen in the picture.
That is the order of ``CAT_HEAD``. Known fault: ``CAT_00/00000003_015.jpg`` has no label and
``00000003_019.jpg.cat`` no picture; both are passed over.

KeypointGAN scores nine points; split and crops are not recoverable. Zhang et al. 2018 leave out the
tips of the ears: that is "7 points". Decided by us: ``CAT_05`` and ``CAT_06`` are the test (the data
set's authors drew 3,000 of 10,000 at random and listed none), the others are for the regression;
coordinates count from 0; crops are around the labelled points, as for our other sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from engines.skeleton import CAT_HEAD
from training.benchmarks import published
from training.benchmarks.files import folder_of, some
from training.benchmarks.protocol import Benchmark, Measure, Sample
from training.evaluate import normalised_errors
from training.index import read_picture

_TEST = ("CAT_05", "CAT_06")
_TRAINING = ("CAT_00", "CAT_01", "CAT_02", "CAT_03", "CAT_04")
_FAULTS = {"00000003_015", "00000003_019"}
_POINTS = len(CAT_HEAD.joints)
_TIPS = [CAT_HEAD.joints.index(f"{side}_ear_tip") for side in ("left", "right")]
_FACE = [CAT_HEAD.joints.index(joint) for joint in ("left_eye", "right_eye", "mouth")]


def benchmark(root: Path) -> Benchmark:
    """The protocol on the data set in ``root``. Raises ``ValueError`` when the test folders are not whole."""
    test = _pictures_of(root, _TEST)
    return Benchmark(
        name="Cat Head",
        unit="NME %",
        skeleton=CAT_HEAD,
        measures=MEASURES,
        groups=_TEST,
        test=partial(_samples, test),
        training=lambda: _samples(_pictures_of(root, _TRAINING)),
        published=published.CAT_HEAD,
    )


def _mean_of(joints: list[int]) -> Measure:
    """Mean error of some joints, in percent of the distance of the eyes."""
    return lambda points, truth: np.nanmean(normalised_errors(points, truth, CAT_HEAD)[:, joints], axis=1)


MEASURES = {
    "9 points": _mean_of(list(range(_POINTS))),
    "7 points": _mean_of([joint for joint in range(_POINTS) if joint not in _TIPS]),
    "eyes and mouth": _mean_of(_FACE),
}


def _pictures_of(root: Path, folders: tuple[str, ...]) -> list[Path]:
    pictures: list[Path] = []
    for name in folders:
        folder = folder_of(root, name, want="CAT_00 to CAT_06 of CAT_DATASET_01.zip and CAT_DATASET_02.zip")
        stems = {path.stem for path in folder.glob("*.jpg")} - _FAULTS
        labels = {path.name.removesuffix(".jpg.cat") for path in folder.glob("*.jpg.cat")} - _FAULTS
        if not stems or stems != labels:
            lone = stems ^ labels or {"any"}
            raise ValueError(f"{folder}: want N.jpg and N.jpg.cat of {some(lone)}: half a download?")
        pictures += [folder / f"{stem}.jpg" for stem in sorted(stems)]
    return pictures


def _samples(pictures: list[Path]) -> Iterator[Sample]:
    for path in pictures:
        yield Sample(read_picture(path), read_cat(path.with_name(f"{path.name}.cat")), path.parent.name)


def read_cat(path: Path) -> np.ndarray:
    """The points ``(9, 2)`` of a ``.cat`` file, in the order of ``CAT_HEAD``. Raises ``ValueError``."""
    try:
        numbers = np.array(path.read_text(encoding="utf-8", errors="replace").split(), float)
    except ValueError as error:
        raise ValueError(f"{path} is no label: want numbers") from error
    if len(numbers) != 1 + 2 * _POINTS or numbers[0] != _POINTS:
        raise ValueError(f"{path} is no label: want 9 and nine times x y, got {len(numbers)} numbers")
    return numbers[1:].reshape(_POINTS, 2)
