"""Puppets: people, faces and cats drawn where their poses say, and what is behind, before and on them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from faces import pose as face_pose
from faces import tiny_config, write_data
from people import poses as people_poses

from engines.render import render
from engines.skeleton import CAT_HEAD, FACE68, HUMAN, HUMAN36M_32, Skeleton
from training.projection import in_own_box, project
from training.puppets import Puppets, backdrops, puppets
from training.puppets.brush import Brush, blurred
from training.run import Run
from training.train import train

CAT = np.array(
    [
        [-0.5, 0],
        [0.5, 0],
        [0, 0.9],
        [-1.2, -0.5],
        [-1.3, -1.6],
        [-0.5, -1],
        [0.5, -1],
        [1.3, -1.6],
        [1.2, -0.5],
    ]
)


def made(skeleton: Skeleton, seed: int = 0, **weights: np.ndarray) -> Puppets:
    rng = np.random.default_rng(0)
    if skeleton is HUMAN:
        return Puppets(project(people_poses(400), HUMAN, rng), HUMAN, 1.25, seed)
    if skeleton is FACE68:
        return Puppets(np.stack([face_pose(rng) for _ in range(40)]), FACE68, 1.5, seed)
    cats = CAT + rng.normal(0, 0.05, (40, *CAT.shape))
    return Puppets(in_own_box(cats), CAT_HEAD, 1.4, seed, **weights)


@pytest.fixture
def undisturbed(monkeypatch):
    """Puppets on white, without light, company, things before them, and other colours."""
    monkeypatch.setattr(puppets, "_ACCOMPANIED", 0.0)
    monkeypatch.setattr(
        backdrops, "background", lambda size, scenes, rng: np.full((size, size, 3), 255, np.uint8)
    )
    monkeypatch.setattr(backdrops, "lit", lambda canvas, rng: canvas)
    monkeypatch.setattr(
        backdrops,
        "together",
        lambda canvas, figure, mask, rng: np.where(mask[..., None] > 0, figure, canvas),
    )
    same = np.arange(256)[:, None].repeat(3, 1).astype(np.uint8)
    monkeypatch.setattr(puppets, "random_colours", lambda rng: same)


def test_people_are_where_their_poses_say(undisturbed):
    images, placed = made(HUMAN).batch(0, 24, 64, [])
    edges = torch.tensor(HUMAN.layers)
    lines = render(torch.from_numpy(placed), edges, 64).amax(1).numpy() > 0.6
    shown = (images.astype(int) < 200).any(axis=-1)
    near = render(torch.from_numpy(placed), edges, 64, sharpness=6.0).amax(1).numpy() > -0.9
    assert np.mean([each[line].mean() for each, line in zip(shown, lines, strict=True)]) > 0.85
    assert np.mean([each[~zone].mean() for each, zone in zip(shown, near, strict=True)]) < 0.02


def test_company_is_behind_a_person_and_faces_have_none(undisturbed, monkeypatch):
    monkeypatch.setattr(puppets, "_ACCOMPANIED", 1.0)
    images, placed = made(HUMAN).batch(0, 24, 64, [])
    edges = torch.tensor(HUMAN.layers)
    near = render(torch.from_numpy(placed), edges, 64, sharpness=6.0).amax(1).numpy() > -0.9
    shown = (images.astype(int) < 200).any(axis=-1)
    beside = np.array([each[~zone].mean() for each, zone in zip(shown, near, strict=True)])
    assert (beside > 0.02).mean() > 0.6  # the rest are out of the crop, or hidden
    lines = render(torch.from_numpy(placed), edges, 64).amax(1).numpy() > 0.6
    assert np.mean([each[line].mean() for each, line in zip(shown, lines, strict=True)]) > 0.85
    faces, _ = made(FACE68).batch(0, 8, 64, [])
    monkeypatch.setattr(puppets, "_ACCOMPANIED", 0.0)
    assert np.array_equal(made(FACE68).batch(0, 8, 64, [])[0], faces)


def levels(images: np.ndarray, placed: np.ndarray, joints: list[int]) -> np.ndarray:
    """How bright ``images`` are at the middle of ``joints``, as a share of their mean."""
    size = images.shape[1]
    middle = ((placed[:, joints].mean(1) + 1) * (size - 1) / 2).round().astype(int).clip(0, size - 1)
    grey = images.mean(axis=-1)
    here = np.array([each[y, x] for each, (x, y) in zip(grey, middle, strict=True)])
    return here / grey.mean(axis=(1, 2))


def test_a_mouth_is_open_in_the_picture_as_it_is_in_the_pose(undisturbed, monkeypatch):
    monkeypatch.setattr(puppets, "_SKINS", np.array([(230.0, 200.0, 180.0)]))
    rng = np.random.default_rng(0)
    shut = np.stack([face_pose(rng) for _ in range(40)])
    # Shut: both inner lips on the line between the corners.
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        shut[:, [upper, lower], 1] = shut[:, [60, 64], 1].mean(1, keepdims=True)
    wide = shut.copy()
    wide[:, 65:68, 1] += 0.16
    wide[:, 55:60, 1] += 0.16
    bright = [levels(*Puppets(each, FACE68, 1.5, 0).batch(0, 40, 64, []), [62, 66]) for each in (shut, wide)]
    assert np.median(bright[1]) < np.median(bright[0]) - 0.05


def test_eyes_and_ears_of_a_cat_are_where_its_pose_says(undisturbed):
    images, placed = made(CAT_HEAD).batch(0, 40, 64, [])
    pixels = ((placed + 1) * 31.5).round().astype(int)
    shown = (images.astype(int) < 215).any(axis=-1)
    inside = ((pixels >= 1) & (pixels < 63)).all(-1)
    middles = {"left ear": [3, 4, 5], "right ear": [6, 7, 8], "face": [0, 1, 2]}
    for joints in middles.values():
        x, y = pixels[:, joints].mean(1).round().astype(int).T
        seen = inside[:, joints].all(1)
        assert shown[np.arange(40)[seen], y[seen], x[seen]].mean() > 0.8
    # Between the ears, above their inner bases, is what is behind the cat.
    x, y = ((pixels[:, 4] + pixels[:, 7]) / 2).round().astype(int).T
    seen = inside[:, [4, 7]].all(1) & (y > 0)
    assert shown[np.arange(40)[seen], y[seen], x[seen]].mean() < 0.2


@pytest.mark.parametrize("skeleton", [HUMAN, FACE68, CAT_HEAD], ids=lambda each: each.name)
def test_a_batch_depends_on_its_number_alone(skeleton):
    first, again = made(skeleton, 3), made(skeleton, 3)
    scenes = [np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)]
    first.batch(1, 2, 32, scenes)
    images, placed = first.batch(5, 4, 32, scenes)
    assert images.shape == (4, 32, 32, 3)
    assert images.dtype == np.uint8
    assert placed.shape == (4, len(skeleton.joints), 2)
    assert np.array_equal(images, again.batch(5, 4, 32, scenes)[0])
    assert not np.array_equal(images, first.batch(6, 4, 32, scenes)[0])
    assert not np.array_equal(images, made(skeleton, 4).batch(5, 4, 32, scenes)[0])


@pytest.mark.parametrize("sigma", [0.5, 3.9, 4.0, 9.0, 16.0])
def test_a_wide_blur_is_a_blur(sigma):
    area = np.zeros((96, 128), np.uint8)
    cv2.circle(area, (40, 60), 22, 255, -1)
    cv2.line(area, (90, 10), (120, 80), 255, 3)
    exact = cv2.GaussianBlur(area, (0, 0), sigma).astype(int)
    off = np.abs(blurred(area, sigma).astype(int) - exact)
    assert off.max() <= 20
    assert off.mean() < 1.5


def test_poses_are_drawn_as_often_as_they_weigh():
    weights = np.zeros(40)
    weights[7] = 1
    _, placed = made(CAT_HEAD, weights=weights).batch(0, 6, 32, [])
    shape = placed - placed.mean(1, keepdims=True)
    length = np.linalg.norm(shape, axis=(1, 2))
    angle = np.arctan2(*(placed[:, 1] - placed[:, 0]).T[::-1])
    turn = np.stack([np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)], -1).reshape(-1, 2, 2)
    upright = (shape / length[:, None, None]) @ turn.transpose(0, 2, 1)
    assert np.ptp(upright, axis=0).max() < 1e-3


def test_of_other_skeletons_there_are_none():
    with pytest.raises(ValueError, match="no puppets of human36m_32"):
        Puppets(np.zeros((1, 32, 2)), HUMAN36M_32, 1.25, 0)


def test_a_pose_far_outside_or_in_one_point_is_drawn_all_the_same():
    for poses in (np.full((1, 68, 2), 1e5), np.zeros((1, 68, 2))):
        images, _ = Puppets(poses, FACE68, 1.5, 0).batch(0, 2, 32, [])
        assert images.shape == (2, 32, 32, 3)


def test_a_brush_leans_with_the_head():
    brush = Brush(64, 10.0, np.array([0.0, 2.0]))  # what is right of it points down
    assert brush.place(np.array([30.0, 30.0]), 1, 0) == pytest.approx([30, 40])
    assert brush.place(np.array([30.0, 30.0]), 0, 1) == pytest.approx([40, 30])
    there = np.array([[7.0, 50.0], [40.0, 3.0]])
    back = [
        brush.place(np.array([30.0, 30.0]), *each) for each in brush.seen_from(np.array([30.0, 30.0]), there)
    ]
    assert np.array(back) == pytest.approx(there)


def test_what_is_laid_on_a_head_does_not_make_it_larger():
    brush = Brush(32, 10.0, np.array([1.0, 0.0]))
    square = np.array([[8.0, 8], [16, 8], [16, 16], [8, 16]])
    brush.fill(square, np.full(3, 100.0))
    brush.fill(square + 10, np.full(3, 200.0), own=False)
    picture, mask = brush.picture()
    assert (picture[10, 10] == 100).all()
    assert (picture[22, 22] == 200).all()
    assert mask[10, 10] == 255
    assert mask[22, 22] == 0
    brush.fill(square, np.full(3, 200.0), alpha=0.5)
    assert brush.tone(np.array([12.0, 12.0])) == pytest.approx(150)


def test_a_run_of_faces_learns_from_puppets(tmp_path):
    data = write_data(tmp_path / "data")
    config = tiny_config("puppets=2", "warm_start_steps=2", "steps=1")
    assert train(Run(data, tmp_path / "run", None, "kptrack train face"), config, False, torch.device("cpu"))
    log = (tmp_path / "run" / "log.jsonl").read_text()
    assert "puppet_points" in log
    assert not (tmp_path / "run" / "boxes.pt").exists()  # faces have boxes already


def test_a_puppet_stands_before_its_backdrop_and_throws_shadows_on_it_alone():
    canvas, figure = np.full((64, 64, 3), 200, np.uint8), np.full((64, 64, 3), 90, np.uint8)
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 24:40] = 255
    shadows = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        whole = backdrops.together(canvas, figure, mask, rng)
        before = (whole[mask > 0] != 90).any(axis=-1)  # something in front of the figure
        assert before.mean() < 0.8
        around = whole[mask == 0]
        assert before.any() or (around <= 200).all()
        shadows += (around.min() < 180) and not before.any()
    assert 25 < shadows < 50  # two chances of 40 % each


def test_prints_change_a_figure_around_its_own_colour():
    scene = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    plain = np.full((64, 64, 3), 120, np.uint8)
    printed = backdrops.patterned(plain, scene, np.random.default_rng(1))
    assert printed.std() > 5
    assert printed.mean(axis=(0, 1)) == pytest.approx(120, abs=3)
