"""The studies: each changes what it says, leaves the rest alone, and is written on the card."""

from __future__ import annotations

import numpy as np
import people
import pytest
import torch
from faces import TINY, pose, tiny_config, write_data

from engines import load_model
from engines.decoder import decoder_beside, load_decoder
from engines.network import SkeletonDrawer
from engines.skeleton import FACE68, HUMAN
from training.__main__ import main
from training.ablations import (
    ABLATIONS,
    IMAGE_DISCRIMINATOR,
    NO_BOTTLENECK,
    PIXEL_LOSS,
    SECOND_CYCLE,
    ablate,
    departures,
)
from training.config import PRESETS
from training.images import Pictures
from training.learner import Learner
from training.networks import ImageDiscriminator
from training.painting import ImageJudge, SecondCycle
from training.perceptual import PerceptualLoss, Pixels
from training.poses import load_prior
from training.processes import ALONE
from training.run import Run
from training.selection import label_free_score
from training.train import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def given(data):
    """A batch and poses for it, and the prior's mean."""
    prior = load_prior(data / "prior", FACE68, tiny_config())
    batch = Pictures(data / "train", tiny_config("masked=0")).batch(0)
    return batch, prior.sample(4, np.random.default_rng(0)), torch.from_numpy(prior.mean)


def learner_of(name: str, mean: torch.Tensor) -> Learner:
    config = ablate(tiny_config(), name) if name else tiny_config()
    return Learner(config, FACE68, mean, PerceptualLoss(Pixels(), taps=1), CPU)


@pytest.fixture(scope="module")
def plain(given):
    """The losses of the first step of a run without a study."""
    batch, poses, mean = given
    return learner_of("", mean).step(1, batch, poses)


@pytest.mark.parametrize("name", ABLATIONS)
def test_a_study_changes_nothing_else(name, given, plain):
    batch, poses, mean = given
    learner = learner_of(name, mean)
    losses = learner.step(1, batch, poses)
    assert all(torch.isfinite(each) for each in losses.values())
    # The same nets have seen the same pictures, augmented at random in the same way.
    for same in ("adversarial", "equivariance", "mean_shape", "discrimination"):
        assert torch.equal(losses[same], plain[same]), same
    extra = {SECOND_CYCLE: {"painting"}, IMAGE_DISCRIMINATOR: {"painting", "image_discrimination"}}
    assert losses.keys() - plain.keys() == extra.get(name, set())


def test_a_run_says_what_it_departs_from():
    for preset in PRESETS.values():
        assert departures(preset) == ""
    studied = ablate(tiny_config("prior_size=7", "prior_weights.ibug=0"), SECOND_CYCLE)
    assert departures(studied) == f"{ABLATIONS[SECOND_CYCLE]}; a prior of 7 poses; no poses of ibug"
    assert ablate(tiny_config(), IMAGE_DISCRIMINATOR).masked == 0


@pytest.mark.parametrize("name", ["", NO_BOTTLENECK])
def test_only_without_the_bottleneck_does_the_decoder_see_what_is_drawn(name, given):
    batch, poses, mean = given
    learner = learner_of(name, mean)
    seen, drawn = [], []
    learner.decoder.register_forward_pre_hook(lambda net, inputs: seen.append(inputs[0].detach().float()))
    learner.drawer.register_forward_hook(lambda net, inputs, output: drawn.append(output.detach().float()))
    learner.step(1, batch, poses)
    assert torch.equal(seen[0], drawn[0][: len(poses)]) == (name == NO_BOTTLENECK)
    seen.clear()
    drawn.clear()
    learner.drawer.eval()
    nets = (learner.drawer, learner.decoder.eval(), learner.regressor)
    label_free_score(nets, learner.perceptual, FACE68, batch, bottleneck=not name)
    assert torch.equal(seen[0], drawn[0]) == (name == NO_BOTTLENECK)


def test_the_second_cycle_asks_for_the_pose_that_was_painted():
    real, appearance = torch.rand(2, 1, 32, 32), torch.rand(2, 3, 32, 32)
    drawer = SkeletonDrawer(4)
    kept = drawer.encoder.levels[0][0][1].running_mean.clone()
    loss = SecondCycle().loss(drawer, lambda drawn, looks: looks + drawn, real, appearance)
    drawer.eval()
    assert loss.item() == pytest.approx(
        10 * (drawer(appearance + real) - real).square().mean().item(), rel=1e-4
    )
    assert torch.equal(drawer.encoder.levels[0][0][1].running_mean, kept)


def test_the_image_discriminator_learns_what_is_painted():
    torch.manual_seed(0)
    judge = ImageJudge(8, 2e-3, (0.5, 0.999), CPU)
    pictures, beside = torch.rand(8, 3, 32, 32), torch.rand(8, 3, 32, 32)
    paint = lambda drawn, looks: -looks.requires_grad_()  # noqa: E731
    losses = []
    for _ in range(30):
        judge.loss(None, paint, pictures[:, :1], beside)
        losses.append(judge.learn(pictures, beside.detach(), 2e-3, ALONE)["image_discrimination"].item())
    assert losses[-1] < losses[0] / 2
    judge.loss(None, paint, pictures[:, :1], beside).backward()
    assert beside.grad is not None  # Ψ is told
    assert ImageDiscriminator(4)(torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128)).shape[-1] == 14


def test_a_checkpoint_holds_the_image_discriminator(given):
    batch, poses, mean = given
    learner, other = (learner_of(IMAGE_DISCRIMINATOR, mean) for _ in range(2))
    learner.step(1, batch, poses)
    other.load_state_dict(learner.state_dict())
    first, second = (each.step(2, batch, poses) for each in (learner, other))
    for name, value in first.items():
        assert value.item() == pytest.approx(second[name].item(), rel=1e-4), name


def test_a_studied_run_says_so_on_its_cards(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("training.train._JUDGED", 4)
    tiny = [*TINY, "regressor_steps=1", "warm_start_steps=1", "steps=1", "prior_size=3"]
    line = ["train", "face-lite", "--data", str(data), "--out", str(tmp_path / "run")]
    line += [part for each in tiny for part in ("--set", each)]
    assert main([*line, "--ablate", PIXEL_LOSS, "--perceptual", "squeeze.npz"]) == 2
    assert "--perceptual does not go with pixel-loss" in capsys.readouterr().err
    assert main([*line, "--ablate", PIXEL_LOSS]) == 0
    told = f"{ABLATIONS[PIXEL_LOSS]}; a prior of 3 poses"
    model = tmp_path / "run" / "model.safetensors"
    assert load_model(model).card["ablation"] == told
    assert load_decoder(decoder_beside(model)).card["ablation"] == told
    assert "--ablate pixel-loss" in str(load_model(model).card["command"])
    capsys.readouterr()
    assert main([*line, "--resume"]) == 2
    assert "has other settings: ablation pixel-loss there, nothing here" in capsys.readouterr().err


def test_a_study_is_of_a_preset(tmp_path, capsys):
    line = ["--data", str(tmp_path), "--out", str(tmp_path / "run"), "--ablate", PIXEL_LOSS]
    assert main(["train", "finder", *line]) == 2
    assert "--ablate goes with one of human, " in capsys.readouterr().err
    assert main(["train", "--distill", "face", *line]) == 2
    assert main(["train", "face", *line[:-1], "colours"]) == 2
    assert "invalid choice: 'colours'" in capsys.readouterr().err


@pytest.fixture
def weighed(tmp_path):
    """A prior of two sources, 20 poses each."""
    rng = np.random.default_rng(0)
    poses = np.stack([pose(rng) for _ in range(40)])
    np.savez(tmp_path / "poses.npz", pts=poses, subset=np.repeat(["ibug", "lfpw_test"], 20))
    return tmp_path


def test_the_few_poses_of_a_prior_are_among_the_many(weighed):
    few, more, others = (
        {each.tobytes() for each in load_prior(weighed, FACE68, tiny_config(*settings)).poses}
        for settings in (["prior_size=3"], ["prior_size=10"], ["prior_size=3", "seed=1"])
    )
    assert (len(few), len(more)) == (6, 20)  # each with its mirror image
    assert few < more
    assert few != others


def test_a_source_can_be_left_out(weighed):
    every = load_prior(weighed, FACE68, tiny_config()).poses
    left = load_prior(weighed, FACE68, tiny_config("prior_weights.ibug=0", "prior_size=20"))
    wanted = {each.tobytes() for each in every[20:40]}
    assert {each.tobytes() for each in left.poses[:20]} == wanted
    sampled = load_prior(weighed, FACE68, tiny_config("prior_weights.ibug=0"))
    assert np.isfinite(sampled.mean).all()
    assert sampled.weights[:20].max() == 0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (["prior_size=41"], "prior_size 41: want 1 to 40"),
        (["prior_size=21", "prior_weights.ibug=0"], "prior_size 21: want 1 to 20"),
        (["prior_size=-1"], "prior_size -1: want 1 to 40"),
        (["prior_weights.ibug=0", "prior_weights.lfpw_test=0"], "prior_weights of ibug, lfpw_test are 0"),
    ],
)
def test_a_prior_that_there_is_not_is_one_clear_line(weighed, settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        load_prior(weighed, FACE68, tiny_config(*settings))


def test_people_need_poses_in_space_for_their_puppets(tmp_path):
    (tmp_path / "prior").mkdir()
    joints = np.array(HUMAN.joints)
    np.savez(tmp_path / "prior" / "mocap17.npz", poses=people.poses(30), joints=joints)
    np.savez(tmp_path / "prior" / "penn2d.npz", poses=people.poses(20, 1)[..., :2], joints=joints)
    load = lambda *settings: load_prior(tmp_path / "prior", HUMAN, people.tiny_config(*settings))  # noqa: E731
    assert len(load("prior_weights.penn2d=0").views)
    assert len(load("prior_weights.mocap17=0", "prior_size=5").poses) == 10
    with pytest.raises(ValueError, match="prior_weights of mocap17, penn2d are 0"):
        load("prior_weights.mocap17=0", "prior_weights.penn2d=0")
    with pytest.raises(ValueError, match="prior_size counts poses in pictures"):
        load("prior_size=5")
    config = people.tiny_config("prior_weights.mocap17=0")
    with pytest.raises(ValueError, match="puppets take poses in space, and the prior has none"):
        train(Run(tmp_path, tmp_path / "run", None, ""), config, False, CPU)
