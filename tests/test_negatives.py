"""Pictures without a subject: how they are cut, and that Φ learns to draw nothing of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from faces import tiny_config, write_data

from engines.model import load_model
from engines.network import LandmarkNet, as_input
from training import losses
from training.__main__ import main
from training.negatives import Negatives
from training.run import Run
from training.train import train

CPU = torch.device("cpu")


@pytest.fixture
def rooms(tmp_path):
    """A folder with six pictures, each of a grey level of its own, in two sub-folders."""
    for number, name in enumerate(("a/1.jpg", "a/2.JPG", "a/3.jpeg", "b/4.png", "b/5.png", "b/6.png")):
        path = tmp_path / "rooms" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((48, 64, 3), 40 * number + 20, np.uint8))
    (tmp_path / "rooms" / "a" / "notes.txt").write_text("no picture")
    return tmp_path / "rooms"


def test_a_batch_depends_on_its_number_alone(rooms):
    first, again = Negatives([rooms], 3), Negatives([rooms], 3)
    first.batch(1, 4, 32)
    crops = first.batch(5, 4, 32)
    assert crops.shape == (4, 32, 32, 3)
    assert crops.dtype == np.uint8
    assert np.array_equal(crops, again.batch(5, 4, 32))
    assert not np.array_equal(crops, first.batch(6, 4, 32))
    assert not np.array_equal(crops, Negatives([rooms], 4).batch(5, 4, 32))


def test_crops_are_of_all_pictures_of_all_folders(rooms, monkeypatch):
    monkeypatch.setattr("training.negatives._BACKDROPS", 0.0)
    monkeypatch.setattr("training.negatives.backdrops.lit", lambda image, rng: image)
    same = np.arange(256)[:, None].repeat(3, 1).astype(np.uint8)
    monkeypatch.setattr("training.negatives.random_colours", lambda rng: same)
    crops = Negatives([rooms / "a", rooms / "b"], 0).batch(0, 60, 32)
    levels = np.unique((crops.mean((1, 2, 3)) / 20).round())
    assert levels.tolist() == [1, 3, 5, 7, 9, 11]


def test_a_large_heap_is_thinned_evenly(rooms, monkeypatch):
    monkeypatch.setattr("training.negatives._MOST", 3)
    kept = [round(image.mean() / 20) for image in Negatives([rooms], 0)._images]
    assert kept == [1, 5, 9]


def drawn(path, crops: np.ndarray) -> float:
    """How far from blank a model's drawings of crops are."""
    network = load_model(path).network().eval()
    assert isinstance(network, LandmarkNet)
    with torch.no_grad():
        return float(network.drawer(as_input(torch.from_numpy(crops))).abs().mean())


def test_nothing_is_drawn_where_nobody_is(tmp_path, rooms, monkeypatch):
    data = write_data(tmp_path / "data")
    config = tiny_config("puppets=2", "warm_start_steps=12", "warm_start_lr=0.01", "negatives=8", "ema=0.0")
    crops = Negatives([rooms], 9).batch(0, 16, config.network.input_size)
    wanted, drawing = [], losses.drawing
    monkeypatch.setattr(losses, "drawing", lambda *both: (wanted.append(both[1]), drawing(*both))[1])
    amounts = []
    for name, folders in (("without", ()), ("with", (rooms,))):
        wanted.clear()
        run = Run(data, tmp_path / name, None, "", negatives=folders)
        assert train(run, config, False, CPU, stop_at=1)
        amounts.append(drawn(tmp_path / name / "model.safetensors", crops))
    assert amounts[1] < amounts[0] / 2
    assert len(wanted) == 13  # of the warm start, and the one beside pictures
    for each in wanted:
        blank = each.flatten(1).abs().amax(1) == 0
        assert blank.tolist() == [False] * 2 + [True] * 8


@pytest.mark.parametrize("setting", ["puppets=0", "negatives=0"])
def test_negatives_need_puppets_and_a_number(tmp_path, rooms, setting):
    data = write_data(tmp_path / "data")
    run = Run(data, tmp_path / "out", None, "", negatives=(rooms,))
    with pytest.raises(ValueError, match=r"--negatives are shown beside puppets: not with --set"):
        train(run, tiny_config("puppets=2", setting), False, CPU)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_pictures_is_refused_with_its_name(tmp_path, rooms):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"--negatives .*empty: no \*\.jpg"):
        Negatives([rooms, tmp_path / "empty"], 0)
    (rooms / "a" / "1.jpg").write_bytes(b"\xff\xd8 no more")
    with pytest.raises(ValueError, match=r"1\.jpg is missing or no picture"):
        Negatives([rooms], 0)


@pytest.mark.parametrize("what", [["finder"], ["imm-lite"], ["--distill", "face"]])
def test_only_the_presets_take_negatives(tmp_path, rooms, capsys, what):
    where = ["--data", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["train", *what, *where, "--negatives", str(rooms)]) == 2
    assert capsys.readouterr().err.startswith("kptrack: --negatives goes with one of human, ")
