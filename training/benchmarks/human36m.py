"""Full Human3.6M: mean distance in pixels of the original frames, for each of the 15 activities.

Reads the archives of its web page as unpacked, for every subject

    S9/Videos/Walking 1.54138969.mp4
    S9/MyPoseFeatures/D2_Positions/Walking 1.54138969.cdf      Pose: 64 numbers a frame, 32 times x y

or in place of the last the ``.cdf.mat`` that MATLAB's ``cdfread`` and ``save`` make of it (``data``).
Every 60th frame of each test video; mean of each activity, then mean of those (the paper's own columns
average to its totals so). Strict; with left and right exchanged where that is nearer; and the share of
frames that were nearer as they were.

Not recoverable, so decided by us: the subjects are the usual ones, S9 and S11 for the test, S1 and S5
to S8 for the regression; errors are of all 32 stored joints and, apart, of the 17 official ones; crops
are around the labelled joints, for the boxes of the data set are in HDF5 files, which are not read.
Models of ``HUMAN`` are scored on the 16 joints that mean the same in both: all but its spine, whose place
is another. These, of any model, are told apart too.
``S11/Videos/Directions.54138969.mp4`` is damaged as published, and passed over as everybody does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from engines.skeleton import HUMAN, HUMAN36M_32
from training.benchmarks.cdf import read_variable
from training.benchmarks.files import folder_of, load_mat, some
from training.benchmarks.protocol import Benchmark, Kin, Sample
from training.benchmarks.published import ACTIVITIES, HUMAN36M

CAMERAS = ("54138969", "55011271", "58860488", "60457274")
EVERY = 60  # frames
_TEST, _TRAINING = ("S9", "S11"), ("S1", "S5", "S6", "S7", "S8")
_TAKES = 2
_DAMAGED = ("S11", "Directions.54138969")
# What the data set calls them; two have another name with some subjects.
_NAMES = {activity.replace(" ", ""): activity for activity in ACTIVITIES} | {
    "photo": "taking photo",
    "walkdog": "walking dog",
    "walktogether": "walking together",
}
_FILE = re.compile(r"(?P<stem>(?P<name>[A-Za-z]+)(?: \d+)?\.(?P<camera>\d{8}))(?:\.cdf|\.cdf\.mat|\.h5)")
_OFFICIAL = [11, 1, 2, 3, 6, 7, 8, 12, 14, 15, 13, 17, 18, 19, 25, 26, 27]
# What the 32 call the joints of HUMAN: 13 have the same name. Its head is the joint within, as theirs.
_SAME = {joint: joint for joint in HUMAN.joints if joint in HUMAN36M_32.joints} | {
    "neck": "neck_base",
    "head": "head_centre",
    "head_top": "head_back",
}
KIN = Kin(HUMAN, _SAME, measure=f"{len(_SAME)} joints")
SHARED = [HUMAN36M_32.joints.index(joint) for joint in _SAME.values()]
_WANT = "S9 and S11, each with Videos and MyPoseFeatures/D2_Positions"


def benchmark(root: Path) -> Benchmark:
    """The protocol on the data set in ``root``. Raises ``ValueError`` when S9 and S11 are not whole."""
    test = _videos_of(root, _TEST)
    return Benchmark(
        name="Human3.6M",
        unit="pixels",
        skeleton=HUMAN36M_32,
        measures={"32 joints": errors, "17 joints": _official_errors, KIN.measure: _shared_errors},
        groups=ACTIVITIES,
        test=partial(_samples, test),
        training=lambda: _samples(_videos_of(root, _TRAINING)),
        over_groups=True,
        confusable=True,
        kin=KIN,
        published=HUMAN36M,
    )


def errors(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean distance ``(N,)`` of points ``(N, K, 2)``, in their pixels."""
    return np.linalg.norm(points - truth, axis=-1).mean(axis=1)


def _official_errors(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return errors(points[:, _OFFICIAL], truth[:, _OFFICIAL])


def _shared_errors(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return errors(points[:, SHARED], truth[:, SHARED])


def _videos_of(root: Path, subjects: tuple[str, ...]) -> list[tuple[Path, Path, str]]:
    """Video, poses and activity of every take of every camera; all of them are there."""
    videos = []
    for subject in subjects:
        poses = folder_of(root, subject, "MyPoseFeatures", "D2_Positions", want=_WANT)
        films = folder_of(root, subject, "Videos", want=_WANT)
        takes: dict[tuple[str, str], dict[str, Path]] = {}
        for path in sorted(poses.iterdir(), reverse=True):  # .cdf goes before .cdf.mat and .h5
            parts = _FILE.fullmatch(path.name)
            if parts and (activity := _NAMES.get(parts["name"].lower())):
                takes.setdefault((activity, parts["camera"]), {})[parts["stem"]] = path
        for activity in ACTIVITIES:
            for camera in CAMERAS:
                here = takes.get((activity, camera), {})
                lost = _DAMAGED[1].endswith(camera) and (subject, activity) == (_DAMAGED[0], "directions")
                here = {stem: path for stem, path in here.items() if not (lost and stem == _DAMAGED[1])}
                if len(here) != _TAKES - lost:
                    raise ValueError(
                        f"{poses}: {len(here)} takes of {activity} by camera {camera},"
                        f" want {_TAKES - lost}: half a download?"
                    )
                if lacking := {f"{stem}.mp4" for stem in here if not (films / f"{stem}.mp4").is_file()}:
                    raise ValueError(f"{films}: no {some(lacking)}: half a download?")
                videos += [(films / f"{stem}.mp4", path, activity) for stem, path in sorted(here.items())]
    return videos


def _samples(videos: list[tuple[Path, Path, str]]) -> Iterator[Sample]:
    for film, file, activity in videos:
        poses = _poses(file)
        seen = 0
        for number, frame in _frames(film, len(poses)):
            seen = number
            yield Sample(frame, poses[number], activity)
        if seen + 2 * EVERY < len(
            poses
        ):  # the last sampled frame may be missing: some videos are a bit short
            raise ValueError(f"{film} ends near frame {seen}, its poses at {len(poses)}: half a download?")


def _frames(film: Path, count: int) -> Iterator[tuple[int, np.ndarray]]:
    """Number and picture of every 60th of the first ``count`` frames of a video."""
    video = cv2.VideoCapture(str(film))
    try:
        for number in range(count):
            there, wanted = video.grab(), number % EVERY == 0
            if there and wanted:
                there, image = video.retrieve()
            if not there and number == 0:
                raise ValueError(f"{film} is damaged or no video: fetch it again")
            if not there:
                return
            if wanted:
                yield number, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    finally:
        video.release()


def _poses(file: Path) -> np.ndarray:
    """Joints ``(frames, 32, 2)`` in pixels."""
    if file.suffix == ".h5":
        raise ValueError(f"{file} is HDF5, which cannot be read here: want the .cdf of the data set")
    stored = load_mat(file, "data") if file.suffix == ".mat" else read_variable(file, "Pose")
    joints = len(HUMAN36M_32.joints)
    if stored.size == 0 or stored.shape[-1] != 2 * joints:
        raise ValueError(f"{file}: poses of shape {stored.shape}, want {2 * joints} numbers a frame")
    return np.asarray(stored, np.float32).reshape(-1, joints, 2)
