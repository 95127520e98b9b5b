"""Human3.6M, simplified and full, on small made files of the published layouts; and NASA's CDF."""

from __future__ import annotations

import shutil
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat
from test_benchmarks import Told, scores

from engines.skeleton import CAT_HEAD, HUMAN, HUMAN36M_32
from training.benchmarks import PROTOCOLS, as_markdown, human36m, simple_human36m
from training.benchmarks.cdf import read_variable
from training.benchmarks.files import load_mat
from training.benchmarks.protocol import Benchmark, Sample, measure
from training.benchmarks.published import ACTIVITIES

MIRROR = HUMAN36M_32.mirror
# What MATLAB 7.3 writes at the beginning of its HDF5 files: version 2, little endian.
_MATLAB73 = b"MATLAB 7.3 MAT-file".ljust(124, b" ") + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n"


def write_frame(subject, sequence, number, places):
    """A frame of the simplified release: a white picture, of which the left half is the subject."""
    for kind in ("WithBackground", "BackgroudMask", "Landmarks"):
        (subject / kind / sequence).mkdir(parents=True, exist_ok=True)
    mask = np.zeros((128, 128), np.uint8)
    mask[:, :64] = 255
    white = np.full((128, 128, 3), 255, np.uint8)
    cv2.imwrite(str(subject / "WithBackground" / sequence / f"{number}.jpg"), white)
    cv2.imwrite(str(subject / "BackgroudMask" / sequence / f"{number}.png"), mask)
    savemat(subject / "Landmarks" / sequence / f"{number}.mat", {"keypoints_2d": places})


def as_human(points):
    """The 17 joints of ``HUMAN`` where the 32 ``points`` are; the spine, which they lack, far off."""
    found = np.full((17, 2), 500.0)
    same = [11, 1, 2, 3, 6, 7, 8, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    found[[index for index in range(17) if HUMAN.joints[index] != "spine"]] = points[same]
    return found


def some_places(seed=0):
    """Rows and columns from 0 to 1."""
    return np.random.default_rng(seed).uniform(0.1, 0.9, (32, 2))


@pytest.fixture
def simple(tmp_path):
    sequences = ["Directions 1", "Discussion", "Greeting", "Posing", "Waiting 2", "Walking 1"]
    for index, name in enumerate(sequences):
        for number in range(1, 4 if name == "Waiting 2" else 2):
            places = some_places(index)
            places[0] = 0.25, 0.5
            write_frame(tmp_path / "S11", f"{name}.54138969", number, places)
    write_frame(tmp_path / "S11", "WalkDog 1.54138969", 1, some_places())  # none of the six
    return tmp_path


def test_simple_frames_are_read_as_released(simple):
    samples = list(simple_human36m.benchmark(simple).test())
    activities = ["directions", "discussion", "greeting", "posing", *["waiting"] * 3, "walking"]
    assert [each.group for each in samples] == activities
    assert samples[0].points[0] == pytest.approx([64, 32])  # the file has row, column
    assert samples[0].points.shape == (32, 2)
    assert samples[0].image[:, :64].min() > 250
    assert samples[0].image[:, 64:].max() == 0
    assert samples[0].box == pytest.approx([63.5, 63.5, 128, 0])  # the whole picture


def test_simple_error_is_a_share_of_the_side_and_a_mean_of_activities(simple):
    benchmark = simple_human36m.benchmark(simple)
    values = scores(benchmark, lambda each: each.points + np.array([3, 4]) * (each.group == "waiting"))
    strict = values["strict, 32 points"]
    assert strict["waiting"] == pytest.approx(100 * 5 / 128, abs=1e-3)
    assert strict["posing"] == pytest.approx(0, abs=1e-3)
    assert strict["all"] == pytest.approx(100 * 5 / 128 / 6, abs=1e-3)  # not 3 frames of 8
    assert values["correct flips %, 32 points"]["all"] == 100


def test_simple_oracle_forgives_left_for_right(simple):
    benchmark = simple_human36m.benchmark(simple)
    values = scores(benchmark, lambda each: each.points[MIRROR] if each.group == "walking" else each.points)
    walking = next(each for each in benchmark.test() if each.group == "walking").points
    error = 100 / 128 * np.linalg.norm(walking - walking[MIRROR], axis=1).mean()
    assert values["strict, 32 points"]["walking"] == pytest.approx(error, abs=1e-3)
    assert values["left/right oracle, 32 points"]["all"] == pytest.approx(0, abs=1e-3)
    assert values["correct flips %, 32 points"]["walking"] == 0
    assert values["correct flips %, 32 points"]["all"] == pytest.approx(100 * 5 / 6)


def test_simple_scores_our_people_on_the_joints_that_both_have(simple):
    benchmark = simple_human36m.benchmark(simple)

    def answer(each):
        points = each.points[MIRROR] if each.group == "walking" else each.points
        return as_human(points) + np.array([3, 4]) * (each.group == "waiting")

    values = scores(benchmark, answer, skeleton=HUMAN)
    assert list(values) == [f"{how}, 16 joints" for how in ("strict", "left/right oracle", "correct flips %")]
    assert values["strict, 16 joints"]["waiting"] == pytest.approx(100 * 5 / 128, abs=1e-3)
    assert values["strict, 16 joints"]["posing"] == pytest.approx(0, abs=1e-3)
    assert values["strict, 16 joints"]["walking"] > 5
    assert values["left/right oracle, 16 joints"]["all"] == pytest.approx(100 * 5 / 128 / 6, abs=1e-3)
    assert values["correct flips %, 16 joints"]["walking"] == 0
    table = as_markdown(measure(Told(benchmark, answer, HUMAN), "human", benchmark), benchmark.published)
    assert "\n16 joints: pelvis, r_hip, r_knee, r_ankle, l_hip," in table
    with pytest.raises(
        ValueError, match=r"human36m_32: m gives cat_head, 9 joints, which only --regress can"
    ):
        measure(Told(benchmark, None, CAT_HEAD), "m", benchmark)


def with_training(folder: Path) -> Benchmark:
    """The simplified benchmark with a hundred poses at random to fit a regression on."""
    rng = np.random.default_rng(0)
    whole = np.array([63.5, 63.5, 128, 0], np.float32)
    image = np.zeros((128, 128, 3), np.uint8)
    labelled = [Sample(image, rng.uniform(10, 118, (32, 2)), "training", whole) for _ in range(100)]
    return replace(simple_human36m.benchmark(folder), training=lambda: iter(labelled))


def test_simple_regression_takes_points_of_any_skeleton(simple):
    benchmark = with_training(simple)
    ours = scores(benchmark, lambda each: as_human(each.points), skeleton=HUMAN, training=True)
    assert ours["strict, 16 joints"]["all"] == pytest.approx(0, abs=1e-3)
    assert ours["+ regression, 16 joints"]["all"] == pytest.approx(0, abs=0.01)
    assert ours["+ regression, 32 points"]["all"] > 5
    cats = scores(benchmark, lambda each: each.points[:9], skeleton=CAT_HEAD, training=True)
    assert all(how.startswith("+ regression") for how in cats)


def test_simple_regression_is_strict_and_invariant(simple):
    benchmark = with_training(simple)

    def answer(each):  # shuffled points, of which walking people's are the wrong way round
        points = each.points[MIRROR] if each.group == "walking" else each.points
        return points[::-1]

    values = scores(benchmark, answer, training=True)
    assert values["+ regression, 32 points"]["posing"] == pytest.approx(0, abs=0.01)
    assert values["+ regression, 32 points"]["walking"] > 5
    assert values["+ regression, L/R-invariant, 32 points"]["all"] == pytest.approx(0, abs=0.01)
    assert values["strict, 32 points"]["posing"] > 5


def test_simple_regression_takes_every_tenth_frame_of_the_others(simple):
    benchmark = simple_human36m.benchmark(simple)
    with pytest.raises(ValueError, match=r"no folder S1/WithBackground in .*: want S1 to S11"):
        next(benchmark.training())
    for subject in (1, 5, 6, 7, 8, 9):
        shutil.copytree(simple / "S11", simple / f"S{subject}")
    assert sum(1 for _ in benchmark.training()) == 5  # of 48 frames


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        (lambda s11: s11.rename(s11.with_name("S12")), r"no folder S11/WithBackground in"),
        (
            lambda s11: (s11 / "BackgroudMask/Posing.54138969").rename(s11 / "gone"),
            r"no sequence of posing: .*half a download",
        ),
        (
            lambda s11: (s11 / "WithBackground/Waiting 2.54138969/2.jpg").unlink(),
            r"no \.jpg of frame 2: half a download",
        ),
        (
            lambda s11: shutil.rmtree(s11 / "Landmarks/Waiting 2.54138969"),
            r"Landmarks.Waiting 2.54138969: no \.mat of frame 1, 2, 3: half a download",
        ),
        (
            lambda s11: (s11 / "Landmarks/Posing.54138969/1.mat").write_bytes(_MATLAB73),
            r"1\.mat is a MATLAB 7\.3 file, which is HDF5 and cannot be read here: save it with -v7",
        ),
        (
            lambda s11: savemat(s11 / "Landmarks/Posing.54138969/1.mat", {"joints": some_places()}),
            r"1\.mat: no matrix keypoints_2d in it",
        ),
        (
            lambda s11: savemat(s11 / "Landmarks/Posing.54138969/1.mat", {"keypoints_2d": np.zeros((17, 2))}),
            r"shape \(17, 2\), want \(32, 2\)",
        ),
        (
            lambda s11: cv2.imwrite(str(s11 / "WithBackground/Posing.54138969/1.jpg"), np.zeros((9, 9, 3))),
            r"1\.jpg or its mask is not 128 x 128",
        ),
    ],
)
def test_half_of_the_simple_release_is_one_clear_line(simple, harm, complaint):
    harm(simple / "S11")
    with pytest.raises(ValueError, match=complaint):
        list(simple_human36m.benchmark(simple).test())


def test_a_torn_matrix_is_always_a_value_error(tmp_path):
    path = tmp_path / "1.mat"
    savemat(path, {"keypoints_2d": some_places()}, do_compression=True)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"1\.mat(:| is)"):
            load_mat(path, "keypoints_2d")
    with pytest.raises(ValueError, match="is not there"):
        load_mat(tmp_path / "2.mat", "keypoints_2d")


def write_cdf(path, poses, word=8, compressed=True, row_major=True):
    """A CDF file whose variable Pose has one record, as the format's description has it; big endian.

    Offsets are of 8 bytes in version 3, of 4 in version 2.6.
    """
    values = np.asarray(poses, ">f4").tobytes("C" if row_major else "F")
    packed = zlib.compressobj(wbits=31)
    squeezed = packed.compress(values) + packed.flush()
    offset, name, version = ("q", 256, 3) if word == 8 else ("i", 64, 2)

    def record(kind, form, *fields):
        body = struct.pack(">" + form.replace("o", offset), *fields)
        return struct.pack(f">{offset}i", word + 4 + len(body), kind) + body

    def records(general, variable, parameters, index, block):
        """All of them, each knowing where others begin."""
        shape = (2, *poses.shape, -1, -1)
        about = (1 + 4 * compressed, 0, 0, 0, 0, 1, 0, parameters if compressed else -1, 1)
        return [
            record(1, "oiiiiiiiii256s", general, version, 6, 1, 2 + row_major, 0, 0, 0, 0, 0, b""),
            record(2, "ooooiiiiioiii", 0, variable, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0),
            record(8, f"oiioo7ioi{name}s5i", 0, 44, 0, index, index, *about, b"Pose", *shape),
            record(11, "4i", 5, 0, 1, 6),
            record(6, "o4io", 0, 1, 1, 0, 0, block),
            record(13, f"io{len(squeezed)}s", 0, len(squeezed), squeezed)
            if compressed
            else record(7, f"{len(values)}s", values),
        ]

    starts = 8 + np.cumsum([len(each) for each in records(0, 0, 0, 0, 0)])
    magic = b"\xcd\xf3\x00\x01\x00\x00\xff\xff" if word == 8 else b"\xcd\xf2\x60\x02\x00\x00\xff\xff"
    path.write_bytes(magic + b"".join(records(*starts[:5].tolist())))


@pytest.mark.parametrize("row_major", [True, False])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("word", [4, 8])
def test_cdf_files_are_read_as_they_are_described(tmp_path, word, compressed, row_major):
    poses = np.arange(3 * 64, dtype=np.float32).reshape(3, 64)
    write_cdf(tmp_path / "a.cdf", poses, word, compressed, row_major)
    assert np.array_equal(read_variable(tmp_path / "a.cdf", "Pose"), poses[None])
    with pytest.raises(ValueError, match=r"a\.cdf .* no variable Posen in it"):
        read_variable(tmp_path / "a.cdf", "Posen")


def test_a_torn_cdf_file_is_always_a_value_error(tmp_path):
    path = tmp_path / "a.cdf"
    write_cdf(path, np.zeros((3, 64), np.float32))
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 5):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.cdf is damaged or no CDF file"):
            read_variable(path, "Pose")
    with pytest.raises(ValueError, match="is not there"):
        read_variable(tmp_path / "b.cdf", "Pose")


_FOLDERS = {
    **{name: name.replace(" ", "").title() for name in ACTIVITIES},
    "sitting down": "SittingDown",
    "taking photo": "Photo",
    "walking dog": "WalkDog",
    "walking together": "WalkTogether",
}


def write_video(path, frames, start=0):
    """A film whose frame n is grey of level n."""
    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 50, (96, 64))
    for level in range(start, start + frames):
        film.write(np.full((64, 96, 3), level, np.uint8))
    film.release()


def poses_of(frames):
    """Joints ``(frames, 64)``: the same places, one pixel to the right in each frame."""
    places = np.random.default_rng(0).uniform(10, 50, (1, 32, 2)) + np.arange(frames)[:, None, None] * [1, 0]
    return places.reshape(frames, 64).astype(np.float32)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """S9 and S11: two takes of 15 activities by four cameras; one of S9 has 150 frames, the others two."""
    root = tmp_path_factory.mktemp("human36m")
    cell = np.empty((1, 1), object)
    cell[0, 0] = poses_of(2)
    write_video(root / "short.mp4", 2)
    for subject, photo, dog in (("S9", "Photo", "WalkDog"), ("S11", "TakingPhoto", "WalkingDog")):
        poses = root / subject / "MyPoseFeatures" / "D2_Positions"
        poses.mkdir(parents=True)
        (root / subject / "Videos").mkdir()
        for activity, folder in _FOLDERS.items():
            name = {"taking photo": photo, "walking dog": dog}.get(activity, folder)
            for take in (f"{name} 1", name):
                for camera in human36m.CAMERAS:
                    stem = f"{take}.{camera}"
                    film = root / subject / "Videos" / f"{stem}.mp4"
                    shutil.copy(root / "short.mp4", film)
                    if (subject, stem) == ("S11", "Directions.54138969"):
                        film.write_bytes(b"damaged as published")
                    if activity == "eating":
                        savemat(poses / f"{stem}.cdf.mat", {"data": cell})
                    else:
                        write_cdf(poses / f"{stem}.cdf", poses_of(2), row_major=False)
        write_cdf(poses / "_ALL.54138969.cdf", poses_of(2))  # in the archive, and of no use
    long = "Walking 1.60457274"
    write_video(root / "S9" / "Videos" / f"{long}.mp4", 150)
    write_cdf(root / "S9" / "MyPoseFeatures" / "D2_Positions" / f"{long}.cdf", poses_of(150))
    return root


def test_every_60th_frame_of_the_test_videos_is_read(films):
    samples = list(human36m.benchmark(films).test())
    assert len(samples) == 2 * 15 * 2 * 4 - 1 + 2
    assert {each.group for each in samples} == set(ACTIVITIES)
    assert sum(each.group == "directions" for each in samples) == 15
    # The long one: frames 0, 60 and 120, each with its own joints and picture.
    shown = [each for each in samples if each.image.mean() > 30]
    assert [round(each.image.mean() / 60) for each in shown] == [1, 2]
    assert shown[1].points - samples[0].points == pytest.approx(np.tile([120, 0], (32, 1)), abs=1e-3)
    assert shown[0].image.shape == (64, 96, 3)


def test_frames_are_rgb(tmp_path):
    film = cv2.VideoWriter(str(tmp_path / "a.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 50, (96, 64))
    film.write(np.full((64, 96, 3), (30, 90, 220), np.uint8))  # OpenCV's order: much red
    film.release()
    ((number, image),) = human36m._frames(tmp_path / "a.mp4", 1)
    assert number == 0
    assert image.mean(axis=(0, 1)) == pytest.approx([220, 90, 30], abs=8)


def test_the_official_joints_are_those_of_both_sides():
    official = [HUMAN36M_32.joints[index] for index in human36m._OFFICIAL]
    assert len({*official}) == 17
    assert {MIRROR[index] for index in human36m._OFFICIAL} == {*human36m._OFFICIAL}
    assert {"pelvis", "l_wrist", "r_wrist", "l_ankle", "r_ankle", "head_centre"} <= {*official}


def test_errors_are_pixels_of_the_frame_by_activity(films):
    benchmark = human36m.benchmark(films)

    def answer(each):
        points = each.points + np.array([3, 4]) * (each.group == "walking")
        points[4] += (each.group == "posing") * 32  # a ball of the foot: none of the 17
        return points[MIRROR] if each.group == "sitting down" else points

    values = scores(benchmark, answer)
    strict = values["strict, 32 joints"]
    assert list(strict) == [*ACTIVITIES, "all"]
    assert strict["walking"] == pytest.approx(5, abs=1e-2)
    assert strict["posing"] == pytest.approx(np.sqrt(2), abs=1e-2)
    assert values["strict, 17 joints"]["posing"] == pytest.approx(0, abs=1e-2)
    oracle = values["left/right oracle, 32 joints"]
    assert oracle["sitting down"] == pytest.approx(0, abs=1e-2) != strict["sitting down"]
    assert oracle["all"] == pytest.approx((5 + np.sqrt(2)) / 15, abs=1e-2)
    assert values["correct flips %, 32 joints"]["sitting down"] == 0


def test_our_people_are_scored_in_pixels_of_the_frame_too(films):
    benchmark = human36m.benchmark(films)

    def answer(each):
        return as_human(each.points) + np.array([3, 4]) * (each.group == "walking")

    values = scores(benchmark, answer, skeleton=HUMAN)
    assert values["strict, 16 joints"]["walking"] == pytest.approx(5, abs=1e-2)
    assert values["strict, 16 joints"]["all"] == pytest.approx(5 / 15, abs=1e-2)
    assert values["correct flips %, 16 joints"]["all"] == 100


def test_the_published_columns_are_ours(films):
    measures = measure(
        Told(human36m.benchmark(films), lambda each: each.points), "m", human36m.benchmark(films)
    )
    assert measures["pictures"] == 241
    assert PROTOCOLS["human36m"](films).published[-1].values.keys() == set(measures["columns"])


_POSES, _FILMS = "S9/MyPoseFeatures/D2_Positions", "S9/Videos"


@pytest.mark.parametrize(
    ("path", "content", "complaint"),
    [
        ("S11", None, r"no folder S11/MyPoseFeatures/D2_Positions in .*: want S9 and S11"),
        (f"{_FILMS}/Photo.55011271.mp4", None, r"Videos: no Photo\.55011271\.mp4: half a download"),
        (f"{_POSES}/Photo.55011271.cdf", None, r"1 takes of taking photo by camera 55011271, want 2"),
        (f"{_POSES}/Waiting.55011271.cdf", b"torn", r"Waiting\.55011271\.cdf is damaged or no CDF file"),
        (f"{_FILMS}/Waiting.55011271.mp4", b"torn", r"Waiting\.55011271\.mp4 is damaged or no video"),
        (f"{_POSES}/Eating.55011271.cdf.mat", _MATLAB73, r"MATLAB 7\.3 file, which is HDF5"),
    ],
)
def test_half_of_human36m_is_one_clear_line(films, path, content, complaint):
    target, aside = films / path, films / "aside"
    target.rename(aside)
    try:
        if content is not None:
            target.write_bytes(content)
        with pytest.raises(ValueError, match=complaint):
            list(human36m.benchmark(films).test())
    finally:
        target.unlink(missing_ok=True)
        aside.rename(target)


def test_a_video_cut_off_and_poses_in_hdf5_are_told(films):
    long = films / "S9" / "Videos" / "Walking 1.60457274.mp4"
    shutil.copy(long, films / "aside.mp4")
    write_video(long, 40)
    with pytest.raises(
        ValueError, match=r"60457274\.mp4 ends near frame 0, its poses at 150: half a download"
    ):
        list(human36m.benchmark(films).test())
    shutil.copy(films / "aside.mp4", long)
    poses = films / "S9" / "MyPoseFeatures" / "D2_Positions"
    (poses / "Walking.60457274.cdf").rename(poses / "Walking.60457274.h5")
    with pytest.raises(ValueError, match=r"60457274\.h5 is HDF5, which cannot be read here: want the \.cdf"):
        list(human36m.benchmark(films).test())
    (poses / "Walking.60457274.h5").rename(poses / "Walking.60457274.cdf")
