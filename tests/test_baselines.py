"""The paper's neighbours, tiny: that they learn, go on where they were stopped, and are measured as ours."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import torch
from faces import write_data

from engines.network import LandmarkNet, as_input
from engines.skeleton import FACE68
from training import checkpoint
from training.__main__ import main
from training.baselines import BASELINES, Learner, open_baseline, train_baseline
from training.benchmarks import regression
from training.config import PRESETS, Jitter, with_settings
from training.hourglass import HourglassConfig, HourglassTask, StackedHourglass, peaks
from training.imm import Imm, ImmTask, gaussian_maps
from training.labelled import LabelledPictures, labelled_batch, load_labels
from training.perceptual import PerceptualLoss, Pixels
from training.run import Run, TrainingStopped
from training.supervised import SupervisedNet, SupervisedTask

CPU = torch.device("cpu")
SMALL = ["network.input_size=32", "network.width=4", "steps=4", "batch=4"]
TINY = {
    "imm": [*SMALL, "network.map_size=8", "points=5"],
    "hourglass": [*SMALL, "network.map_size=16"],
    "supervised": [*SMALL, "network.map_size=8"],
}


def tiny(name: str, *settings: str):
    return with_settings(BASELINES[name], [*TINY[name], *settings])


@pytest.fixture(autouse=True)
def _cheap_perceptual(monkeypatch):
    monkeypatch.setattr("training.baselines.open_perceptual", lambda path: PerceptualLoss(Pixels(), taps=1))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def labelled(data):
    return load_labels(data, FACE68)[0]


def test_gaussians_lie_where_their_points_are_and_peaks_find_them():
    points = torch.rand(3, 5, 2) * 1.8 - 0.9
    maps = gaussian_maps(points, 32, 2 / 31)
    assert maps.shape == (3, 5, 32, 32)
    assert torch.allclose(peaks(maps), points, atol=1e-3)
    corners = torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]])
    assert torch.allclose(peaks(gaussian_maps(corners, 32, 2 / 31)), corners, atol=1e-5)
    assert torch.isfinite(peaks(torch.zeros(1, 2, 8, 8))).all()
    wide = gaussian_maps(torch.zeros(1, 1, 2), 21, 0.1)  # cells 0.1 apart: one is a standard deviation
    assert wide[0, 0, 10, 11].item() == pytest.approx(np.exp(-0.5), abs=1e-4)


def test_labels_are_split_and_every_batch_keeps_points_on_their_pictures(data):
    pictures, held_out = load_labels(data, FACE68)
    assert (len(pictures.images), len(held_out.images)) == (27, 3)
    image = np.zeros((96, 96, 3), np.uint8)
    dots = np.tile([[[20.0, 20.0]]], (1, 68, 1)).astype(np.float32)
    dots[0, 0], dots[0, 16], dots[0, 8] = (
        (20, 48),
        (76, 48),
        (48, 76),
    )  # jaw: its ends trade places in a mirror
    image[46:51, 18:23] = (200, 255, 200)
    image[0, 0] = 1
    one = LabelledPictures([image], dots)
    batch = labelled_batch(one, FACE68, 12, 64, 1.5, Jitter(), np.random.default_rng(0))
    left = torch.where(batch.points[:, 0, 0] < batch.points[:, 16, 0], 0, 16)
    assert set(left.tolist()) == {0}  # named as seen in the picture
    for seen, points in zip(batch.image.float().sum(-1), batch.points, strict=True):
        bright = (seen > seen.median() + 100).nonzero().float().mean(0).flip(0)
        ends = (points[[0, 16]] + 1) * 31.5
        assert (ends - bright).norm(dim=-1).min() < 1.5


def test_our_networks_learn_their_labels(labelled):
    config = tiny("supervised", "network.width=8", "lr=1e-2", "steps=100")
    learner = Learner(config, SupervisedTask(config, labelled), CPU)
    batch = next(learner._task.batches(1))
    losses = [learner.step(1, batch)["loss"].item() for _ in range(20)]
    assert losses[-1] < losses[0] / 2


def test_an_hourglass_learns_more_than_that_maps_are_nearly_blank(labelled):
    config = tiny("hourglass", "network.width=16", "stacks=1", "lr=3e-3", "steps=100", "batch=4")
    learner = Learner(config, HourglassTask(config, labelled), CPU)
    batch = next(learner._task.batches(1))
    size = config.network.map_size
    blank = gaussian_maps(batch.points, size, 2 / (size - 1)).square().mean().item()
    losses = [learner.step(1, batch)["loss"].item() for _ in range(60)]
    assert losses[0] < 1.2 * blank
    assert losses[-1] < 0.8 * blank
    with torch.no_grad():
        found = learner.network.landmarks(as_input(batch.image))
    assert (found - batch.points).norm(dim=-1).mean() < 0.3


def test_our_networks_are_those_that_are_shipped():
    config, ours = BASELINES["supervised-lite"], PRESETS["face-lite"]
    assert config.network == ours.network
    with torch.device("meta"):
        supervised, shipped = SupervisedNet(config), LandmarkNet(FACE68, ours.network)
    weights = {
        name: value.shape
        for name, value in shipped.state_dict().items()
        if name.startswith(("drawer", "regressor"))
    }
    assert {name: value.shape for name, value in supervised.state_dict().items()} == weights


def test_imm_paints_a_frame_from_its_points_and_another(data, labelled):
    config = tiny("imm", "lr=1e-2", "steps=100")
    task = ImmTask(data, config, labelled, PerceptualLoss(Pixels(), taps=1), CPU)
    learner = Learner(config, task, CPU)
    batch = next(task.batches(1))
    losses = [learner.step(1, batch)["loss"].item() for _ in range(15)]
    assert losses[-1] < 0.7 * losses[0]
    network = learner.network
    assert network(torch.zeros(2, 3, 32, 32), torch.zeros(2, 3, 32, 32)).shape == (2, 3, 32, 32)
    assert all(each.grad is not None for each in network.pose.parameters())


def test_imms_landmarks_are_a_linear_map_of_its_points(labelled, monkeypatch):
    # Points that know the answer: the first five landmarks as they are.
    network = Imm(tiny("imm"))
    boxes = labelled.boxes(1.5)
    known = list(regression.in_crops(labelled.points, boxes)[:, 30:35])
    answers = iter(known + known)
    monkeypatch.setattr(
        network, "_found", lambda image: torch.from_numpy(np.stack([next(answers) for _ in image]))
    )
    network.fit(labelled, tiny("imm"))
    found = network.landmarks(torch.zeros(len(boxes), 3, 32, 32)).numpy()
    wanted = ((np.stack(known) * 32 - 0.5) * 2 / 31) - 1
    assert found[:, 30:35] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("name", TINY)
def test_a_run_ends_in_a_file_that_eval_measures_and_no_tracker_takes(
    name, data, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("training.baselines._LOOK_EVERY", 2)
    settings = [part for each in TINY[name] for part in ("--set", each)]
    line = ["train", name, "--data", str(data), "--out", str(tmp_path), *settings]
    assert main([*line, "--stop-at", "2"]) == 0
    assert main(line) == 2
    assert "--resume goes on with it" in capsys.readouterr().err
    assert main([*line, "--resume"]) == 0
    logged = [json.loads(each) for each in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [each["step"] for each in logged if "held_out_nme" in each] == [2, 4]
    assert {"loss", "seconds_a_step"} < set().union(*logged)
    capsys.readouterr()
    model = tmp_path / "model.safetensors"
    assert main(["eval", str(model), str(data / "train" / "stills"), "--json"]) == 0
    measures = json.loads(capsys.readouterr().out)
    assert (measures["n"], measures["crop"]) == (30, "truth")
    assert np.isfinite(measures["nme"])
    assert main(["eval", str(model), str(data / "train" / "stills"), "--protocol", "sets"]) == 0
    assert "strict, 68 points" in capsys.readouterr().out
    assert main(["train", "--distill", str(model), "--data", str(data), "--out", str(tmp_path / "x")]) == 2
    assert "is not a kptrack model" in capsys.readouterr().err


@pytest.mark.parametrize("name", TINY)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(name, data, tmp_path):
    for out, ends in (("whole", [4]), ("parts", [2, 4])):
        for number, end in enumerate(ends):
            run = Run(data, tmp_path / out, None, "")
            assert train_baseline(run, tiny(name), number > 0, CPU, end)
    whole, parts = (
        checkpoint.load(tmp_path / out / "checkpoint.pt", tiny(name))["learner"] for out in ("whole", "parts")
    )
    assert whole["task"].keys() == parts["task"].keys()
    for part in ("network", "averaged"):
        for key, value in whole[part].items():
            if "regression" not in key:  # fitted anew before it is used
                assert torch.allclose(value.float(), parts[part][key].float(), atol=1e-4), key


def test_ctrl_c_saves(data, tmp_path, monkeypatch):
    step = Learner.step

    def interrupted(self, number, batch):
        if number == 2:
            signal.raise_signal(signal.SIGINT)
        return step(self, number, batch)

    monkeypatch.setattr(Learner, "step", interrupted)
    run, config = Run(data, tmp_path, None, ""), tiny("hourglass")
    assert not train_baseline(run, config, False, CPU)
    assert checkpoint.load(tmp_path / "checkpoint.pt", config)["step"] == 2
    assert not (tmp_path / "model.safetensors").exists()


def test_a_broken_loss_stops_the_run(data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        HourglassTask,
        "loss",
        lambda self, network, batch: network(batch.image.permute(0, 3, 1, 2).float())[0].sum() * float("nan"),
    )
    with pytest.raises(TrainingStopped, match="loss is not finite"):
        train_baseline(Run(data, tmp_path, None, ""), tiny("hourglass"), False, CPU)


def test_sizes_are_those_of_the_presets():
    for name in ("hourglass", "hourglass-lite"):
        config = BASELINES[name]
        assert isinstance(config, HourglassConfig)
        size = config.network.input_size
        with torch.device("meta"):
            answers = StackedHourglass(config)(torch.zeros(1, 3, size, size))
        assert [each.shape for each in answers] == [(1, 68, 32, 32)] * 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["hourglass", "--perceptual", "x.npz"], "--perceptual does not go with hourglass"),
        (["imm", "--start", "face"], "--start goes with"),
        (["imm", "--ablate", "pixel-loss"], "--ablate goes with"),
        (["imm-lite", "--set", "stacks=3"], "no setting 'stacks'"),
        (["imm-lite"], "a linear map from 30 points takes 60 labelled pictures or more: there are 27"),
    ],
)
def test_mistakes_are_one_line_and_2(arguments, complaint, data, tmp_path, capsys):
    assert main(["train", *arguments, "--data", str(data), "--out", str(tmp_path / "run")]) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_labels_that_do_not_fit_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="no labelled pictures: want .*labels/NAME_train.npz"):
        load_labels(tmp_path, FACE68)
    data = write_data(tmp_path / "data", stills=3)
    labels = data / "labels" / "stills_train.npz"
    np.savez(labels, name=np.array(["000.png"]), pts=np.zeros((1, 9, 2)))
    with pytest.raises(ValueError, match=r"pts of shape \(1, 9, 2\) are not of face68"):
        load_labels(data, FACE68)
    np.savez(labels, name=np.array(["none.png"]), pts=np.zeros((1, 68, 2)))
    with pytest.raises(ValueError, match="none.png is missing"):
        load_labels(data, FACE68)


def test_a_file_of_another_kind_is_left_to_others(tmp_path):
    assert open_baseline(tmp_path / "nothing.safetensors") is None
    (tmp_path / "torn").write_bytes(b"x")
    assert open_baseline(tmp_path / "torn") is None
