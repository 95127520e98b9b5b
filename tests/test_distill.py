"""A student: its network as an engine, what it is taught, and whole runs, tiny ones, that lose nothing."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from faces import pose, write_data
from test_engine import SIZE, apart, drawn_heads
from torch import nn

from engines import Model, Points, crop, load_model, open_engine
from engines.engine import PRECISIONS, RUNTIMES
from engines.network import LandmarkNet, NetworkConfig
from engines.render import normalise, to_pixels
from engines.skeleton import CAT_HEAD, FACE68
from engines.student import StudentConfig, StudentNet
from training import checkpoint
from training.__main__ import _portable, main
from training.calibrate import auc
from training.config import DistillConfig, Jitter, with_settings
from training.distill import Pupil, config_for, distill, examine
from training.lessons import Lessons, answers, ask, disturbed
from training.run import Run, TrainingStopped
from training.stored import load_sets

CPU = torch.device("cpu")
TINY = StudentConfig(input_size=32, width=4, pairs=1)
MEAN_FACE = np.mean([pose(np.random.default_rng(seed)) for seed in range(20)], axis=0)


class Teacher:
    """An engine that lays the mean face over what is bright in a crop, and ``off`` pixels beside it."""

    skeleton, input_size, crop_scale = FACE68, 32, 1.5
    runtime, precision, describe = "fake", "fp32", "fake"

    def __init__(self, off=0.0):
        self.off = off

    def __call__(self, crops):
        xy = np.stack([self._found(each) for each in crops]) + self.off
        return Points(xy.astype(np.float32), np.ones(xy.shape[:2], np.float32), np.ones(len(xy), np.float32))

    @staticmethod
    def _found(image):
        y, x = np.nonzero(image.min(axis=2) > 120)
        if len(x) < 4:
            x = y = np.array([8, 24])
        side = max(np.ptp(x), np.ptp(y))
        return MEAN_FACE * side + [(x.min() + x.max()) / 2, (y.min() + y.max()) / 2]

    def close(self):
        pass


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("faces"))


def save_teacher(path, skeleton=FACE68, seed=0):
    torch.manual_seed(seed)
    config = NetworkConfig(input_size=32, width=2, map_size=8)
    weights = LandmarkNet(skeleton, config).state_dict()
    Model(skeleton, config, 1.5, weights, {"method": "none", "licence": "for tests"}).save(path)
    return load_model(path)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return save_teacher(tmp_path_factory.mktemp("teacher") / "tutor.safetensors")


@pytest.fixture
def _knowing(monkeypatch):
    monkeypatch.setattr("training.distill.open_engine", lambda *given, **options: Teacher())


def tiny(teacher, **changes):
    small = {"network": TINY, "steps": 6, "batch": 4, "looks": 1}
    return dataclasses.replace(config_for(teacher), **{**small, **changes})


def run_in(out, data):
    return Run(data, out, None, "kptrack train --distill tutor")


# The network.


@pytest.fixture(scope="module")
def pupil():
    """A student that has learnt to find drawn cats' heads, in two seconds, and to tell them from noise."""
    torch.manual_seed(0)
    config = StudentConfig(input_size=SIZE, width=8, pairs=4)
    network = StudentNet(CAT_HEAD, config).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.003)
    for step in range(150):
        crops, joints = drawn_heads(16, seed=step)
        crops[12:] = np.random.default_rng(step).integers(0, 256, crops[12:].shape)
        points, certainty, presence = network.evidence(
            torch.from_numpy(crops).permute(0, 3, 1, 2) / 127.5 - 1
        )
        off = (points - normalise(torch.from_numpy(joints), SIZE))[:12].norm(dim=-1)
        there = (torch.arange(16) < 12).float()
        loss = off.mean() + 0.05 * (off.detach() * certainty[:12].exp() - 2 * certainty[:12]).mean()
        loss = loss + 0.1 * nn.functional.binary_cross_entropy_with_logits(presence, there)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Model(CAT_HEAD, config, 1.4, network.state_dict(), {"data": "drawn"})


@pytest.fixture(scope="module")
def heads():
    return drawn_heads(6, seed=1000)


WAYS = [
    pytest.param(runtime, precision, id=f"{runtime}-{precision}", marks=pytest.mark.slow if slow else ())
    for runtime, precision, slow in (
        ("auto", "auto", False),
        ("eager", "fp32", False),
        ("eager", "bf16", False),
        ("auto", "fp32", False),
        ("compile", "fp32", True),
        ("compile", "bf16", True),
    )
]


def test_a_student_can_learn_what_a_network_that_draws_can(pupil, heads):
    crops, joints = heads
    engine = open_engine(pupil, "eager", "fp32", "cpu")
    points = engine(crops)
    assert apart(points.xy, joints).mean() < 5
    assert apart(joints, joints.mean(axis=0)).mean() > 8
    assert points.subject_score.min() > 0.8
    noise = np.random.default_rng(7).integers(0, 256, crops.shape, np.uint8)
    assert engine(noise).subject_score.max() < 0.2


@pytest.mark.parametrize(("runtime", "precision"), WAYS)
def test_a_student_keeps_the_contract_of_engines(pupil, heads, runtime, precision):
    engine = open_engine(pupil, runtime, precision, "cpu")
    assert (engine.skeleton, engine.input_size, engine.crop_scale) == (CAT_HEAD, SIZE, 1.4)
    assert engine.runtime in RUNTIMES
    assert engine.precision in PRECISIONS[1:]
    assert engine.precision in engine.describe
    crops = heads[0]
    wanted, before = open_engine(pupil, "eager", "fp32", "cpu")(crops), crops.copy()
    for count in (6, 1, 0):
        points = engine(crops[:count])
        shapes = [each.shape for each in (points.xy, points.score, points.subject_score)]
        assert shapes == [(count, 9, 2), (count, 9), (count,)]
        for found in (points.xy, points.score, points.subject_score):
            assert (type(found), found.dtype) == (np.ndarray, np.float32)
        for score in (points.score, points.subject_score):
            assert np.all((score >= 0) & (score <= 1))
        if count:
            assert apart(points.xy, wanted.xy[:count]).mean() < (0.02 if engine.precision == "fp32" else 0.3)
            assert points.score == pytest.approx(wanted.score[:count], abs=0.03)
            assert points.subject_score == pytest.approx(wanted.subject_score[:count], abs=0.03)
    assert np.array_equal(crops, before)
    engine.close()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_results_are_the_callers_and_crops_come_in_any_memory_order(pupil, heads, precision):
    engine, crops = open_engine(pupil, "auto", precision, "cpu"), heads[0]
    first = engine(crops[:1])
    kept = first.xy.copy()
    second = engine(crops[1:2])
    assert np.array_equal(first.xy, kept)
    second.xy[:] = second.score[:] = second.subject_score[:] = 0
    turned = np.ascontiguousarray(crops[:1, ::-1, :, ::-1])[:, ::-1, :, ::-1]
    locked = crops[:1].copy()
    locked.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for again in (crops[:1], turned, locked):
            assert np.array_equal(engine(again).xy, kept)


def test_auto_folds_the_batch_norms_of_a_student_and_the_reference_does_not(pupil):
    kinds = [type(each) for each in open_engine(pupil, "auto", device="cpu")._network.modules()]
    assert nn.BatchNorm2d not in kinds
    kinds = [type(each) for each in open_engine(pupil, "eager", "fp32", "cpu")._network.modules()]
    assert kinds.count(nn.BatchNorm2d) == 11


def test_a_student_of_the_shipped_size_takes_less_than_it_may():
    from torch.utils.flop_counter import FlopCounterMode

    network = StudentNet(FACE68, StudentConfig(input_size=128)).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 128, 128, 3, dtype=torch.uint8))
    assert counter.get_total_flops() < 0.6e9


# The model file.


def test_a_student_goes_into_a_file_and_comes_out(pupil, heads, tmp_path):
    path = tmp_path / "student.safetensors"
    pupil.save(path)
    loaded = load_model(path)
    assert isinstance(loaded.network(), StudentNet)
    assert (loaded.config, loaded.skeleton, loaded.card) == (pupil.config, CAT_HEAD, pupil.card)
    truth = open_engine(pupil, "eager", "fp32", "cpu")(heads[0])
    found = open_engine(path, "eager", "fp32", "cpu")(heads[0])
    assert apart(found.xy, truth.xy).max() < 0.3
    loaded.save(tmp_path / "again.safetensors")
    again = load_model(tmp_path / "again.safetensors")
    assert all(torch.equal(again.weights[key], value) for key, value in loaded.weights.items())


def test_a_file_that_does_not_say_what_it_holds_holds_a_network_that_draws(teacher):
    assert isinstance(teacher.network(), LandmarkNet)


def test_a_file_of_an_unknown_kind_of_network_is_refused(pupil, tmp_path):
    from test_model import refusal, rewrite

    path = tmp_path / "cat.safetensors"
    pupil.save(path)
    rewrite(path, lambda described: described.update(kind="oracle"))
    assert "its network is a 'oracle', not drawing or student" in refusal(path)
    rewrite(path, lambda described: described.update(kind="drawing"))
    assert "does not fit this version of kptrack" in refusal(path)


@pytest.mark.parametrize("sizes", [{"input_size": 60}, {"input_size": 16}, {"width": 0}, {"pairs": -1}])
def test_a_student_of_no_size_is_refused(sizes):
    with pytest.raises(ValueError, match=r"input_size|too few"):
        StudentConfig(**sizes)


# What it is taught.


def taught(data, off=0.0, **changes):
    sets = load_sets(data / "train", held_out=False)
    rng = np.random.default_rng(0)
    found = [ask(Teacher(off), each, 2, rng, lambda done: True) for each in sets]
    config = DistillConfig("face68", 1.5, TINY, **changes)
    return sets, found, Lessons(sets, found, config)


def test_the_teachers_answers_lie_on_the_faces(data):
    sets, found, _ = taught(data)
    for each, here in zip(sets, found, strict=True):
        assert here.points.shape == (len(each.images), 68, 2)
        own = crop.landmark_boxes(here.points, 1.0)
        assert own[:, :2] == pytest.approx(each.boxes[:, :2], abs=4)
        assert own[:, 2] == pytest.approx(each.boxes[:, 2], rel=0.2)


def test_mirrored_looks_take_out_what_a_teacher_does_to_one_side_and_show_in_its_spread(data):
    _, straight, _ = taught(data)
    _, leaning, _ = taught(data, off=np.array([2.0, 0.0]))
    moved = leaning[0].points - straight[0].points
    assert abs(moved[..., 0].mean()) < 0.3
    assert leaning[0].spread.mean() > 3 + straight[0].spread.mean()


def test_a_teacher_that_was_interrupted_is_not_asked_twice(data, tmp_path):
    sets = load_sets(data / "train", held_out=False)
    assert len(sets) > 1
    config, path, said = DistillConfig("face68", 1.5, TINY), tmp_path / "answers.pt", []
    # The first set is small enough for one batch: the second look at the clock is before the second set.
    stops = iter([False, True])
    assert answers(path, sets, Teacher(), "it", config, lambda: next(stops), said.append) is None
    assert said[0] == f"0 of {sum(len(each.images) for each in sets)} pictures shown to the teacher"

    class Fresh(Teacher):
        asked = 0

        def __call__(self, crops):
            Fresh.asked += len(crops)
            return super().__call__(crops)

    resumed = answers(path, sets, Fresh(), "it", config, lambda: False, said.append)
    assert Fresh.asked == 6 * sum(len(each.images) for each in sets[1:])
    whole = answers(tmp_path / "whole.pt", sets, Teacher(), "it", config, lambda: False, said.append)
    for one, other in zip(resumed, whole, strict=True):
        assert np.array_equal(one.points, other.points)


def test_a_lesson_has_the_teachers_points_where_its_crop_has_them(data):
    _, _, lessons = taught(data, absent=0.0, far_share=0.0, near=Jitter(0.1, 0.05, 5.0))
    for clean in (True, False):
        lesson = lessons.batch(3, 16, clean)
        assert lesson.image.shape == (16, 32, 32, 3)
        assert lesson.image.dtype == torch.uint8
        assert lesson.present.tolist() == [1] * 16
        assert lesson.points.abs().max() < 1.2
        assert lesson.unit.numpy() == pytest.approx(0.7, abs=0.4)
        if clean:
            # The faces are bright, also where a crop is mirrored: the middle of the face is where it is said.
            middle = to_pixels(lesson.points, 32).mean(1).round().long()
            seen = lesson.image[torch.arange(16), middle[:, 1], middle[:, 0]].float().mean(-1)
            assert (seen > 90).float().mean() > 0.9


def test_lessons_depend_on_their_number_alone(data):
    _, _, lessons = taught(data)
    first, other, again = (lessons.batch(number, 8) for number in (1, 2, 1))
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.points, again.points)
    assert not torch.equal(first.image, other.image)


def test_some_crops_show_no_subject(data):
    _, _, lessons = taught(data, absent=0.5)
    lesson = lessons.batch(0, 64)
    assert 16 < lesson.present.sum() < 48
    assert torch.isfinite(lesson.points).all()


def test_disturbing_leaves_the_picture_that_it_gets_alone():
    rng = np.random.default_rng(0)
    image, patch = rng.integers(0, 256, (2, 32, 32, 3), np.uint8)
    before = image.copy()
    for _ in range(30):
        worse = disturbed(image, patch, rng)
        assert (worse.shape, worse.dtype) == (image.shape, np.uint8)
    assert np.array_equal(image, before)


def test_a_pupil_learns_its_lessons_and_to_doubt(data):
    sets, found, lessons = taught(data)
    config = DistillConfig("face68", 1.5, TINY, steps=80, batch=32, lr=5e-3, ema=0.9)
    learner = Pupil(config, FACE68, CPU)
    exam = Lessons(sets, found, config)
    before = examine(learner.graduate, exam, CPU)
    losses = [learner.step(number, lessons.batch(number)) for number in range(1, 81)]
    after = examine(learner.graduate, exam, CPU)
    assert {"points", "doubt", "presence"} == set(losses[0])
    mean = {name: np.mean([each[name] for each in losses[-10:]]) for name in losses[0]}
    assert mean["doubt"] < np.mean([each["doubt"] for each in losses[:5]])
    assert after["held_out_presence_auc"] > max(0.7, before["held_out_presence_auc"])


# Whole runs.


@pytest.fixture(scope="module")
def whole(data, teacher, tmp_path_factory):
    """A run from its first step to its model file."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.distill.open_engine", lambda *given, **options: Teacher())
        patch.setattr("training.distill._LOOK_EVERY", 3)
        assert distill(run_in(out, data), teacher, tiny(teacher), False, CPU)
    return out


def weights_of(out, config):
    return checkpoint.load(out / "checkpoint.pt", config)["learner"]["network"]


def test_chance_that_the_larger_value_is_a_positive_case():
    positive = torch.tensor([True, True, False, False])
    assert auc(torch.tensor([4.0, 3, 2, 1]), positive) == 1
    assert auc(torch.tensor([4.0, 1, 3, 2]), positive) == 0.5
    assert auc(torch.zeros(4), positive) == auc(torch.zeros(4), ~positive) == 0.5  # alike tells nothing
    assert auc(torch.tensor([2.0, 1, 1, 0]), positive) == 0.875
    assert np.isnan(auc(torch.zeros(4), positive | True))


def test_a_run_ends_in_a_model_that_runs_and_says_where_it_comes_from(whole, teacher):
    model = load_model(whole / "model.safetensors")
    assert isinstance(model.config, StudentConfig)
    assert model.crop_scale == 1.5
    assert model.card["command"] == "kptrack train --distill tutor"
    assert model.card["step"] == 6
    assert model.card["teacher"] == {"name": "tutor", "digest": teacher.digest, "method": "none"}
    assert model.card["licence"] == "for tests"
    assert "stills_train" in str(model.card["scores"])
    assert "held_out_percent" in model.card["held_out_pictures"]
    points = open_engine(model, "eager", "fp32")(np.zeros((2, 32, 32, 3), np.uint8))
    assert points.xy.shape == (2, 68, 2)


def test_a_run_leaves_a_log_and_pictures_to_look_at(whole):
    entries = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert {"step", "points", "doubt", "presence", "held_out_percent"} <= set().union(*entries)
    grids = sorted((whole / "grids").iterdir())
    assert [path.name for path in grids] == ["000003.png", "000006.png"]
    assert cv2.imread(str(grids[0])).shape == (3 * 128, 12 * 128, 3)


@pytest.mark.usefixtures("_knowing")
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(data, teacher, whole, tmp_path):
    config = tiny(teacher)
    assert distill(run_in(tmp_path, data), teacher, config, False, CPU, stop_at=3)
    assert load_model(tmp_path / "model.safetensors").card["step"] == 3
    assert distill(run_in(tmp_path, data), teacher, config, True, CPU)
    straight, resumed = weights_of(whole, config), weights_of(tmp_path, config)
    for name, value in straight.items():
        assert torch.allclose(value.float(), resumed[name].float(), atol=1e-5), name


@pytest.mark.usefixtures("_knowing")
def test_a_run_is_not_overwritten_unasked(data, teacher, whole):
    with pytest.raises(ValueError, match="--resume goes on with it"):
        distill(run_in(whole, data), teacher, tiny(teacher), False, CPU)


@pytest.mark.usefixtures("_knowing")
def test_a_checkpoint_of_other_settings_or_of_another_teacher_is_refused(data, teacher, whole, tmp_path):
    with pytest.raises(ValueError, match=r"lr 0\.002 there, 0\.5 here"):
        distill(run_in(whole, data), teacher, tiny(teacher, lr=0.5), True, CPU)
    other = save_teacher(tmp_path / "other.safetensors", seed=1)
    with pytest.raises(ValueError, match="holds the answers of another teacher"):
        distill(run_in(whole, data), other, tiny(teacher), True, CPU)


@pytest.mark.usefixtures("_knowing")
def test_answers_of_other_pictures_are_refused(data, teacher, whole, tmp_path):
    other = write_data(tmp_path / "other", stills=36)
    with pytest.raises(ValueError, match="is of other pictures"):
        distill(run_in(whole, other), teacher, tiny(teacher), True, CPU)


@pytest.mark.usefixtures("_knowing")
def test_a_truncated_checkpoint_is_refused_in_one_line(data, teacher, whole, tmp_path):
    for name in ("answers.pt", "checkpoint.pt"):
        (tmp_path / name).write_bytes((whole / name).read_bytes()[:-2000])
        with pytest.raises(ValueError, match=f"{name} is damaged"):
            distill(run_in(tmp_path, data), teacher, tiny(teacher), True, CPU)
        (tmp_path / name).write_bytes((whole / name).read_bytes())


@pytest.mark.usefixtures("_knowing")
def test_a_loss_that_is_not_finite_stops_the_run_and_is_named(data, teacher, tmp_path, monkeypatch):
    original = Pupil.step

    def broken(self, number, lesson):
        losses = original(self, number, lesson)
        return {**losses, "doubt": torch.tensor(float("nan"))} if number == 4 else losses

    monkeypatch.setattr(Pupil, "step", broken)
    assert distill(run_in(tmp_path, data), teacher, tiny(teacher), False, CPU, stop_at=2)
    with pytest.raises(TrainingStopped, match="loss doubt is not finite"):
        distill(run_in(tmp_path, data), teacher, tiny(teacher), True, CPU)
    assert checkpoint.load(tmp_path / "checkpoint.pt", tiny(teacher))["step"] == 2


@pytest.mark.usefixtures("_knowing")
def test_a_subject_that_the_data_do_not_show_is_refused(data, tmp_path):
    cat = save_teacher(tmp_path / "cat.safetensors", CAT_HEAD)
    with pytest.raises(ValueError, match=r"stills_train\.npz has 68 joints, and the teacher's cat_head 9"):
        distill(run_in(tmp_path, data), cat, tiny(cat), False, CPU)
    assert not (tmp_path / "log.jsonl").exists()


def command(data, out, teacher, *more):
    settings = ("network.width=4", "network.pairs=1", "batch=4", "looks=1", *more)
    return [
        *("train", "--distill", str(teacher), "--data", str(data), "--out", str(out)),
        *(part for each in settings for part in ("--set", each)),
    ]


def test_ctrl_c_saves_and_ends_with_130(data, teacher, tmp_path):
    save_teacher(tmp_path / "tutor.safetensors")
    out = tmp_path / "run"
    arguments = command(data, out, tmp_path / "tutor.safetensors")
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        [sys.executable, "-m", "training", *arguments], stderr=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "points" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "--resume goes on from there" in rest
    config = with_settings(config_for(teacher), [each for each in arguments if "=" in each])
    assert checkpoint.load(out / "checkpoint.pt", config)["step"] >= 50


def test_the_command_line_makes_a_student_and_its_card_names_no_folder(data, tmp_path):
    path, out = tmp_path / "tutor.safetensors", tmp_path / "run"
    save_teacher(path)
    assert main(command(data, out, path, "steps=2")) == 0
    card = load_model(out / "model.safetensors").card
    assert str(card["command"]).startswith("kptrack train --distill tutor.safetensors --data ")
    assert "/" not in str(card["command"])


def test_a_card_names_options_as_they_were_typed():
    given = ["train", "--distill=tutor", "--data=/somewhere/faces", "--out", "/x/run", "--resume"]
    assert _portable(given) == ["train", "--distill=tutor", "--data=faces", "--out", "run"]
    assert _portable(["--negatives", "/data/cats/train", "x/rooms"]) == ["--negatives", "cats/train", "rooms"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--distill", "nobody"], "no model 'nobody'"),
        (["face", "--distill", "face"], "Either --distill MODEL or one of"),
        ([], "Either --distill MODEL or one of"),
        (["--distill", "face", "--set", "speed=9"], "no setting 'speed'"),
        (["--distill", "face", "--set", "network.input_size=60"], "input_size 60"),
        (["--distill", "face", "--perceptual", "file"], "a student needs none"),
        (["--distill", "face", "--boxes", "boxes.pt"], "go with finder"),
        (["--distill", "face", "--stop-at", "0"], "--stop-at 0: want a step from 1 on"),
        (["finder", "--stop-at", "3"], "do not go with finder"),
        (["finder", "--perceptual", "file"], "do not go with finder"),
        (["finder", "--device", "cuda:0"], "the finder is trained on the processor"),
        (["--distill", "face", "--device", "tpu"], "is not auto, cpu or cuda:N"),
        (["--distill", "cat"], "has 68 joints, and the teacher's cat_head 9"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line_and_2(data, tmp_path, capsys, arguments, complaint):
    assert main(["train", *arguments, "--data", str(data), "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


def test_several_processes_are_refused(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["train", "--distill", "face", "--data", str(data), "--out", str(tmp_path / "run")]) == 2
    assert "one process" in capsys.readouterr().err


def test_pictures_that_are_not_there_are_refused(tmp_path, capsys):
    assert main(["train", "--distill", "face", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert "no sets under" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
