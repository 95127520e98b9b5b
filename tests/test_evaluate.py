"""The measures of a model, with engines whose error is known."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from faces import write_labelled

from engines import Points, crop
from engines.skeleton import CAT_HEAD, FACE68, HUMAN
from training.__main__ import main
from training.evaluate import (
    LabelledSet,
    _detected,
    _measures,
    _Scored,
    _shifted,
    as_text,
    evaluate,
    load_labelled,
    normalised_errors,
)


class Knowing:
    """An engine that has read the labels: it answers in the order of the pictures, ``off`` by a share."""

    skeleton, input_size, crop_scale = FACE68, 64, 1.5
    runtime, precision, describe = "fake", "fp32", "fake"

    def __init__(self, truth, boxes, off=(0.0, 0.0)):
        unit = np.linalg.norm(truth[:, 36] - truth[:, 45], axis=-1)
        moved = truth + unit[:, None, None] * np.array(off)
        self._answers = list(crop.to_crop(moved.astype(np.float32), boxes, 64))

    def __call__(self, crops):
        xy = np.stack([self._answers.pop(0) for _ in crops])
        return Points(xy, np.ones(xy.shape[:2], np.float32), np.ones(len(xy), np.float32))

    def close(self):
        pass


@pytest.fixture
def labelled(tmp_path):
    parts = np.array(["left", "left", "right", "right", "right"])
    return tmp_path / "five", write_labelled(tmp_path / "five", 5, subset=parts)


def test_a_model_that_knows_the_answer_scores_zero(labelled):
    folder, truth = labelled
    measures = evaluate(Knowing(truth, crop.landmark_boxes(truth, 1.5)), "knowing", folder, "truth")
    assert measures["nme"] == pytest.approx(0, abs=1e-3)
    assert measures["auc10"] == pytest.approx(1, abs=1e-4)
    assert (measures["n"], measures["fr10"], measures["not_found"]) == (5, 0, 0)
    assert {name: each["n"] for name, each in measures["sets"].items()} == {"five/left": 2, "five/right": 3}
    assert list(measures["per_joint"]) == list(FACE68.joints)


def test_an_error_is_a_share_of_the_distance_of_the_outer_eye_corners(labelled):
    folder, truth = labelled
    engine = Knowing(truth, crop.landmark_boxes(truth, 1.5), off=(0.03, 0.04))
    measures = evaluate(engine, "near", folder, "truth")
    assert measures["nme"] == pytest.approx(5, abs=0.01)
    assert measures["median"] == pytest.approx(5, abs=0.01)
    assert measures["auc10"] == pytest.approx(0.5, abs=0.002)
    far = evaluate(Knowing(truth, crop.landmark_boxes(truth, 1.5), off=(0.2, 0)), "far", folder, "truth")
    assert (far["fr10"], far["auc10"]) == (100, 0)


def test_normalised_errors_are_of_each_joint():
    truth = np.zeros((1, 68, 2), np.float32)
    truth[0, 45] = [50, 0]
    found = truth.copy()
    found[0, 8] = [3, 4]
    errors = normalised_errors(found, truth, FACE68)
    assert errors[0, 8] == pytest.approx(10)
    assert errors.sum() == pytest.approx(10)


def test_detector_crops_come_from_shifted_pictures_and_misses_are_counted(tmp_path):
    # Nothing on grey pictures: every one is missed, and the whole picture is the crop.
    truth = write_labelled(tmp_path / "grey", 3)
    for path in (tmp_path / "grey" / "images").iterdir():
        cv2.imwrite(str(path), np.full((96, 96, 3), 128, np.uint8))
    whole = np.tile([47.5, 47.5, 96.0, 0.0], (3, 1))
    measures = evaluate(Knowing(truth, whole), "blind", tmp_path / "grey", "detector")
    assert measures["not_found"] == 3
    # The truth moved with the pictures, and this engine did not: by up to 15 % of 96 px each way.
    assert measures["nme"] > 10


def shown(points, size=(120, 60)):
    """Labelled pictures of that size, black but for a white dot at each first joint."""
    images = [np.zeros((size[1], size[0], 3), np.uint8) for _ in points]
    for image, (x, y) in zip(images, np.rint(points[:, 0]).astype(int), strict=True):
        image[y, x] = 255
    names, inferred = np.full(len(points), "set"), np.zeros(points.shape[:2], bool)
    return LabelledSet(images, points, names, np.arange(points.shape[1]), inferred)


def test_points_move_with_their_pictures_by_a_share_of_either_side():
    points = np.tile(np.array([60.0, 30.0], np.float32), (40, 3, 1))
    images, moved = _shifted(shown(points))
    by = moved[:, 0] - points[:, 0]
    for image, (x, y) in zip(images, moved[:, 0], strict=True):
        rows, columns = np.nonzero(image[..., 0] > 40)
        assert (columns.mean(), rows.mean()) == pytest.approx((x, y), abs=1)
    assert 14 < np.abs(by[:, 0]).max() <= 0.15 * 120
    assert 7 < np.abs(by[:, 1]).max() <= 0.15 * 60
    assert (points == (60, 30)).all()


def test_what_a_detector_finds_is_cropped_as_the_engine_wants_it(monkeypatch):
    asked = []

    def detect(image, thorough):
        asked.append(thorough)
        return np.array([[50, 20, 40, 0.1], [9, 9, 9, 0]], np.float32)[: 2 * (len(asked) == 1)]

    monkeypatch.setattr("training.evaluate.make_detector", lambda *_: detect)
    engine = Knowing(np.zeros((1, 68, 2)), np.array([[0, 0, 1, 0]]))
    boxes, found = _detected([np.zeros((60, 120, 3), np.uint8)] * 2, engine)
    assert boxes == pytest.approx(np.array([[50, 20, 60, 0.1], [59.5, 29.5, 120, 0]]))
    assert found.tolist() == [True, False]
    assert asked == [True, True]


def test_eyes_and_mouth_of_a_cat_are_told_apart():
    errors = np.tile(np.arange(9.0), (2, 1))
    nobody = np.zeros(2, bool)
    scored = _Scored(errors, errors, np.zeros((2, 9), bool), nobody, np.array(["a", "a"]))
    assert _measures(scored, CAT_HEAD)["nme_eyes_mouth"] == pytest.approx(1)
    assert _measures(scored, CAT_HEAD)["nme"] == pytest.approx(4)


def test_several_sets_are_pooled_by_picture(tmp_path):
    for name, count, seed in (("a", 2, 0), ("b", 4, 1)):
        write_labelled(tmp_path / name, count, seed)
    sets = load_labelled(tmp_path, FACE68)
    truth = np.concatenate([each.points for each in sets])
    measures = evaluate(Knowing(truth, crop.landmark_boxes(truth, 1.5)), "knowing", tmp_path, "truth")
    assert measures["n"] == 6
    assert {name: each["n"] for name, each in measures["sets"].items()} == {"a": 2, "b": 4}
    table = as_text(measures).splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == ["a", "b", "all"]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"name": np.array(["000.png"])}, "no array pts"),
        ({"name": np.array(["000.png"]), "pts": np.zeros((1, 9, 2))}, "do not fit 1 pictures of face68"),
        ({"name": np.array(["000.png", "1.png"]), "pts": np.zeros((1, 68, 2))}, "not as many rows"),
        ({"name": np.array(["none.png"]), "pts": np.ones((1, 68, 2)).cumsum(1)}, "none.png is missing"),
        ({"name": np.array(["a.png"]), "pts": np.zeros((1, 68, 2))}, "a.png has no labels of left_eye_0 and"),
        ({"name": np.array(["a.png"]), "pts": np.full((1, 68, 2), np.nan)}, "a.png has no labels of"),
        (
            {
                "name": np.array(["a.png"]),
                "pts": np.ones((1, 51, 2)).cumsum(1),
                "joint_names": np.array(FACE68.joints[17:]),
            },
            "joint_names are for people",
        ),
    ],
)
def test_data_that_do_not_fit_are_one_clear_line(tmp_path, columns, complaint):
    np.savez(tmp_path / "index.npz", **columns)
    with pytest.raises(ValueError, match=complaint):
        load_labelled(tmp_path, FACE68)


def test_the_command_prints_a_table_or_json(tmp_path, capsys):
    from commands import write_model

    model = write_model(tmp_path / "tiny.safetensors")
    write_labelled(tmp_path / "set", 2)
    table = tmp_path / "table.md"
    assert main(["eval", str(model), str(tmp_path / "set"), "--json", "--markdown", str(table)]) == 0
    measures = json.loads(capsys.readouterr().out)
    assert {"model", "data", "crop", "n", "not_found", "nme", "median", "auc10", "fr10"} <= measures.keys()
    assert (measures["model"], measures["data"], measures["crop"]) == ("tiny", "set", "truth")
    assert "| set | 2 |" in table.read_text()
    assert main(["eval", str(model), str(tmp_path / "nowhere")]) == 2
    assert "no labelled pictures" in capsys.readouterr().err


class Person(Knowing):
    """One who answers ``points`` ``(N, 17, 2)`` in crops of people whose labelled joints are ``truth``."""

    skeleton, crop_scale = HUMAN, 1.25

    def __init__(self, points, truth):
        self._answers = list(crop.to_crop(points, crop.landmark_boxes(truth, 1.25), 64))


_LSP = [name for name in HUMAN.joints if name not in ("pelvis", "spine", "head")]


@pytest.fixture
def people(tmp_path):
    """A folder of four people with 14 labelled joints, and all their 17."""
    rng = np.random.default_rng(0)
    points = (48 + 34 * rng.uniform(-1, 1, (4, 17, 2))).astype(np.float32)
    points[:, HUMAN.joints.index("head_top")], points[:, HUMAN.joints.index("l_ankle")] = (48, 8), (40, 88)
    inferred = np.zeros((4, 14), bool)
    inferred[:, _LSP.index("r_wrist")] = True
    (tmp_path / "images").mkdir()
    names = np.array([f"{index}.png" for index in range(4)])
    for name in names:
        cv2.imwrite(str(tmp_path / "images" / name), np.zeros((96, 96, 3), np.uint8))
    truth = points[:, [HUMAN.joints.index(name) for name in _LSP]]
    upright = np.array([True, True, False, True])
    arrays = {"name": names, "pts": truth, "joint_names": np.array(_LSP), "upright": upright}
    np.savez(tmp_path / "index.npz", inferred=inferred, **arrays)
    return tmp_path, points, truth


def test_people_are_measured_in_sides_of_their_crop(people):
    folder, points, truth = people
    measures = evaluate(Person(points + np.float32([3, 4]), truth), "m", folder, "truth")
    sides = crop.landmark_boxes(truth, 1.25)[:, 2]
    assert measures["nme"] == pytest.approx(np.mean(100 * 5 / sides), rel=1e-3)
    assert measures["error_percent"] == measures["nme"]
    assert (measures["right_sides"], measures["pck10"]) == (100, 100)
    assert {name.split("/")[1]: each["n"] for name, each in measures["sets"].items()} == {
        "upright": 3,
        "other": 1,
    }
    assert list(measures["per_joint"]) == _LSP
    assert "left-right oracle %" in as_text(measures)


def test_the_oracle_exchanges_left_and_right_of_a_whole_body(people):
    folder, points, truth = people
    answers = points.copy()
    answers[:2] = answers[:2][:, HUMAN.mirror]
    measures = evaluate(Person(answers, truth), "m", folder, "truth")
    assert measures["error_percent_lr_oracle"] == pytest.approx(0, abs=1e-3)
    assert measures["nme"] > 5
    assert measures["right_sides"] == 50


def test_joints_that_nobody_sees_are_counted_apart(people):
    folder, points, truth = people
    answers = points.copy()
    answers[:, HUMAN.joints.index("r_wrist")] += 30
    measures = evaluate(Person(answers, truth), "m", folder, "truth")
    assert measures["error_percent_seen"] == pytest.approx(0, abs=1e-3)
    assert measures["nme"] > 1


def test_joints_without_a_label_do_not_count(people):
    folder, points, truth = people
    index = dict(np.load(folder / "index.npz"))
    index["pts"] = truth.copy()
    index["pts"][1, _LSP.index("l_knee")] = np.nan
    np.savez(folder / "index.npz", **index)
    answers = points.copy()
    answers[1, HUMAN.joints.index("l_knee")] += 500
    answers[2] += np.float32([3, 4])
    measures = evaluate(Person(answers, truth), "m", folder, "truth")
    sides = crop.landmark_boxes(truth, 1.25)[:, 2]
    assert measures["nme"] == pytest.approx(100 * 5 / sides[2] / 4, rel=1e-3)


@pytest.mark.parametrize("labels", [0, 1])
def test_a_person_of_whom_too_little_is_labelled_is_named(people, labels):
    folder, _, truth = people
    index = dict(np.load(folder / "index.npz"))
    index["pts"] = truth.copy()
    index["pts"][2, labels:] = np.nan
    np.savez(folder / "index.npz", **index)
    with pytest.raises(ValueError, match="2.png has no labels of two joints in two places"):
        load_labelled(folder, HUMAN)


def test_sets_of_different_joints_are_not_pooled(people, tmp_path):
    folder, points, truth = people
    for name, joints in (("a", _LSP), ("b", _LSP[::-1])):
        (tmp_path / "both" / name).mkdir(parents=True)
        (tmp_path / "both" / name / "images").symlink_to(folder / "images")
        arrays = {"name": np.array(["0.png"]), "pts": points[:1, :14], "joint_names": np.array(joints)}
        np.savez(tmp_path / "both" / name / "index.npz", **arrays)
    with pytest.raises(ValueError, match="have different joints"):
        evaluate(Person(points, truth), "m", tmp_path / "both", "truth")
