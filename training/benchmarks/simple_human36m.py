"""Simplified Human3.6M (Zhang et al. 2018): error in percent of the picture's side, by activity.

Reads the release ``human_images.tar.gz`` as unpacked, for every subject

    S11/WithBackground/Waiting 1.54138969/1.jpg     128 x 128
    S11/BackgroudMask/Waiting 1.54138969/1.png      (spelt so in the release)
    S11/Landmarks/Waiting 1.54138969/1.mat          keypoints_2d (32, 2): row, column, 0 to 1

as the code of KeypointGAN does: six activities, every frame of S11, background black, mean distance
of all 32 points, mean of each activity, mean of those. Strict; with left and right exchanged where
that is nearer (an oracle); and the share of frames that were nearer as they were. Which of the two
errors the paper's table has, its code does not tell. KeypointGAN turns people round by a second
regressor at test time: a model may do so too, it is not done here.

Decided by us: coordinate c lies at pixel 128 c (the code mixes that with a grid from corner to
corner). The regression is fitted on every tenth frame of S1 and S5 to S9: the release has hundreds
of thousands, and neighbours differ by little. Models of ``HUMAN`` are scored as in ``human36m``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from engines.skeleton import HUMAN36M_32
from training.benchmarks.files import folder_of, load_mat, some
from training.benchmarks.human36m import KIN, SHARED
from training.benchmarks.protocol import Benchmark, Sample
from training.benchmarks.published import ACTIVITIES, SIMPLE_HUMAN36M
from training.index import read_picture

_SIDE = 128
_ACTIVITIES = ACTIVITIES[:6]
_TEST, _TRAINING = ("S11",), ("S1", "S5", "S6", "S7", "S8", "S9")
_TRAINING_STEP = 10
_KINDS = {"WithBackground": ".jpg", "BackgroudMask": ".png", "Landmarks": ".mat"}
_WANT = f"S1 to S11, each with {', '.join(_KINDS)}, of the unpacked human_images.tar.gz"


def benchmark(root: Path) -> Benchmark:
    """The protocol on the release in ``root``. Raises ``ValueError`` when S11 is not whole."""
    test = _frames_of(root, _TEST)
    return Benchmark(
        name="Simplified Human3.6M",
        unit="% of the side",
        skeleton=HUMAN36M_32,
        measures={"32 points": errors, KIN.measure: _shared_errors},
        groups=_ACTIVITIES,
        test=partial(_samples, test),
        training=lambda: _samples(_frames_of(root, _TRAINING)[::_TRAINING_STEP]),
        over_groups=True,
        confusable=True,
        kin=KIN,
        published=SIMPLE_HUMAN36M,
    )


def errors(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean distance ``(N,)`` of points ``(N, K, 2)``, in percent of the picture's side."""
    return 100 / _SIDE * np.linalg.norm(points - truth, axis=-1).mean(axis=1)


def _shared_errors(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return errors(points[:, SHARED], truth[:, SHARED])


def _frames_of(root: Path, subjects: tuple[str, ...]) -> list[tuple[Path, str, int]]:
    """Subject folder, sequence and number of every frame; all its three files are there."""
    frames = []
    for subject in subjects:
        folders = {kind: folder_of(root, subject, kind, want=_WANT) for kind in _KINDS}
        sequences = sorted(path.name for path in folders["BackgroudMask"].iterdir() if _activity(path.name))
        found = {_activity(name) for name in sequences}
        if missing := [each for each in _ACTIVITIES if each not in found]:
            raise ValueError(
                f"{folders['BackgroudMask']}: no sequence of {', '.join(missing)}:"
                f" want folders as Waiting 1.54138969; half a download?"
            )
        for sequence in sequences:
            numbers = _numbers({kind: folder / sequence for kind, folder in folders.items()})
            frames += [(root / subject, sequence, number) for number in numbers]
    return frames


def _activity(sequence: str) -> str:
    """Of a folder such as ``Waiting 1.54138969`` or ``Waiting.54138969``; empty for none of the six."""
    name = sequence.replace(".", " ").split(" ")[0].lower()
    return name if name in _ACTIVITIES else ""


def _numbers(folders: dict[str, Path]) -> list[int]:
    """The frames of a sequence, in order; each kind of file must be there for all of them."""
    stems = {
        kind: {path.stem for path in folder.glob(f"*{_KINDS[kind]}")} for kind, folder in folders.items()
    }
    everything = set.union(*stems.values())
    for kind, have in stems.items():
        if lacking := everything - have or ({"any"} if not everything else set()):
            raise ValueError(f"{folders[kind]}: no {_KINDS[kind]} of frame {some(lacking)}: half a download?")
    if strange := {stem for stem in everything if not stem.isdecimal()}:
        raise ValueError(f"{folders['WithBackground']}: files are numbered, not named {some(strange)}")
    return sorted(int(stem) for stem in everything)


def _samples(frames: list[tuple[Path, str, int]]) -> Iterator[Sample]:
    whole = np.array([(_SIDE - 1) / 2, (_SIDE - 1) / 2, _SIDE, 0], np.float32)
    for subject, sequence, number in frames:
        path = subject / "WithBackground" / sequence / f"{number}.jpg"
        image = read_picture(path)
        mask = read_picture(subject / "BackgroudMask" / sequence / f"{number}.png")
        if image.shape != (_SIDE, _SIDE, 3) or mask.shape != image.shape:
            raise ValueError(f"{path} or its mask is not {_SIDE} x {_SIDE}: not the simplified release")
        landmarks = subject / "Landmarks" / sequence / f"{number}.mat"
        places = load_mat(landmarks, "keypoints_2d")
        if places.shape != (len(HUMAN36M_32.joints), 2):
            raise ValueError(f"{landmarks}: keypoints_2d of shape {places.shape}, want (32, 2)")
        yield Sample(image * (mask > 0), _SIDE * places[:, ::-1], _activity(sequence), whole)
