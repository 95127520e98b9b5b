"""People: poses in space as a camera sees them, puppets, clips and how they are framed, whole runs."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from people import poses, standing, tiny_config, write_clips, write_people
from torch import nn

from engines import load_model
from engines.skeleton import CAT_HEAD, HUMAN
from training import checkpoint, projection
from training.framing import frame
from training.images import Pictures
from training.learner import Learner
from training.perceptual import PerceptualLoss, Pixels
from training.poses import _views, load_prior
from training.puppets import Puppets
from training.run import Run
from training.stored import load_sets
from training.train import _open_puppets, train

CPU = torch.device("cpu")
JOINT = {name: index for index, name in enumerate(HUMAN.joints)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_people(tmp_path_factory.mktemp("people"))


def views(count: int = 400) -> np.ndarray:
    return projection.project(poses(count), HUMAN, np.random.default_rng(0))


def test_a_view_fills_its_box():
    low, high = views()[..., :2].min(axis=1), views()[..., :2].max(axis=1)
    assert (low + high) / 2 == pytest.approx(0, abs=1e-5)
    assert (high - low).max(axis=1) == pytest.approx(1, abs=1e-5)


def test_people_stand_upright_and_mostly_face_the_camera():
    seen = views()
    tall = seen[:, JOINT["l_ankle"], 1] - seen[:, JOINT["head_top"], 1]
    assert 0.6 < (tall > 0.75).mean() < 0.8  # the others lean, lie or kneel
    # Who faces the camera has the left shoulder on the right of the picture.
    facing = seen[:, JOINT["l_shoulder"], 0] > seen[:, JOINT["r_shoulder"], 0]
    assert 0.65 < facing.mean() < 0.95


def test_what_is_nearer_to_the_camera_has_more_depth_and_is_larger(monkeypatch):
    monkeypatch.setattr(projection, "_turns", lambda lying, rng: np.tile(np.eye(3), (len(lying), 1, 1)))
    monkeypatch.setattr(projection, "_pose", lambda poses, *_: (poses, np.zeros(len(poses), bool)))
    reaching = np.tile(standing(), (50, 1, 1))
    reaching[:, [JOINT["l_wrist"], JOINT["l_elbow"]], 2] += 0.6
    reaching[:, [JOINT["r_wrist"], JOINT["r_elbow"]], 2] -= 0.6
    seen = projection.project(reaching, HUMAN, np.random.default_rng(0))
    assert (seen[:, JOINT["l_wrist"], 2] > seen[:, JOINT["r_wrist"], 2] + 0.5).all()
    arms = [
        np.linalg.norm(seen[:, JOINT[f"{s}_elbow"], :2] - seen[:, JOINT[f"{s}_wrist"], :2], axis=1)
        for s in "lr"
    ]
    assert np.median(arms[0] / arms[1]) > 1.1


def test_the_camera_looks_down_a_little():
    turns = projection._turns(np.zeros(2000, bool), np.random.default_rng(0))
    heads = turns @ np.array([0.0, 1.0, 0.0])  # towards the camera is +Z
    assert np.degrees(np.arcsin(heads[:, 2])).mean() == pytest.approx(4.5, abs=0.5)


def test_poses_are_read_by_the_names_of_their_joints(monkeypatch):
    monkeypatch.setattr("training.poses._VIEWS", 50)
    order = np.random.default_rng(0).permutation(17)
    names = [HUMAN.joints[index] for index in order]
    read = [
        _views(Path("prior.npz"), people, joints, HUMAN, np.random.default_rng(1))
        for people, joints in ((poses(9), list(HUMAN.joints)), (poses(9)[:, order], names))
    ]
    assert np.array_equal(*read)


def test_bones_vary_alike_on_both_sides():
    varied = projection._vary(np.tile(standing(), (200, 1, 1)), HUMAN, np.random.default_rng(0))
    thigh = {
        s: np.linalg.norm(varied[:, JOINT[f"{s}_hip"]] - varied[:, JOINT[f"{s}_knee"]], axis=1) for s in "lr"
    }
    assert 0.02 < thigh["l"].std() / thigh["l"].mean() < 0.08
    assert np.corrcoef(thigh["l"], thigh["r"])[0, 1] > 0.6


def test_joints_that_labels_lack_lie_between_the_others():
    names = [name for name in HUMAN.joints if name not in ("pelvis", "neck", "spine", "head")]
    flat = standing()[None, :, :2]
    made = projection.complete(flat[:, [JOINT[name] for name in names]], names, HUMAN)[0]
    assert made[JOINT["pelvis"]] == pytest.approx([0, 0.93])
    assert made[JOINT["neck"]] == pytest.approx([0, 1.42])
    assert made[JOINT["spine"], 1] == pytest.approx(0.93 + 0.62 * 0.49)
    assert made[JOINT["l_knee"]] == pytest.approx([0.11, 0.5])
    below = list(HUMAN.joints[:8])
    with pytest.raises(ValueError, match="poses of human lack neck, head, head_top, l_shoulder"):
        projection.complete(flat[:, :8], below, HUMAN)


def test_a_prior_is_read_from_space_and_from_pictures(data):
    config = tiny_config()
    prior = load_prior(data / "prior", HUMAN, config)
    assert prior.views.shape[1:] == (17, 3)
    assert len(prior.poses) == 2 * len(prior.views)  # those of pictures were given a depth
    assert len(prior.views) % 1000 == 15  # 5 of the 20 do not stand
    drawn = prior.sample(200, np.random.default_rng(0))
    assert drawn.shape == (200, 17, 2)
    assert (drawn[:, JOINT["head_top"], 1] < drawn[:, JOINT["l_ankle"], 1]).float().mean() > 0.7


def test_views_are_drawn_as_often_as_their_source_says(data):
    config = tiny_config("prior_weights.penn2d=0.6", "prior_weights.mocap17=0.2")
    prior = load_prior(data / "prior", HUMAN, config)
    assert len(prior.view_weights) == len(prior.views)
    assert prior.view_weights.sum() == pytest.approx(1)
    assert prior.view_weights[-15:] == pytest.approx(0.05)  # the 15 of pictures come last
    drawn = _open_puppets(prior, HUMAN, config)
    assert np.array_equal(drawn._weights, prior.view_weights)


def test_a_source_that_nobody_weighs_gets_an_equal_share(data, tmp_path):
    shutil.copytree(data / "prior", tmp_path / "prior")
    arrays = dict(np.load(tmp_path / "prior" / "penn2d.npz"))
    np.savez(tmp_path / "prior" / "mine.npz", **arrays)
    prior = load_prior(
        tmp_path / "prior", HUMAN, tiny_config("prior_weights.penn2d=0.4", "prior_weights.mocap17=0.4")
    )
    # 15 and 15 of pictures come last, "mine" the first of them: a third beside 0.4 and 0.4.
    assert prior.view_weights[-30:-15].sum() == pytest.approx((1 / 3) / (0.8 + 1 / 3))
    config = dataclasses.replace(tiny_config(), prior_weights={})
    alike = load_prior(tmp_path / "prior", HUMAN, config)
    assert np.ptp(alike.view_weights) == pytest.approx(0)


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"poses": np.zeros((4, 9, 3)), "joints": np.array(CAT_HEAD.joints)}, "its poses are not of human"),
        ({"poses": np.zeros((4, 8, 3)), "joints": np.array(HUMAN.joints)}, "do not fit its 17 joints"),
        ({"joints": np.zeros((4, 2, 2)), "joint_names": np.array(["l_hip", "r_hip"])}, "poses of human lack"),
        ({"other": np.zeros(3)}, "no poses under"),
    ],
)
def test_poses_of_something_else_are_refused(tmp_path, arrays, complaint):
    np.savez(tmp_path / "poses.npz", **arrays)
    with pytest.raises(ValueError, match=complaint):
        load_prior(tmp_path, HUMAN, tiny_config())


def test_what_reads_a_puppet_says_where_its_points_go(data):
    moved = {}
    for weight in (0.0, 1.0):
        config = tiny_config(f"puppet_points={weight}", "warm_start_steps=1")
        prior = load_prior(data / "prior", HUMAN, config)
        made = Puppets(prior.views, HUMAN, config.crop_scale, 0)
        batch = Pictures(data / "train", config, puppets=made).batch(0)
        learner = Learner(config, HUMAN, torch.from_numpy(prior.mean), PerceptualLoss(Pixels(), 1), CPU)
        told = learner.warm_step(0, batch)
        assert 0 < told["puppet_points"] < 2
        moved[weight] = torch.cat([each.flatten() for each in learner.drawer.parameters()]).detach()
    assert not torch.equal(moved[0.0], moved[1.0])


def test_a_pose_of_a_picture_gets_the_depth_of_the_view_it_resembles():
    known = views(50)
    lifted = projection.lift(known[::7, :, :2] + np.float32(0.002), known)
    assert np.array_equal(lifted[..., 2], known[::7, :, 2])
    assert lifted[..., :2] == pytest.approx(known[::7, :, :2] + 0.002)


def test_two_in_five_do_not_stand_and_no_bone_changes():
    still = np.tile(standing(), (3000, 1, 1))
    posed, lying = projection._pose(still, HUMAN, np.random.default_rng(0))
    assert lying.mean() == pytest.approx(0.39, abs=0.03)
    assert np.array_equal(posed[~lying], still[~lying])
    for parent, child in HUMAN.edges:
        if child not in (JOINT["l_hip"], JOINT["r_hip"], JOINT["spine"]):
            lengths = np.linalg.norm(posed[:, child] - posed[:, parent], axis=1)
            assert lengths == pytest.approx(np.linalg.norm(still[0, child] - still[0, parent]), rel=1e-3)
    trunk = posed[lying, JOINT["neck"]] - posed[lying, JOINT["pelvis"]]
    assert (trunk[:, 1] < 0.3).mean() > 0.6  # most trunks are far from upright


@pytest.mark.parametrize(
    ("posture", "facts"),
    [
        ({"lean": (90, 90)}, {"head_top": (None, 0, 1), "l_ankle": (None, 0, -1)}),  # on the front
        ({"lean": (-90, -90)}, {"head_top": (None, 0, -1)}),  # on the back
        ({"fold": (90, 90)}, {"head_top": (None, 0, 1), "l_knee": (None, -1, 0)}),
        ({"knees": (90, 90)}, {"l_ankle": (None, -1, -1), "head_top": (None, 1, 0)}),  # feet behind
        ({"arms": (0, 0)}, {"l_wrist": (None, 1, 0)}),  # overhead
        ({"arms": (90, 90)}, {"r_wrist": (None, 0, 1)}),  # to the front
    ],
)
def test_a_posture_is_what_it_says(posture, facts):
    made = projection._as(
        projection._Posture(1.0, **posture), standing()[None], HUMAN, np.random.default_rng(0)
    )[0]
    origin = {"l_wrist": "l_shoulder", "r_wrist": "r_shoulder"}
    for joint, wanted in facts.items():
        here = made[JOINT[joint]] - made[JOINT[origin.get(joint, "pelvis")]]
        for value, sign in zip(here, wanted, strict=True):
            if sign is not None:
                assert (abs(value) < 0.15) if sign == 0 else (value * sign > 0.25), (joint, here)


def test_clips_of_people_are_read(tmp_path):
    write_clips(tmp_path / "yoga", 24, 3)
    trained, unseen = load_sets(tmp_path, False), load_sets(tmp_path, True)
    assert len(trained[0].images) + len(unseen[0].images) == 24 * 3
    assert all(len(clip) == 3 for clip in trained[0].clips)
    assert set(trained[0].still_camera.tolist()) == {True, False}
    assert trained[0].boxes[0] == pytest.approx([47.5, 47.5, 0.8 * 96])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "clips.json is damaged"),
        ("[]", "clips.json is damaged"),
        ('{"a": {"group": "upright"}}', "clips.json is damaged"),
        ('{"gone": {"boxes": [0, 0, 1]}}', "gone has no frames"),
        ("{}", "no pictures under"),
    ],
)
def test_damaged_clips_are_one_line(tmp_path, content, complaint):
    (tmp_path / "yoga").mkdir()
    (tmp_path / "yoga" / "clips.json").write_text(content)
    with pytest.raises(ValueError, match=complaint):
        for held_out in (True, False):  # the clip may be in either half
            load_sets(tmp_path, held_out)


def test_before_a_still_camera_the_other_frame_is_cut_alike(tmp_path):
    write_clips(tmp_path / "yoga", 24, 3)
    pictures = Pictures(tmp_path, tiny_config("masked=0", "batch=32"))
    wall = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    for number, image in enumerate(pictures.sets[0].images):
        image[:] = wall
        image[40:60, 30 + 8 * (number % 3) : 46 + 8 * (number % 3)] = 0
    hashes = np.random.default_rng(1).integers(0, 255, pictures.sets[0].hashes.shape, np.uint8)
    pictures.sets[0].hashes[:] = hashes  # no two frames are nearly the same
    for still in (True, False):
        pictures.sets[0].still_camera[:] = still
        batch = pictures.batch(0)
        same = (batch.image == batch.other).all(-1).float().mean((1, 2))
        assert (same.median() > 0.7) == still


class _Bright(nn.Module):
    """In place of Φ: what is bright. Its one weight says where it runs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, image):
        return image.mean(1, keepdim=True)


class _Extent(nn.Module):
    """In place of η: four points at the sides of what is bright."""

    def forward(self, drawn):
        size = drawn.shape[-1]
        found = []
        for image in drawn[:, 0] > 0:
            rows, columns = (torch.nonzero(image.any(axis)).flatten() for axis in (1, 0))
            x, y = (columns[[0, -1]], rows[[0, -1]])
            found.append(torch.stack([x, y], -1).float() * (2 / (size - 1)) - 1)
        return torch.stack(found)


def test_people_are_framed_by_what_the_network_sees(tmp_path):
    write_clips(tmp_path / "train" / "yoga", 24, 3)
    config = tiny_config("network.input_size=64")
    sets = load_sets(tmp_path / "train", False)
    for image in sets[0].images:
        image[:] = 0
        image[20:70, 50:75] = 255
    nets = (_Bright(), None, _Extent())
    frame(sets, tmp_path / "boxes.pt", nets, config)
    assert sets[0].boxes == pytest.approx(np.tile([62, 44.5, 50], (len(sets[0].boxes), 1)), abs=1.5)
    again = load_sets(tmp_path / "train", False)
    frame(again, tmp_path / "boxes.pt", nets, config)  # pictures of puppets now, but the boxes are kept
    assert np.array_equal(again[0].boxes, sets[0].boxes)
    with pytest.raises(ValueError, match=r"boxes\.pt is of other pictures"):
        frame(load_sets(tmp_path / "train", True), tmp_path / "boxes.pt", nets, config)


def test_a_box_stays_near_where_the_clip_was_cut(tmp_path):
    write_clips(tmp_path / "train" / "yoga", 24, 3)
    sets = load_sets(tmp_path / "train", False)
    for image in sets[0].images:
        image[:] = 0
        image[2:5, 2:5] = 255
    frame(sets, tmp_path / "boxes.pt", (_Bright(), None, _Extent()), tiny_config("network.input_size=64"))
    assert (sets[0].boxes[:, 2] >= 0.34 * 0.8 * 96).all()
    assert (np.abs(sets[0].boxes[:, :2] - 47.5) <= 0.41 * 0.8 * 96).all()


def test_a_run_of_people_learns_from_puppets_and_resumes(data, tmp_path, monkeypatch):
    monkeypatch.setattr("training.train.open_perceptual", lambda path: PerceptualLoss(Pixels(), taps=1))
    run, config = Run(data, tmp_path / "out", None, "kptrack train human-lite"), tiny_config()
    assert train(run, config, False, CPU, stop_at=2)
    boxes = checkpoint.load(tmp_path / "out" / "boxes.pt", config)["boxes"]
    assert train(run, config, True, CPU)
    again = checkpoint.load(tmp_path / "out" / "boxes.pt", config)["boxes"]
    assert all(torch.equal(a, b) for a, b in zip(boxes, again, strict=True))
    entries = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert all(0 < each["puppet"] < 2 for each in entries if "adversarial" in each)
    model = load_model(tmp_path / "out" / "model.safetensors")
    assert model.skeleton == HUMAN
    assert "puppets" in str(model.card["deviation"])
    whole = Run(data, tmp_path / "whole", None, "kptrack train human-lite")
    assert train(whole, config, False, CPU)
    straight = load_model(tmp_path / "whole" / "model.safetensors")
    for name, value in model.weights.items():
        assert torch.allclose(value.float(), straight.weights[name].float(), atol=1e-3), name
