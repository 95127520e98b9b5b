"""Protocols of faces and cats, the regression and the table, on small made files of the published layouts."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest
from commands import write_model
from faces import write_labelled

from engines import Points, crop, load_model
from engines.skeleton import CAT_HEAD, FACE68, HUMAN, HUMAN36M_32, Skeleton
from training.__main__ import main
from training.benchmarks import PROTOCOLS, as_markdown, cat_head, face300w, measure, regression, sets
from training.benchmarks.protocol import Sample
from training.benchmarks.published import SOURCES
from training.evaluate import evaluate, labelled_boxes


class Told:
    """An engine that was told what to answer: ``answer`` of each sample, in their order, training first."""

    input_size, crop_scale = 64, 1.5
    runtime, precision, describe = "fake", "fp32", "fake"

    def __init__(self, benchmark, answer, skeleton=None, training=False):
        self.skeleton = skeleton or benchmark.skeleton
        self._answers = self._all(benchmark, answer, training)

    def _all(self, benchmark, answer, training):
        for split in (benchmark.training,) * training + (benchmark.test,):
            for sample in split():
                box = sample.box
                if box is None:
                    box = labelled_boxes(sample.points[None].astype(np.float32), self.crop_scale)[0]
                yield crop.to_crop(answer(sample)[None].astype(np.float32), box[None], self.input_size)[0]

    def __call__(self, crops):
        xy = np.stack([next(self._answers) for _ in crops])
        return Points(xy, np.ones(xy.shape[:2], np.float32), np.ones(len(xy), np.float32))

    def close(self):
        pass


def scores(benchmark, answer, **told):
    """The values of each row by ``how`` they were scored."""
    training = told.get("training", False)
    rows = measure(Told(benchmark, answer, **told), "told", benchmark, training)["rows"]
    return {row["how"]: row["values"] for row in rows}


def write_picture(path, size=(80, 60)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size[::-1], 3), 90, np.uint8))


def eyes_apart(ocular, pupil):
    """68 points: outer corners of the eyes ``ocular`` px apart, the means of the eyes ``pupil`` px."""
    points = np.stack([np.linspace(20, 60, 68), np.linspace(10, 50, 68)], 1)
    points[36:48] = 0, 20
    points[36, 0], points[45, 0] = 20, 20 + ocular
    # Five of six points move each mean to where it belongs.
    middle = 20 + ocular / 2
    points[37:42, 0] = (6 * (middle - pupil / 2) - 20) / 5
    points[[42, 43, 44, 46, 47], 0] = (6 * (middle + pupil / 2) - 20 - ocular) / 5
    return points


def write_pts(path, points):
    """As iBUG writes them: counted from 1."""
    lines = "".join(f"{x + 1:.3f} {y + 1:.3f}\n" for x, y in points)
    path.write_text(f"version: 1\nn_points:  {len(points)}\n{{\n{lines}}}\n")


_COUNTS = {
    "helen/testset": 2,
    "lfpw/testset": 1,
    "ibug": 1,
    "afw": 140,
    "helen/trainset": 1,
    "lfpw/trainset": 1,
}


@pytest.fixture
def ibug(tmp_path):
    rng = np.random.default_rng(0)
    for package, count in _COUNTS.items():
        for index in range(count):
            name = tmp_path / package / f"image_{index:03d}"
            write_picture(name.with_suffix(".png" if "lfpw" in package else ".jpg"))
            write_pts(
                name.with_suffix(".pts"), eyes_apart(40, 25) + rng.uniform(-3, 3, (68, 1)) * (index > 1)
            )
    return tmp_path


def test_300w_is_read_as_ibug_packs_it(ibug):
    write_pts(ibug / "ibug" / "image_000_mirror.pts", eyes_apart(1, 1))  # dlib's package adds such
    benchmark = face300w.benchmark(ibug, _COUNTS)
    samples = list(benchmark.test())
    assert [each.group for each in samples] == ["common", "common", "common", "challenging"]
    assert samples[0].points[36] == pytest.approx([20, 20])
    assert samples[0].image.shape == (60, 80, 3)
    assert sum(1 for _ in benchmark.training()) == 142


def test_300w_labels_count_pixels_as_they_are_stored(ibug):
    picture = ibug / "ibug" / "image_000.jpg"
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # on its side: 6
    stored = picture.read_bytes()
    picture.write_bytes(stored[:2] + b"\xff\xe1" + (2 + len(exif)).to_bytes(2, "big") + exif + stored[2:])
    assert cv2.imread(str(picture)).shape == (80, 60, 3)  # turned
    assert list(face300w.benchmark(ibug, _COUNTS).test())[-1].image.shape == (60, 80, 3)


def card(**weights):
    return {"recipe": json.dumps({"prior_weights": weights})}


def test_poses_of_the_test_in_the_prior_are_told_below_the_table(ibug):
    benchmark = face300w.benchmark(ibug, _COUNTS)

    def table(card):
        return as_markdown(measure(Told(benchmark, lambda each: each.points), "m", benchmark, card=card), ())

    assert "Not a 300-W figure: poses of the test, ibug, were" in table(
        card(wflw_test=0.5, lfpw_test=0, ibug=0.05)
    )
    assert "300-W figure" not in table(card(wflw_test=1, lfpw_test=0, ibug=0))
    assert table(None) == table({})
    assert "300-W figure" not in table({})


def test_a_model_is_not_better_than_what_it_learned_from(tmp_path, monkeypatch):
    model = load_model(write_model(tmp_path / "old.safetensors"))
    shipped = {}
    monkeypatch.setattr(face300w, "shipped_models", lambda: shipped)
    clean = card(lfpw_test=0, ibug=0)
    for relation in ("teacher", "start"):
        shipped.clear()
        heir = {**clean, relation: {"name": "old", "digest": model.digest}}
        assert "does not say" in face300w.caution(heir)
        shipped["old"] = tmp_path / "old.safetensors"
        assert face300w.caution(heir) == ""
    replace(model, card=card(lfpw_test=0.5, ibug=0.05)).save(tmp_path / "old.safetensors")
    heir = {"teacher": {"name": "old", "digest": load_model(tmp_path / "old.safetensors").digest}}
    assert (
        "Of its teacher, old: Not a 300-W figure: poses of the test, lfpw_test and ibug"
        in face300w.caution(heir)
    )


def test_the_shipped_models_of_faces_give_no_300w_figure():
    for name in ("face", "face-fast"):
        assert "poses of the test" in face300w.caution(load_model(name).card)


def test_the_command_tells_what_the_card_does(ibug, monkeypatch, capsys):
    monkeypatch.setitem(PROTOCOLS, "300w", partial(face300w.benchmark, counts=_COUNTS))
    path = write_model(ibug / "tiny.safetensors")
    replace(load_model(path), card=card(lfpw_test=0.5)).save(path)
    assert main(["eval", str(path), str(ibug), "--protocol", "300w"]) == 0
    assert "Not a 300-W figure" in capsys.readouterr().out


def test_300w_counts_pictures_and_divides_by_the_eyes(ibug):
    benchmark = face300w.benchmark(ibug, _COUNTS)
    values = scores(benchmark, lambda each: each.points + np.array([3, 4]) * (each.group == "challenging"))
    # 5 px of 40 and of 25; one picture of four.
    assert values["strict, inter-ocular"] == pytest.approx(
        {"common": 0, "challenging": 12.5, "full": 3.125}, abs=1e-3
    )
    assert values["strict, inter-pupil"] == pytest.approx(
        {"common": 0, "challenging": 20, "full": 5}, abs=1e-3
    )
    assert not any("oracle" in how for how in values)


def test_300w_regression_undoes_what_is_linear(ibug):
    benchmark = face300w.benchmark(ibug, _COUNTS)
    values = scores(benchmark, lambda each: each.points[::-1], training=True)
    assert values["strict, inter-ocular"]["full"] > 10
    # The labels of the test are among those of the training.
    assert values["+ regression, inter-ocular"]["full"] < 0.1


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        (lambda root: (root / "ibug").rename(root / "iBUG2"), r"no folder ibug in .*: want iBUG's packages"),
        (
            lambda root: (root / "ibug/image_000.pts").unlink(),
            r"ibug: 0 \.pts files, want 1: half a download",
        ),
        (lambda root: (root / "ibug/image_000.jpg").unlink(), r"image_000\.pts: no picture of that name"),
        (lambda root: (root / "ibug/image_000.pts").write_text("{\n1 2\n}"), r"1 points .*, want 68"),
        (lambda root: (root / "ibug/image_000.pts").write_text("{\n1 2 3\n}"), r"is no \.pts file"),
    ],
)
def test_half_of_300w_is_one_clear_line(ibug, harm, complaint):
    harm(ibug)
    with pytest.raises(ValueError, match=complaint):
        list(face300w.benchmark(ibug, _COUNTS).test())


def test_300w_wants_the_published_number_of_pictures(ibug):
    with pytest.raises(ValueError, match=r"2 \.pts files, want 330"):
        PROTOCOLS["300w"](ibug)
    assert sum(face300w.COUNTS[each] for each in ("helen/testset", "lfpw/testset", "ibug")) == 689
    assert sum(face300w.COUNTS.values()) == 689 + 3148


# The first label of the data set.
_CAT = "9 175 160 239 162 199 199 149 121 137 78 166 93 281 101 312 96 296 133 "


@pytest.fixture
def cats(tmp_path):
    for folder in range(7):
        for index in range(1 + folder):
            path = tmp_path / f"CAT_{folder:02d}" / f"{index:08d}_000.jpg"
            write_picture(path, (400, 300))
            path.with_name(path.name + ".cat").write_text(_CAT)
    write_picture(tmp_path / "CAT_00" / "00000003_015.jpg")
    (tmp_path / "CAT_00" / "00000003_019.jpg.cat").write_text(_CAT)
    return tmp_path


def test_cat_labels_are_in_our_order(cats):
    benchmark = cat_head.benchmark(cats)
    samples = list(benchmark.test())
    assert [each.group for each in samples] == ["CAT_05"] * 6 + ["CAT_06"] * 7
    points = dict(zip(CAT_HEAD.joints, samples[0].points.tolist(), strict=True))
    assert (points["left_eye"], points["right_eye"], points["mouth"]) == ([175, 160], [239, 162], [199, 199])
    # Ears from the outside in and out again: tips are highest, inner bases nearest the middle.
    assert (points["left_ear_outer"], points["left_ear_tip"]) == ([149, 121], [137, 78])
    assert (points["right_ear_inner"], points["right_ear_outer"]) == ([281, 101], [296, 133])
    assert sum(1 for _ in benchmark.training()) == 1 + 2 + 3 + 4 + 5  # and neither of the two odd ones


def test_cat_head_is_scored_with_and_without_the_tips_of_the_ears(cats):
    def tips_off(each):
        points = each.points.copy()
        points[[4, 7]] += 0, 32
        return points

    values = scores(cat_head.benchmark(cats), tips_off)
    error = 100 * 32 / np.hypot(64, 2)  # of the distance of the eyes
    assert values["strict, 9 points"]["all"] == pytest.approx(2 * error / 9, abs=1e-3)
    assert values["strict, 7 points"]["all"] == pytest.approx(0, abs=1e-3)
    assert values["strict, eyes and mouth"]["CAT_05"] == pytest.approx(0, abs=1e-3)


def test_a_point_of_a_cat_without_a_label_does_not_count():
    points = np.random.default_rng(0).uniform(size=(1, 9, 2))
    points[0, :2], points[0, 2] = [[0, 0], [50, 0]], np.nan
    for errors in cat_head.MEASURES.values():
        assert errors(np.nan_to_num(points) + np.array([3, 4]), points) == pytest.approx(10)


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        (
            lambda root: (root / "CAT_06").rename(root / "cats"),
            r"no folder CAT_06 in .*: want CAT_00 to CAT_06",
        ),
        (lambda root: (root / "CAT_05/00000001_000.jpg.cat").unlink(), r"of 00000001_000: half a download"),
        (lambda root: (root / "CAT_05/00000002_000.jpg").unlink(), r"of 00000002_000: half a download"),
        (
            lambda root: (root / "CAT_05/00000002_000.jpg.cat").write_text("9 1 2"),
            r"want 9 and nine times x y",
        ),
        (lambda root: (root / "CAT_05/00000002_000.jpg.cat").write_text("cat"), r"is no label: want numbers"),
        (lambda root: (root / "CAT_05/00000002_000.jpg").write_bytes(b"x"), r"is missing or no picture"),
    ],
)
def test_half_of_the_cats_is_one_clear_line(cats, harm, complaint):
    harm(cats)
    with pytest.raises(ValueError, match=complaint):
        list(cat_head.benchmark(cats).test())


def test_stored_faces_have_the_same_error_as_in_eval(tmp_path):
    for name, count in (("one", 3), ("two", 2)):
        write_labelled(tmp_path / "test" / name, count, seed=count)
    benchmark = sets.benchmark(tmp_path / "test")

    def answer(each):
        return each.points + np.array([1, 2]) * (each.group == "two")

    values = scores(benchmark, answer)["strict, 68 points"]
    known = evaluate(Told(benchmark, answer), "told", tmp_path / "test", "truth")
    assert values["all"] == pytest.approx(known["nme"], rel=1e-6)
    assert values["two"] == pytest.approx(known["sets"]["two"]["nme"], rel=1e-6)
    with pytest.raises(ValueError, match=r"no labels to fit a regression on: want labels/NAME_train\.npz"):
        next(benchmark.training())


def test_stored_labels_are_what_the_regression_is_fitted_on(tmp_path):
    write_labelled(tmp_path / "test" / "one", 3)
    points = write_labelled(tmp_path / "train" / "some", 140, seed=1)
    (tmp_path / "labels").mkdir()
    names = np.array([f"{index:03d}.png" for index in range(140)])
    np.savez(tmp_path / "labels" / "some_train.npz", name=names, pts=points)
    benchmark = sets.benchmark(tmp_path / "test" / "one")
    values = scores(benchmark, lambda each: each.points[::-1], training=True)
    assert values["+ regression, 68 points"]["all"] < 1 < values["strict, 68 points"]["all"]


_LSP = ["r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle"]
_LSP += ["r_wrist", "r_elbow", "r_shoulder", "l_shoulder", "l_elbow", "l_wrist", "neck", "head_top"]


def test_people_are_scored_on_the_joints_that_are_labelled(tmp_path):
    points = np.random.default_rng(0).uniform(20, 60, (4, 14, 2)).astype(np.float32)
    points[:, :2] = [[20, 20], [60, 100]]  # the box is 80 px high, so the crop 100
    for index in range(4):
        write_picture(tmp_path / "lspet" / "images" / f"{index}.jpg", (120, 120))
    names = np.array([f"{index}.jpg" for index in range(4)])
    upright = np.array([True, True, False, False])
    index = {"name": names, "pts": points, "joint_names": np.array(_LSP), "upright": upright}
    np.savez(tmp_path / "lspet" / "index.npz", **index)
    benchmark = sets.benchmark(tmp_path)

    def answer(each):  # right and left confused where people are not upright; spine and others far off
        found = np.full((17, 2), 500.0)
        mirror = benchmark.mirror if each.group == "lspet/other" else np.arange(14)
        found[[HUMAN.joints.index(name) for name in _LSP]] = each.points[mirror] + [3, 4]
        return found

    values = scores(benchmark, answer)
    assert values["strict, 14 points"]["lspet/upright"] == pytest.approx(5, abs=1e-3)
    assert values["strict, 14 points"]["lspet/other"] > 10
    assert values["left/right oracle, 14 points"]["all"] == pytest.approx(5, abs=1e-3)
    assert values["correct flips %, 14 points"] == {"lspet/upright": 100, "lspet/other": 0, "all": 50}


def test_joints_of_people_without_a_label_do_not_count(tmp_path):
    points = np.random.default_rng(0).uniform(20, 100, (4, 14, 2)).astype(np.float32)
    points[1, _LSP.index("l_knee")] = points[2, _LSP.index("neck")] = np.nan
    for index in range(4):
        write_picture(tmp_path / "set" / "images" / f"{index}.jpg", (120, 120))
    names = np.array([f"{index}.jpg" for index in range(4)])
    np.savez(tmp_path / "set" / "index.npz", name=names, pts=points, joint_names=np.array(_LSP))
    benchmark = sets.benchmark(tmp_path / "set")

    def answer(each):
        found = np.full((17, 2), 500.0)
        found[benchmark.labelled] = np.nan_to_num(each.points, nan=500.0) + np.array([3, 4])
        return found

    values = scores(benchmark, answer)
    known = evaluate(Told(benchmark, answer), "told", tmp_path / "set", "truth")
    assert values["strict, 14 points"]["all"] == pytest.approx(known["nme"], rel=1e-6)
    assert values["left/right oracle, 14 points"]["all"] == pytest.approx(known["error_percent_lr_oracle"])

    def labelled():
        rng = np.random.default_rng(1)
        for index in range(120):
            points = rng.uniform(20, 100, (14, 2))
            points[index % 14] = np.nan
            yield Sample(np.zeros((120, 120, 3), np.uint8), points, "training")

    fitted = scores(replace(benchmark, training=labelled), answer, training=True)
    assert fitted["+ regression, 14 points"]["all"] < 20
    assert fitted["+ regression, L/R-invariant, 14 points"]["all"] < 20


@pytest.mark.parametrize(
    ("pts", "complaint"),
    [
        (None, "no index.npz in"),
        (np.zeros((1, 5, 2)), r"shape \(1, 5, 2\) are not of face68, cat_head, human"),
        ([1], r"shape \(1,\) are not of"),
    ],
)
def test_sets_of_another_kind_are_refused(tmp_path, pts, complaint):
    if pts is not None:
        np.savez(tmp_path / "index.npz", name=np.array(["a"]), pts=pts)
    with pytest.raises(ValueError, match=complaint):
        sets.benchmark(tmp_path)


def test_predictions_of_another_skeleton_are_refused(cats):
    benchmark = cat_head.benchmark(cats)
    for skeleton in (FACE68, HUMAN36M_32, Skeleton("imm30", tuple("abc"), (), ())):
        with pytest.raises(ValueError, match=rf"wants predictions of cat_head: m gives {skeleton.name}"):
            measure(Told(benchmark, None, skeleton), "m", benchmark)


def test_points_without_names_have_the_fitted_score_alone(cats):
    unnamed = Skeleton("imm3", ("a", "b", "c"), (), ())
    rows = scores(cat_head.benchmark(cats), lambda each: each.points[:3], skeleton=unnamed, training=True)
    assert list(rows) == ["+ regression, 9 points", "+ regression, 7 points", "+ regression, eyes and mouth"]
    assert rows["+ regression, 9 points"]["all"] < 1  # every label is the same


def test_a_fit_is_a_linear_map_without_bias():
    rng = np.random.default_rng(0)
    found, weights = rng.normal(size=(50, 4, 2)), rng.normal(size=(8, 6))
    truth = regression.apply(weights, found)
    assert regression.fit(found, truth) == pytest.approx(weights)
    # y = 2 x + 1 at x = 1, 3: without a bias the slope is (3 + 21) / (1 + 9).
    flat = regression.fit(np.array([[[1.0, 0]], [[3.0, 0]]]), np.array([[[3.0, 0]], [[7.0, 0]]]))
    assert flat == pytest.approx(np.array([[2.4, 0], [0, 0]]))
    with pytest.raises(ValueError, match="from 4 points takes 8 labelled pictures or more: there are 7"):
        regression.fit(found[:7], truth[:7])


def test_a_point_is_fitted_on_the_pictures_that_have_it():
    rng = np.random.default_rng(0)
    found, weights = rng.normal(size=(50, 4, 2)), rng.normal(size=(8, 6))
    truth = regression.apply(weights, found)
    truth[:30, 0] = truth[20:, 2] = np.nan
    assert regression.fit(found, truth) == pytest.approx(weights)
    truth[7:, 1] = np.nan
    with pytest.raises(ValueError, match="takes 8 labelled pictures or more: there are 7"):
        regression.fit(found, truth)


def test_labels_may_change_sides_and_outliers_are_dropped():
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=(400, 5, 2))
    truth[:, 0, 0] += 3  # left is left
    found, mirror = truth.copy(), np.array([1, 0, 2, 4, 3])
    truth[::4] = truth[::4][:, mirror]  # a quarter is labelled the other way round
    truth[7] += 40
    truth[5, 2] = truth[9, 0] = np.nan
    assert regression.fit_unoriented(found, truth, mirror) == pytest.approx(np.eye(10), abs=1e-6)
    assert np.abs(regression.fit(found, truth) - np.eye(10)).max() > 0.1


def test_places_are_fitted_in_the_crop():
    boxes = np.array([[50.0, 40.0, 20.0, 0.0]])
    assert regression.in_crops(np.array([[[40.0, 50.0], [60.0, 40.0]]]), boxes) == pytest.approx(
        np.array([[[0, 1], [1, 0.5]]])
    )


def test_the_table_has_our_row_beside_the_published_ones(ibug):
    benchmark = face300w.benchmark(ibug, _COUNTS)
    measures = measure(Told(benchmark, lambda each: each.points + np.array([3, 4])), "ours", benchmark)
    lines = as_markdown(measures, benchmark.published).splitlines()
    assert lines[0] == "| 300-W, NME %, 4 pictures | common | challenging | full | how | source |"
    assert lines[1] == "|---|---|---|---|---|---|"
    assert lines[2] == "| ours | 12.50 | 12.50 | 12.50 | strict, inter-ocular | here |"
    assert lines[4] == "| Stacked hourglass |  |  | 3.42 | supervised, inter-ocular | [P-animals] |"
    assert lines[-1] == "Sources: [P-animals] README of mhk257/pytorch_face_animals."


def test_no_pictures_and_lost_groups_are_one_clear_line(cats):
    benchmark = cat_head.benchmark(cats)
    for test, complaint in (
        (lambda: iter(()), "no labelled pictures"),
        (lambda: (each for each in benchmark.test() if each.group == "CAT_05"), "no pictures of CAT_06"),
    ):
        less = replace(benchmark, test=test)
        with pytest.raises(ValueError, match=complaint):
            measure(Told(less, lambda each: each.points), "told", less)


def test_published_numbers_have_a_known_source():
    from training.benchmarks import published

    people = {row.method: row.values["all"] for row in published.SIMPLE_HUMAN36M}
    assert people["KeypointGAN 2020"] == 2.73
    assert not {2.16, 4.14} & set(people.values())  # recollections, nowhere confirmed
    for row in published.HUMAN36M:
        activities = [row.values[each] for each in published.ACTIVITIES]
        assert np.mean(activities) == pytest.approx(row.values["all"], abs=0.02)
    tables = (*published.HUMAN36M, *published.SIMPLE_HUMAN36M, *published.FACE300W, *published.CAT_HEAD)
    assert {tag for row in tables for tag in row.source.split(", ")} <= SOURCES.keys()
