"""From stored pictures and poses to batches: what is cut, moved and named must stay true."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from faces import SIDE, pose, tiny_config, write_data, write_labelled

from engines import crop
from engines.network import as_input
from engines.skeleton import FACE68
from training.augment import (
    ThinPlateWarps,
    apply_maps,
    crop_maps,
    hide_blocks,
    jittered_boxes,
    warp_like_jitter,
)
from training.config import PRESETS, Jitter, with_settings
from training.images import Pictures
from training.poses import PosePrior, load_prior, place
from training.stored import load_sets


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("faces"))


def test_a_map_says_where_each_pixel_of_a_crop_comes_from():
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    frame = np.stack([x, y, x], -1).astype(np.uint8)  # every pixel shows its own place
    boxes = np.array([[50.0, 40.0, 32.0, 0.4]])
    seen = crop.cut(frame, boxes, 32)[0]
    maps = torch.from_numpy(crop_maps(boxes, 32))
    for column, row in ((0, 0), (31, 0), (10, 20)):
        point = torch.tensor([[[2 * column / 31 - 1, 2 * row / 31 - 1]]])
        assert apply_maps(point, maps)[0, 0].numpy() == pytest.approx(seen[row, column, :2], abs=0.7)
    mirrored = torch.from_numpy(crop_maps(boxes, 32, np.array([True])))
    left, right = torch.tensor([[[-1.0, 0.2]]]), torch.tensor([[[1.0, 0.2]]])
    assert torch.allclose(apply_maps(left, mirrored), apply_maps(right, maps))


def test_jitter_strays_by_what_it_says():
    boxes = np.tile([10.0, 20.0, 100.0, 0.0], (4000, 1))
    moved = jittered_boxes(boxes, Jitter(scale=0.1, shift=0.05, roll=8.0), np.random.default_rng(0))
    assert moved[:, :2].std(axis=0) == pytest.approx([5, 5], rel=0.1)
    assert abs(np.corrcoef(moved.T - boxes.T)).max(where=~np.eye(4, dtype=bool), initial=0) < 0.1
    assert np.log(moved[:, 2] / 100).std() == pytest.approx(0.1, rel=0.1)
    assert np.rad2deg(moved[:, 3]).std() == pytest.approx(8, rel=0.1)
    leaning = jittered_boxes(boxes + np.array([0, 0, 0, 1.0]), Jitter(), np.random.default_rng(0))
    assert leaning[:, 3].mean() == pytest.approx(1, abs=0.05)


def test_drawings_are_turned_by_degrees():
    drawn = torch.full((64, 1, 65, 65), -1.0)
    drawn[:, :, 31:34, 54:57] = 1  # to the right of the middle
    turned = warp_like_jitter(drawn, Jitter(0, 0, roll=8.0), torch.Generator().manual_seed(0), -1)
    places = torch.stack([each.nonzero().float().mean(0) - 32 for each in turned[:, 0] > 0])
    angle = torch.rad2deg(torch.atan2(places[:, 0], places[:, 1]))
    assert angle.std().item() == pytest.approx(8, rel=0.3)


def test_what_the_discriminator_sees_is_moved_in_full_precision():
    drawn = torch.randn(4, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    moved = warp_like_jitter(drawn, Jitter(), torch.Generator().manual_seed(0), -1)
    with torch.autocast("cpu", torch.bfloat16):
        again = warp_like_jitter(drawn, Jitter(), torch.Generator().manual_seed(0), -1)
    assert torch.equal(moved, again)


def test_of_few_pictures_all_are_trained_on_and_judged(tmp_path):
    write_labelled(tmp_path / "few", 2)
    halves = [load_sets(tmp_path, held_out) for held_out in (False, True)]
    assert [[len(each.images) for each in half] for half in halves] == [[2], [2]]


def test_the_discriminator_sees_both_kinds_moved_and_nothing_else_changed():
    drawn = torch.full((8, 1, 32, 32), -1.0)
    assert torch.equal(warp_like_jitter(drawn, Jitter(), torch.Generator().manual_seed(0), -1), drawn)
    drawn[:, :, 16, 16] = 1
    still = warp_like_jitter(drawn, Jitter(0, 0, 0), torch.Generator(), -1)
    assert torch.allclose(still, drawn, atol=1e-4)
    moved = warp_like_jitter(drawn, Jitter(), torch.Generator().manual_seed(0), -1)
    assert not torch.allclose(moved, drawn, atol=0.1)


def test_warps_bend_a_picture_a_little():
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    frame = np.stack([x, y, x], -1).astype(np.uint8)
    box = np.array([47.5, 47.5, 64.0, 0.0])
    warps, rng = ThinPlateWarps(64, np.random.default_rng(0)), np.random.default_rng(1)
    straight = crop.cut(frame, box, 64)[0].astype(float)
    bent = np.stack([warps.cut(frame, box, rng) for _ in range(20)])[..., :2].astype(float)
    moved = np.abs(bent - straight[..., :2])
    assert 0.3 < moved.mean() < 6
    assert moved.reshape(20, -1).mean(1).min() < moved.reshape(20, -1).mean(1).max() / 2


def test_most_of_a_masked_picture_is_hidden():
    image = np.zeros((64, 64, 3), np.uint8)
    share = np.mean([(hide_blocks(image, np.random.default_rng(seed)) == 128).mean() for seed in range(30)])
    assert share == pytest.approx(0.8, abs=0.05)


def test_a_batch_depends_on_its_number_alone(data):
    pictures = Pictures(data / "train", tiny_config())
    again = Pictures(data / "train", tiny_config())
    pictures.batch(3)
    assert torch.equal(pictures.batch(7).image, again.batch(7).image)
    assert not torch.equal(pictures.batch(7).image, pictures.batch(8).image)
    prepared = pictures.batches(7)
    assert torch.equal(next(prepared).view, again.batch(7).view)
    assert torch.equal(next(prepared).view, again.batch(8).view)


def test_points_of_a_picture_lie_where_its_crops_show_them(tmp_path):
    # One picture, white but for one dark dot: both crops must show it where their maps say.
    write_labelled(tmp_path / "train" / "one", 1)
    image = np.full((SIDE, SIDE, 3), 255, np.uint8)
    image[38:41, 54:57] = 0
    cv2.imwrite(str(tmp_path / "train" / "one" / "images" / "000.png"), image)
    for held_out in (False, True):
        try:
            pictures = Pictures(
                tmp_path / "train", tiny_config("batch=16", "network.input_size=64"), held_out
            )
        except ValueError:
            continue  # the picture's name puts it into the other half
    batch = pictures.batch(0)
    dot = torch.tensor([[[55.0, 39.0]]]).expand(16, 1, 2)
    for seen, maps in ((batch.image, batch.maps), (batch.view, batch.view_maps)):
        places = (apply_maps(dot, torch.linalg.inv(maps)) + 1) * 31.5
        for each, (x, y) in zip(seen.float().mean(-1).numpy(), places[:, 0].tolist(), strict=True):
            darkest = np.unravel_index(each.argmin(), each.shape)
            assert darkest == pytest.approx((y, x), abs=1.6)
    flipped = [torch.linalg.det(maps[:, :2, :2]) < 0 for maps in (batch.maps, batch.view_maps)]
    assert torch.equal(batch.mirrored, flipped[0] != flipped[1])
    assert batch.mirrored.any()
    assert not batch.mirrored.all()
    assert flipped[0].any()


@pytest.mark.parametrize("kind", ["stills", "clips"])
def test_appearance_is_mirrored_and_coloured_as_the_picture_and_the_view_is_not(data, kind):
    steady = ("masked=0", "jitter.scale=0", "jitter.shift=0", "jitter.roll=0", "batch=24")
    pictures = Pictures(data / "train", tiny_config(*steady))
    pictures.sets = [each for each in pictures.sets if each.name == kind]
    pictures._weights = np.ones(1)
    for image in (image for each in pictures.sets for image in each.images):
        image[:, :48] = 60  # every frame alike: dark on the left
        image[:, 48:] = 200
    batch = pictures.batch(0)
    sides = [
        torch.stack([each[:, :, :12].float().mean((1, 2, 3)), each[:, :, 20:].float().mean((1, 2, 3))])
        for each in (batch.image, batch.other, batch.view)
    ]
    assert torch.allclose(sides[1], sides[0], atol=6)
    flipped = torch.linalg.det(batch.maps[:, :2, :2]) < 0
    assert torch.equal(sides[0][0] > sides[0][1], flipped)
    view = torch.where(batch.mirrored, sides[2].flip(0), sides[2])
    assert (view - sides[0]).abs().mean() > 6


def test_sets_are_drawn_from_as_their_weights_say(data):
    only = Pictures(data / "train", replace(tiny_config(), set_weights={"stills": 1.0, "clips": 0.0}))
    clips, stills = only.sets
    clips.estimated[:] = False
    assert only.batch(0, 24).trusted.tolist() == [1] * 24
    stills.estimated[::2] = False
    assert set(only.batch(0, 24).trusted.tolist()) == {0, 1}


def test_held_out_pictures_are_never_trained_on(data):
    config = tiny_config()
    trained, unseen = Pictures(data / "train", config), Pictures(data / "train", config, held_out=True)
    assert len(trained) + len(unseen) == 42
    assert len(trained) > len(unseen) > 0


def test_the_other_frame_is_of_the_same_clip(data):
    pictures = Pictures(data / "train", tiny_config())
    clips = next(each for each in pictures.sets if each.name == "clips")
    assert [len(clip) for clip in clips.clips] == [3] * len(clips.clips)
    rng = np.random.default_rng(0)
    for clip in clips.clips:
        other = pictures._other_frame(clips, clip, int(clip[0]), rng)
        assert other in clip[1:]


def test_pictures_are_scaled_to_minus_one_to_one():
    pixels = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 2, 1).expand(1, 1, 2, 3)
    assert as_input(pixels)[0, :, 0].tolist() == [[-1.0, 1.0]] * 3


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        (lambda train: (train / "stills" / "images" / "003.png").unlink(), "003.png is missing"),
        (lambda train: (train / "stills" / "images" / "003.png").write_bytes(b"x"), "no picture"),
        (lambda train: np.savez(train / "stills" / "index.npz", box=np.zeros((1, 3))), "no array name"),
        (lambda train: (train / "stills" / "index.npz").write_bytes(b"PK\3\4 torn"), "index.npz is damaged"),
        (lambda train: train.rename(train.with_name("other")), "no sets under"),
    ],
)
def test_a_damaged_set_is_one_clear_line(tmp_path, harm, complaint):
    train = write_data(tmp_path) / "train"
    harm(train)
    with pytest.raises(ValueError, match=complaint):
        Pictures(train, tiny_config())


def test_the_prior_is_there_with_its_mirror_image(data):
    prior = load_prior(data / "prior", FACE68, tiny_config())
    assert len(prior.poses) == 40
    assert FACE68.flip(prior.mean, 1.0) == pytest.approx(prior.mean, abs=1e-5)  # width 1: x -> -x


def test_placed_poses_fill_the_crop_as_the_framing_says():
    rng = np.random.default_rng(0)
    config = tiny_config()
    prior = PosePrior(np.stack([pose(rng) for _ in range(50)]), FACE68, config)
    placed = prior.sample(500, rng, jitters=(Jitter(0, 0, 0),)).numpy()
    extent = np.ptp(placed, axis=1).max(1) / 2  # of the crop's side, which is 2 long
    assert extent.mean() * 32 / 31 == pytest.approx(1 / config.crop_scale, rel=0.1)
    middle = (placed.max(1) + placed.min(1)) / 2
    assert np.abs(middle).max() < 0.03


def test_placed_poses_stray_by_the_error_of_the_box_as_well():
    rng = np.random.default_rng(0)
    config = tiny_config()
    prior = PosePrior(np.stack([pose(rng) for _ in range(5)]), FACE68, config)
    strays = [
        prior.sample(2000, rng, jitters).mean(1).std(0).mean().item() for jitters in (None, (config.jitter,))
    ]
    both = np.hypot(config.jitter.shift, config.box_noise.shift)
    assert strays[0] / strays[1] == pytest.approx(both / config.jitter.shift, rel=0.1)


def test_placing_is_the_inverse_of_the_crops_map():
    boxes = np.array([[5.0, -3.0, 20.0, 0.3], [0.0, 0.0, 1.5, 0.0]])
    poses = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 4, 2)).astype(np.float32))
    placed = place(poses, boxes, 64)
    assert torch.allclose(apply_maps(placed, torch.from_numpy(crop_maps(boxes, 64))), poses, atol=1e-4)


def test_a_prior_of_another_skeleton_is_refused(tmp_path):
    np.savez(tmp_path / "cats.npz", pts=np.zeros((5, 9, 2), np.float32))
    np.savez(tmp_path / "faces.npz", pts=np.random.default_rng(0).random((5, 68, 2)))
    with pytest.raises(ValueError, match=r"cats\.npz: poses .*9, 2.* do not fit face68"):
        load_prior(tmp_path, FACE68, tiny_config())
    with pytest.raises(ValueError, match="no poses under"):
        load_prior(tmp_path / "empty", FACE68, tiny_config())


def test_poses_that_are_none_are_refused(tmp_path):
    poses = np.random.default_rng(0).random((5, 68, 2))
    poses[1] = 0.5
    poses[3, 7] = np.nan
    np.savez(tmp_path / "faces.npz", pts=poses)
    with pytest.raises(ValueError, match="2 of 5 poses have no extent, or joints without a place"):
        load_prior(tmp_path, FACE68, tiny_config())


def test_settings_are_read_and_checked():
    config = with_settings(PRESETS["face-lite"], ["lr=1e-3", "jitter.roll=3", "set_weights.ytf=2"])
    assert (config.lr, config.jitter.roll, config.set_weights["ytf"]) == (1e-3, 3.0, 2.0)
    for wrong, complaint in {
        "speed=1": "no setting 'speed'",
        "lr=fast": "is not a number",
        "batch=1.5": "takes a whole number",
        "jitter=1": "takes a number",
        "steps=Infinity": "takes a number",
        "lr=NaN": "takes a number",
        "network.input_size=60": "not a multiple of 8",
    }.items():
        with pytest.raises(ValueError, match=complaint):
            with_settings(PRESETS["face-lite"], [wrong])
