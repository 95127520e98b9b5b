"""Whole runs, tiny ones: that they learn, can be stopped anywhere, and lose nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from faces import TINY, tiny_config, write_data
from torch import nn
from torch.utils._pytree import tree_flatten

from engines import load_model, open_engine
from engines.decoder import decoder_beside, load_decoder
from engines.engine import Engine
from engines.skeleton import FACE68
from training import checkpoint
from training.__main__ import main
from training.learner import Learner, learning_rate_factor
from training.origin import keep_to_origin
from training.perceptual import PerceptualLoss, Pixels
from training.pool import ImagePool
from training.regressor import autocast
from training.run import Run, TrainingStopped
from training.train import train

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _cheap_perceptual(monkeypatch):
    monkeypatch.setattr("training.train.open_perceptual", lambda path: PerceptualLoss(Pixels(), taps=1))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A run from its first step to its model file."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.train.open_perceptual", lambda path: PerceptualLoss(Pixels(), taps=1))
        assert train(Run(data, out, None, "kptrack train face-lite"), tiny_config(), False, CPU)
    return out


def weights_of(out: Path):
    return checkpoint.load(out / "checkpoint.pt", tiny_config())["learner"]


def test_a_run_ends_in_a_model_that_runs(whole):
    model = load_model(whole / "model.safetensors")
    assert model.skeleton.name == "face68"
    assert model.card["command"] == "kptrack train face-lite"
    assert "stills_train" in str(model.card["scores"])
    engine: Engine = open_engine(model, "eager", "fp32")
    points = engine(np.zeros((2, 32, 32, 3), np.uint8))
    assert points.xy.shape == (2, 68, 2)


def test_a_run_ends_in_a_decoder_of_that_model(whole):
    model = load_model(whole / "model.safetensors")
    decoder = load_decoder(decoder_beside(whole / "model.safetensors"))
    assert decoder.belongs_to(model)
    assert decoder.card == {key: value for key, value in model.card.items() if key != "scores"}
    averaged = weights_of(whole)["averaged"]
    for name, value in decoder.network().state_dict().items():
        assert torch.allclose(value, averaged[f"module.1.{name}"].half().to(value), atol=1e-6), name


def test_a_run_leaves_a_log_and_pictures_to_look_at(whole):
    entries = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    named = set().union(*entries)
    assert {"error_percent", "warm_start", "adversarial", "reconstruction", "score"} <= named
    assert [path.name for path in (whole / "grids").iterdir()] == ["000000.png"]


def test_every_net_learns(whole):
    config = tiny_config()
    skeleton = load_model(whole / "model.safetensors").skeleton
    fresh = Learner(config, skeleton, torch.zeros(68, 2), PerceptualLoss(Pixels(), 1), CPU)
    before, after = fresh.state_dict(), weights_of(whole)
    for net in ("drawer", "decoder", "regressor", "discriminator"):
        name = next(name for name in before[net] if name.endswith("weight"))
        assert not torch.equal(before[net][name], after[net][name]), net


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(data, whole, tmp_path):
    run = Run(data, tmp_path, None, "kptrack train face-lite")
    assert train(run, tiny_config(), False, CPU, stop_at=3)
    assert load_model(tmp_path / "model.safetensors").card["step"] == 3
    assert train(run, tiny_config(), True, CPU)
    straight, resumed = weights_of(whole), weights_of(tmp_path)
    for net in ("drawer", "discriminator", "averaged"):
        for name, value in straight[net].items():
            assert torch.allclose(value.float(), resumed[net][name].float(), atol=1e-5), (net, name)
    assert torch.allclose(straight["pool"]["images"], resumed["pool"]["images"], atol=1e-4)


def test_all_that_a_learner_knows_is_taken_over():
    config = tiny_config()
    one, other = (
        Learner(config, FACE68, torch.zeros(68, 2), PerceptualLoss(Pixels(), 1), CPU) for _ in range(2)
    )
    for optimiser in (*one.optimisers.values(), one.warm_start):
        for parameter in (each for group in optimiser.param_groups for each in group["params"]):
            parameter.grad = torch.ones_like(parameter)
        optimiser.step()
    one.mean_shape.mean = torch.rand(68, 2)
    one.perceptual.running += 3
    one.pool.swap(torch.rand(2, 1, 32, 32), torch.Generator())
    other.load_state_dict(one.state_dict())
    leaves, there = (tree_flatten(each.state_dict()) for each in (one, other))
    assert there[1] == leaves[1]
    for mine, its in zip(leaves[0], there[0], strict=True):
        assert torch.equal(mine, its) if isinstance(mine, torch.Tensor) else mine == its
    assert torch.equal(other.mean_shape.mean, one.mean_shape.mean)
    assert torch.equal(other.perceptual.running, one.perceptual.running)
    assert other.pool.state_dict()["filled"] == 2
    assert other.warm_start.state_dict()["state"]


def test_a_finished_run_can_be_resumed_without_harm(data, whole):
    assert train(Run(data, whole, None, "kptrack train face-lite"), tiny_config(), True, CPU)
    assert checkpoint.load(whole / "checkpoint.pt", tiny_config())["step"] == 6


def test_a_run_can_begin_with_a_model_and_its_decoder(data, whole, tmp_path):
    start = whole / "model.safetensors"
    run = Run(data, tmp_path, None, "kptrack train face-lite --start model.safetensors", str(start))
    assert train(run, tiny_config("lr=1e-9"), False, CPU, stop_at=1)
    assert not (tmp_path / "regressor.pt").exists()  # η has learned to read already
    assert "warm_start" not in (tmp_path / "log.jsonl").read_text()  # and Φ where eyes are
    before, after = load_model(start), load_model(tmp_path / "model.safetensors")
    assert after.card["start"] == {"name": "model", "digest": before.digest, "step": 6}
    pairs = [(before.weights, after.weights)]
    pairs += [
        tuple(load_decoder(decoder_beside(path / "model.safetensors")).weights for path in (whole, tmp_path))
    ]
    for old, new in pairs:
        for name, value in old.items():
            if name.endswith(("weight", "bias")):
                assert torch.allclose(value.float(), new[name].float(), atol=1e-4), name


def test_a_run_goes_on_with_what_it_began_with_only(data, whole, tmp_path, monkeypatch):
    config = tiny_config("puppets=2", "warm_start_steps=1")
    assert train(Run(data, tmp_path / "run", None, ""), config, False, CPU, stop_at=1)
    start = str(whole / "model.safetensors")
    others = {
        "--start": Run(data, tmp_path / "run", None, "", start),
        "--negatives": Run(data, tmp_path / "run", None, "", negatives=(data / "train",)),
    }
    for name, run in others.items():
        with pytest.raises(ValueError, match=f"began with another {name}: give the same"):
            train(run, config, True, CPU)
    monkeypatch.setattr(
        "training.train.open_perceptual", lambda path: PerceptualLoss(nn.Conv2d(3, 3, 1), taps=1)
    )
    with pytest.raises(ValueError, match="began with another --perceptual"):
        train(Run(data, tmp_path / "run", None, ""), config, True, CPU)
    (tmp_path / "run" / "origin.json").write_text("{}")
    with pytest.raises(ValueError, match=r"origin\.json is damaged"):
        train(Run(data, tmp_path / "run", None, ""), config, True, CPU)


def test_data_are_the_same_from_where_they_lie(data, tmp_path, monkeypatch):
    network = nn.Conv2d(1, 1, 1)
    keep_to_origin(Run(data, tmp_path, None, ""), network, None, 7)
    monkeypatch.chdir(data)
    keep_to_origin(Run(Path("."), tmp_path, None, ""), network, None, 7)
    with pytest.raises(ValueError, match="began with another --data"):
        keep_to_origin(Run(Path("train"), tmp_path, None, ""), network, None, 7)


def test_a_run_that_begins_with_a_model_sees_with_it_at_once(data, whole):
    config = tiny_config()
    path = whole / "model.safetensors"
    model = load_model(path)
    learner = Learner(config, FACE68, torch.zeros(68, 2), PerceptualLoss(Pixels(), taps=1), CPU)
    learner.begin_with(model, load_decoder(decoder_beside(path)))
    for average, net in zip(learner.averaged_nets, learner.averaged_sources, strict=True):
        for name, value in net.state_dict().items():
            assert torch.equal(average.state_dict()[name], value), name


def test_a_share_of_what_a_run_began_with_is_exported(data, whole, tmp_path):
    start = whole / "model.safetensors"
    found = []
    for share in ("0", "0.25"):
        out = tmp_path / share
        run = Run(data, out, None, "", str(start))
        assert train(run, tiny_config("lr=1e-2", f"start_share={share}"), False, CPU, stop_at=2)
        found.append((load_model(out / "model.safetensors"), load_decoder(decoder_beside(out / "model"))))
    before = (load_model(start), load_decoder(decoder_beside(start)))
    moved = 0.0
    for old, alone, mixed in zip(before, *found, strict=True):
        for name, value in old.weights.items():
            if name.endswith(("weight", "bias")):
                wanted = 0.75 * alone.weights[name].float() + 0.25 * value.float()
                assert torch.allclose(mixed.weights[name].float(), wanted, atol=2e-3), name
                moved = max(moved, float((alone.weights[name].float() - value.float()).abs().max()))
    assert moved > 0.01
    assert found[1][1].belongs_to(found[1][0])
    with pytest.raises(ValueError, match="name it with --start"):
        train(Run(data, tmp_path / "none", None, ""), tiny_config("start_share=0.5"), False, CPU)


def test_a_run_does_not_begin_with_a_model_of_another_kind(data, whole, tmp_path):
    run = Run(data, tmp_path / "out", None, "", "cat")
    with pytest.raises(ValueError, match="--start cat is a model of cat_head with .* choose its preset"):
        train(run, tiny_config(), False, CPU)
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((whole / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match="model alone has no decoder"):
        train(Run(data, tmp_path / "out", None, "", str(alone)), tiny_config(), False, CPU)
    assert not (tmp_path / "out").exists()


def test_a_run_is_not_overwritten_unasked(data, whole):
    with pytest.raises(ValueError, match="--resume goes on with it"):
        train(Run(data, whole, None, ""), tiny_config(), False, CPU)


def test_a_checkpoint_of_other_settings_is_refused_with_the_difference(data, whole):
    with pytest.raises(ValueError, match=r"lr 0\.0003 there, 0\.001 here"):
        train(Run(data, whole, None, ""), tiny_config("lr=1e-3"), True, CPU)


def test_a_truncated_checkpoint_is_refused_in_one_line(data, whole, tmp_path):
    for name in ("regressor.pt", "checkpoint.pt"):
        (tmp_path / name).write_bytes((whole / name).read_bytes()[:-2000])
        with pytest.raises(ValueError, match=f"{name} is damaged"):
            train(Run(data, tmp_path, None, ""), tiny_config(), True, CPU)
        (tmp_path / name).write_bytes((whole / name).read_bytes())


def test_a_full_disk_costs_nothing_that_was_saved(whole, tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, tiny_config(), {"step": 1})

    def full(contents, file):
        file.write(b"some")
        raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"could not be written .*; the one before it is kept"):
        checkpoint.save(path, tiny_config(), {"step": 2})
    assert checkpoint.load(path, tiny_config())["step"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_loss_that_is_not_finite_stops_the_run_and_is_named(data, tmp_path, monkeypatch):
    original = Learner.step

    def broken(self, number, batch, poses):
        losses = original(self, number, batch, poses)
        return {**losses, "mean_shape": torch.tensor(float("nan"))} if number == 4 else losses

    monkeypatch.setattr(Learner, "step", broken)
    run = Run(data, tmp_path, None, "")
    train(run, tiny_config(), False, CPU, stop_at=2)
    with pytest.raises(TrainingStopped, match="loss mean_shape is not finite"):
        train(run, tiny_config(), True, CPU)
    assert checkpoint.load(tmp_path / "checkpoint.pt", tiny_config())["step"] == 2


def test_ctrl_c_saves_and_ends_with_130(data, tmp_path):
    settings = [part for each in [*TINY, "regressor_steps=100000"] for part in ("--set", each)]
    arguments = ["train", "face-lite", "--data", str(data), "--out", str(tmp_path), *settings]
    program = (
        "import sys, torch\n"
        "from training import __main__, train\n"
        "from training.perceptual import PerceptualLoss, Pixels\n"
        "train.open_perceptual = lambda path: PerceptualLoss(torch.nn.Identity())\n"
        f"sys.exit(__main__.main({arguments!r}))"
    )
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "regressor_step" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "--resume goes on from there" in rest
    config = tiny_config("regressor_steps=100000")
    assert checkpoint.load(tmp_path / "regressor.pt", config)["step"] >= 250


def test_mistakes_on_the_command_line_are_one_line_and_2(data, tmp_path, capsys):
    line = ["train", "face-lite", "--data", str(data), "--out", str(tmp_path / "run")]
    for wrong, complaint in {
        ("--set", "speed=9"): "no setting 'speed'",
        ("--device", "tpu"): "is not auto, cpu or cuda:N",
    }.items():
        assert main([*line, *wrong]) == 2
        assert complaint in capsys.readouterr().err
    assert main([*line[:3], str(tmp_path / "nothing"), *line[4:]]) == 2
    assert "no poses under" in capsys.readouterr().err


def test_the_pool_gives_back_older_fakes_half_the_time():
    pool, generator = ImagePool(8, (1, 4, 4), CPU), torch.Generator().manual_seed(0)
    first = torch.zeros(8, 1, 4, 4)
    assert torch.equal(pool.swap(first, generator), first)
    later = torch.ones(200, 1, 4, 4)
    returned = pool.swap(later, generator).mean((1, 2, 3))
    assert (returned == 0).sum() == 8  # every old one came out once, in its time
    assert torch.equal(later, torch.ones_like(later))
    numbered = torch.arange(2.0, 402).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    exchanged = (pool.swap(numbered, generator) != numbered).flatten(1).any(1)
    assert exchanged.float().mean() == pytest.approx(0.5, abs=0.1)


def test_the_learning_rate_falls_at_the_end_only():
    config = tiny_config("steps=100")
    factors = [learning_rate_factor(step, config) for step in (1, 60, 80, 100)]
    assert factors == pytest.approx([1, 1, 0.51, 0.02], abs=0.01)
    # And of the warm start, whose steps lead up to 0, by itself.
    config = tiny_config("warm_start_steps=50")
    factors = [learning_rate_factor(step, config) for step in (-49, -20, -10, 0)]
    assert factors == pytest.approx([1, 1, 0.51, 0.02], abs=0.01)


@pytest.mark.parametrize("has", [True, False])
def test_half_the_bits_only_where_the_processor_has_them(monkeypatch, has):
    monkeypatch.setattr("training.regressor.has_bf16", lambda: has)
    with autocast(CPU):
        made = torch.nn.functional.conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3))
    assert made.dtype == (torch.bfloat16 if has else torch.float32)
