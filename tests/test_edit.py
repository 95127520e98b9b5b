"""Decoder files, a picture drawn again with its landmarks moved, and ``kptrack edit`` without a window."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clips import write_clip
from commands import command, write_model
from fakes import FakeEngine, disc_frame
from redrawing import random_decoder, write_pair, write_scene
from safetensors import safe_open
from safetensors.torch import save_file

from engines import load_model, open_engine
from engines.crop import to_crop
from engines.decoder import FORMAT, Painter, decoder_beside, load_decoder
from engines.model import shipped_models
from engines.network import NetworkConfig
from engines.skeleton import CAT_HEAD, FACE68
from tracker import Frame, SourceError, TrackerSettings
from tracker.joints import joints_called, parts
from tracker.paste import paste
from tracker.redraw import RESULTS, NoSubjectError, Portrait, Redrawer
from tracker.stills import read_picture
from ui.commands.edit import edit as command_edit
from ui.drafts import Draft, Drafts
from ui.edit import EditOptions, Move, OpeningCancelled, Studio, moved, name_beside, parse_move
from ui.failures import Exit, UsageError
from ui.interrupt import Cancel


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A model file with a decoder beside it."""
    return write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "scene.png"
    write_scene(path)
    return path


# The file.


def rewrite(path, change=lambda described: None, weights=lambda weights: None, kind=FORMAT):
    """Save a decoder file again with its description and weights changed in place."""
    with safe_open(path, framework="pt") as opened:
        described = json.loads(opened.metadata()["kptrack"])
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (not a dict)
    change(described)
    weights(tensors)
    save_file(tensors, path, metadata={"format": kind, "kptrack": json.dumps(described)})


@pytest.fixture
def file(pair, tmp_path):
    path = tmp_path / "decoder.safetensors"
    random_decoder(load_model(pair)).save(path)
    return path


def refusal(path) -> str:
    with pytest.raises(ValueError, match=r"\S") as caught:
        load_decoder(path)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 500
    return said


def test_what_goes_into_a_decoder_file_comes_out(pair, file):
    made, loaded = random_decoder(load_model(pair)), load_decoder(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert loaded == replace(made, weights=loaded.weights, digest=digest)
    for key, value in made.weights.items():
        kept = value.half() if value.is_floating_point() else value
        assert torch.equal(loaded.weights[key], kept)
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_a_decoder_knows_its_landmark_model(pair, file, tmp_path):
    model, decoder = load_model(pair), load_decoder(file)
    assert decoder.partner == "tiny"
    fitted_anew = {**model.weights, "point_calibration": torch.tensor([9.0, 9.0])}
    assert decoder.belongs_to(replace(model, card={"other": 1}, weights=fitted_anew))
    assert not decoder.belongs_to(load_model(write_model(tmp_path / "other.safetensors")))


def test_files_that_are_no_decoder_are_refused_in_one_line(pair, file):
    assert "not a decoder (format 'kptrack-1'" in refusal(pair)
    with pytest.raises(ValueError, match=r"not a kptrack model \(format 'kptrack-decoder-1'"):
        load_model(file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1000])
    assert "decoder.safetensors is not a readable safetensors file" in refusal(file)
    assert "no decoder gone.safetensors" in refusal(file.with_name("gone.safetensors"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: it.update(skeleton="octopus"), "skeleton 'octopus' is not one of face68"),
        (lambda it: it["joints"].reverse(), "its joints are not those of skeleton face68"),
        (lambda it: it["network"].update(width=8), "weights are missing, unknown or of another shape"),
        (lambda it: it["network"].update(depth=3), "depth"),
        (lambda it: it.pop("model"), "model"),
    ],
)
def test_decoders_of_other_skeletons_and_networks_are_refused_in_one_line(file, change, said):
    rewrite(file, change)
    assert said in refusal(file)


def test_a_decoder_with_a_weight_too_few_is_refused(file):
    rewrite(file, weights=lambda weights: weights.pop("output.1.bias"))
    assert "output.1.bias the first" in refusal(file)


def test_the_decoder_lies_beside_its_model(pair, tmp_path):
    assert decoder_beside(pair).name == "tiny.decoder.safetensors"
    model = write_model(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"neither model\.decoder\.safetensors nor decoder\.safetensors"):
        decoder_beside(model)
    random_decoder(load_model(model)).save(tmp_path / "decoder.safetensors")
    assert decoder_beside(model) == tmp_path / "decoder.safetensors"


def test_the_shipped_face_model_has_its_decoder():
    assert not [name for name in shipped_models() if "decoder" in name]
    decoder = load_decoder(decoder_beside("face"))
    assert decoder.belongs_to(load_model("face"))
    assert "research" in str(decoder.card["licence"])
    assert decoder.card["step"] == load_model("face").card["step"]


def test_models_info_shows_the_card_of_a_decoder(capfd, pair):
    told = json.loads(command(capfd, "models", "info", decoder_beside(pair), "--json").out)
    assert (told["name"], told["skeleton"], told["input_size"]) == ("tiny.decoder", "face68", 32)
    assert told["card"] == {"data": "none: random weights"}


# Joints.


def test_joints_are_called_by_name_or_by_part():
    assert joints_called(FACE68, "left_eye_3") == [39]
    assert joints_called(FACE68, "left_eye") == [36, 37, 38, 39, 40, 41]
    assert joints_called(CAT_HEAD, "left_eye") == [0]  # a joint of its own there
    assert joints_called(CAT_HEAD, "left_ear") == [3, 4, 5]
    assert list(parts(FACE68)) == [
        *("jaw", "left_brow", "right_brow", "nose_bridge", "nose_base"),
        *("left_eye", "right_eye", "outer_lip", "inner_lip"),
    ]
    assert sorted(joint for joints in parts(FACE68).values() for joint in joints) == list(range(68))
    with pytest.raises(ValueError, match=r"'nos' is no joint of face68; these are: jaw \(jaw_0 to jaw_16\)"):
        joints_called(FACE68, "nos")


# Redrawing.


@pytest.fixture(scope="module")
def redrawer(pair):
    decoder = random_decoder(replace(load_model(pair), config=NetworkConfig(32, 4, 16)))
    return Redrawer(FakeEngine(), Painter(decoder, "cpu"), TrackerSettings(detector="center"))


@pytest.fixture(scope="module")
def portrait(redrawer):
    return redrawer.find(disc_frame([(150, 125, 90)]).image, "disc")


def test_the_subject_of_a_picture_is_found(portrait):
    assert portrait.xy.mean(0) == pytest.approx([150, 125], abs=4)
    assert portrait.box[:2] == pytest.approx([150, 125], abs=4)
    assert portrait.box[2] == pytest.approx(90 * FakeEngine.crop_scale, rel=0.1)
    assert portrait.appearance.shape == (32, 32, 3)
    assert portrait.corners.mean(0) == pytest.approx(portrait.box[:2], abs=1e-3)
    assert np.hypot(*(portrait.corners[1] - portrait.corners[0])) == pytest.approx(portrait.box[2], rel=1e-4)


def test_the_square_is_as_large_as_the_decoder_wants_it(pair):
    model = replace(load_model(pair), crop_scale=2.0, config=NetworkConfig(32, 4, 16))
    wide = Redrawer(FakeEngine(), Painter(random_decoder(model), "cpu"), TrackerSettings(detector="center"))
    found = wide.find(disc_frame([(150, 125, 90)]).image)
    assert found.box[2] == pytest.approx(90 * 2.0, rel=0.1)


def test_of_several_subjects_the_largest_is_found_and_without_any_the_whole_picture_is_tried(pair):
    decoder = random_decoder(replace(load_model(pair), config=NetworkConfig(32, 4, 16)))
    redrawer = Redrawer(FakeEngine(), Painter(decoder, "cpu"), TrackerSettings(detector="center"))
    two = np.array([[70, 70, 50, 0], [230, 150, 90, 0]], np.float32)
    redrawer._detector = lambda image, thorough: two.copy()
    found = redrawer.find(disc_frame([(70, 70, 50), (230, 150, 90)]).image)
    assert found.xy.mean(0) == pytest.approx([230, 150], abs=4)
    redrawer._detector = lambda image, thorough: two[:0]
    assert redrawer.find(disc_frame([(150, 125, 90)]).image).xy.mean(0) == pytest.approx([150, 125], abs=4)


def test_a_picture_without_a_subject_is_refused_by_name(redrawer):
    with pytest.raises(NoSubjectError, match=r"^dark\.png: no subject was found"):
        redrawer.find(np.zeros((90, 120, 3), np.uint8), "dark.png")
    assert issubclass(NoSubjectError, SourceError)


def test_nothing_moved_changes_nothing(redrawer, portrait):
    assert np.array_equal(redrawer.redraw(portrait, portrait.xy), portrait.image)


def test_what_moves_changes_the_picture_there_and_nowhere_else(redrawer, portrait):
    xy = portrait.xy.copy()
    xy[20:30] += (0, 9)
    for result in ("detailed", "redrawn"):
        redrawn = redrawer.redraw(portrait, xy, result=result)
        assert redrawn.dtype == np.uint8
        changed = np.argwhere((redrawn != portrait.image).any(-1))[:, ::-1]
        assert len(changed)
        assert (changed >= np.floor(portrait.corners.min(0))).all()
        assert (changed <= np.ceil(portrait.corners.max(0))).all()
    assert (portrait.image == disc_frame([(150, 125, 90)]).image).all()


def test_the_square_alone_has_the_size_of_the_box(redrawer, portrait):
    side = round(float(portrait.box[2]))
    assert redrawer.redraw(portrait, portrait.xy, result="square").shape == (side, side, 3)
    small = replace(portrait, box=portrait.box * np.float32([1, 1, 0.1, 1]))  # no less than the decoder draws
    assert redrawer.redraw(small, small.xy, result="square").shape == (32, 32, 3)


def test_what_the_painter_draws_is_a_picture(pair):
    painter = Painter(random_decoder(load_model(pair)), "cpu")
    noise = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    drawn = painter(np.random.default_rng(1).uniform(0, 31, (2, 68, 2)), noise)
    assert drawn.min() >= 0
    assert drawn.max() == 255  # random weights go beyond it


def test_a_style_gives_its_appearance_to_the_landmarks_of_the_picture(redrawer, portrait):
    image = disc_frame([(90, 110, 70)]).image[..., ::-1].copy()
    image[..., 1] = np.maximum(image[..., 1], 60)
    style = redrawer.find(image, "style")
    own = redrawer.redraw(portrait, portrait.xy, result="square").astype(int)
    dressed = redrawer.redraw(portrait, portrait.xy, style).astype(int)
    assert dressed.shape == own.shape
    assert np.abs(dressed - own).max() > 0
    same = redrawer.redraw(portrait, portrait.xy, portrait).astype(int)
    assert np.array_equal(same, own)


def test_results_that_there_are_not_are_refused(redrawer, portrait):
    with pytest.raises(ValueError, match="'oil' is not one of detailed, redrawn, square"):
        redrawer.redraw(portrait, portrait.xy, result="oil")
    with pytest.raises(ValueError, match="with a style, choose another"):
        redrawer.redraw(portrait, portrait.xy, portrait, "detailed")


def test_a_decoder_of_another_skeleton_is_refused(pair):
    decoder = replace(random_decoder(load_model(pair)), skeleton=CAT_HEAD)
    with pytest.raises(ValueError, match="draws cat_head, the landmark model finds face68"):
        Redrawer(FakeEngine(), Painter(decoder, "cpu"))


@pytest.fixture
def square_portrait():
    """A portrait of 100 by 100 px whose square begins 20 px left of it; two joints were found out there."""
    xy = np.full((68, 2), 50, np.float32)
    xy[:2] = (-10, 50)
    nothing = np.zeros((16, 16, 3), np.uint8)
    box = np.array([29.5, 49.5, 100, 0])
    image = np.zeros((100, 100, 3), np.uint8)
    return Portrait(FACE68, image, xy, np.ones(68), box, nothing, nothing.astype(np.float32))


@pytest.mark.parametrize(
    ("joint", "by", "at"),
    [
        (5, (3, -4), (53, 46)),
        (5, (500, 0), (79.5 - 100 / 32, 50)),  # the outermost pixel of the square
        (5, (0, -50), (50, -0.5 + 100 / 32)),
        (5, (-70, 0), (0, 50)),  # the square goes on, the picture does not
        (0, (0, 9), (-10, 59)),  # found out there, it may stay there
        (0, (-9, 0), (-10, 50)),
        (0, (15, 0), (5, 50)),
    ],
)
def test_landmarks_stay_where_they_can_be_redrawn(square_portrait, joint, by, at):
    wanted = square_portrait.xy.copy()
    wanted[joint] += by
    kept, left = square_portrait.keep_inside(wanted)
    assert kept[joint] == pytest.approx(at, abs=0.2)
    assert np.flatnonzero(left).tolist() == [joint] * (not np.allclose(at, wanted[joint], atol=0.2))
    others = np.arange(68) != joint
    assert np.array_equal(kept[others], square_portrait.xy[others])


def test_landmarks_stay_in_a_picture_that_is_wider_than_high(square_portrait):
    wide = replace(square_portrait, image=np.zeros((60, 90, 3), np.uint8), box=np.array([44.5, 29.5, 120, 0]))
    wanted = wide.xy.copy()
    wanted[5] += (300, 300)
    kept, _ = wide.keep_inside(wanted)
    assert kept[5] == pytest.approx([89, 59], abs=0.2)


def test_detail_goes_along_with_its_landmark():
    image = np.full((80, 80, 3), 100, np.uint8)
    image[38:43, 38:43] = 220  # what the decoder cannot draw
    before = np.array([[40, 40], [20, 20], [60, 20], [60, 60], [20, 60]], np.float32)
    after = before + np.array([[6, 0], *([[0, 0]] * 4)], np.float32)
    flat = np.full((80, 80, 3), 100, np.float32)
    box = np.array([39.5, 39.5, 80, 0])
    moved = paste(image, box, before, after, flat, flat)
    assert moved[40, 46].min() > 200
    assert moved[40, 39].max() < 140
    assert np.array_equal(paste(image, box, before, before, flat, flat), image)
    assert paste(image, box, before, after, flat)[40, 40].max() == 100  # without its detail


@pytest.mark.parametrize("box", [(50, 30, 60, 0), (50, 30, 60, np.pi / 2), (48, 33, 72, -0.6)])
def test_detail_moves_in_the_picture_as_the_landmark_does_however_the_square_lies(box):
    image = np.full((80, 120, 3), 100, np.uint8)
    image[28:33, 48:53] = 220
    square = np.array(box, np.float64)
    before = np.array([[50, 30], [38, 22], [62, 22], [62, 38], [38, 38]], np.float32)
    after = before + np.array([[6, 0], *([[0, 0]] * 4)], np.float32)
    before, after = (to_crop(each[None], square[None], 80)[0] for each in (before, after))
    flat = np.full((80, 80, 3), 100, np.float32)
    moved = paste(image, square, before, after, flat, flat)
    assert moved[30, 56].min() > 180
    assert moved[30, 49].max() < 150


def test_what_is_pasted_covers_both_places_of_a_landmark_and_not_the_rim():
    image, square = np.zeros((80, 80, 3), np.uint8), np.full((80, 80, 3), 255, np.float32)
    box = np.array([39.5, 39.5, 80, 0])
    before = np.array([[30, 30], [40, 30], [40, 50], [30, 50]], np.float32)
    after = before + np.array([[0, 0], [26, 0], [0, 0], [0, 0]], np.float32)
    covered = paste(image, box, before, after, square)
    assert covered[30, 64].min() > 200
    assert covered[70, 10].max() == 0
    corners = np.array([[0, 0], [79, 0], [79, 79], [0, 79]], np.float32)
    covered = paste(image, box, corners, corners, square)
    assert covered[40, 40].min() == 255
    assert max(covered[0].max(), covered[-1].max(), covered[:, 0].max(), covered[:, -1].max()) == 0


def test_a_square_that_lies_outside_leaves_the_picture():
    image = np.full((40, 40, 3), 7, np.uint8)
    points = np.array([[4, 4], [12, 4], [8, 12]], np.float32)
    square = np.zeros((16, 16, 3), np.float32)
    assert np.array_equal(paste(image, np.array([-90, -90, 30, 0.3]), points, points, square), image)


# The way back.


def test_drafts_can_be_undone_and_redone():
    first, second, third, other = (Draft(np.full((1, 2), each)) for each in range(4))
    drafts = Drafts(first)
    drafts.undo()
    assert drafts.present is first
    assert not drafts.can_undo
    drafts.keep(second)
    drafts.keep(third, onward=True)  # one step with the one before
    assert drafts.present is third
    drafts.undo()
    assert drafts.present is first
    assert drafts.can_redo
    drafts.redo()
    assert drafts.present is third
    drafts.undo()
    drafts.keep(other)
    assert not drafts.can_redo
    assert drafts.present is other


def test_what_is_neither_saved_nor_as_it_was_would_be_lost():
    first, second = Draft(np.zeros((2, 2))), Draft(np.ones((2, 2)))
    drafts = Drafts(first)
    assert not drafts.unsettled
    drafts.keep(Draft(np.zeros((2, 2))))  # the same again
    assert not drafts.can_undo
    drafts.keep(second)
    assert drafts.unsettled
    drafts.settle(second)
    assert not drafts.unsettled
    drafts.keep(Draft(np.full((2, 2), 2)))
    assert drafts.unsettled
    drafts.keep(Draft(np.ones((2, 2))))  # back to what was saved
    assert not drafts.unsettled
    drafts.undo()
    assert drafts.unsettled
    drafts.undo()
    drafts.undo()
    assert drafts.present is first
    assert not drafts.unsettled


# The command.


def test_a_picture_is_called_after_what_it_is_made_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert name_beside("/a/b/face.png") == Path("/a/b/face.edited.png")
    assert name_beside("clip.mp4") == tmp_path / "clip.edited.png"
    assert name_beside(".") == tmp_path.with_name(f"{tmp_path.name}.edited.png")
    assert name_beside("rtsp://me:secret@cam/front?key=1") == tmp_path / "front.edited.png"


def edit(capfd, pair, *words):
    return command(capfd, "edit", *words, "--model", pair, "--detector", "center")


@pytest.mark.parametrize(
    ("text", "move"),
    [
        ("left_eye:0,4", Move("left_eye", 0, 4)),
        ("jaw_3:-1.5,+2", Move("jaw_3", -1.5, 2)),
        ("mouth:.5,-3.", Move("mouth", 0.5, -3)),
    ],
)
def test_moves_as_they_are_typed(text, move):
    assert parse_move(text) == move


@pytest.mark.parametrize("text", ["jaw", "jaw:4", "jaw:a,b", ":1,2", "jaw:nan,1", "jaw:1,2,3", ""])
def test_what_is_no_move_is_refused(text):
    with pytest.raises(UsageError, match="is not a move such as left_eye:0,-4"):
        parse_move(text)


def test_a_move_goes_to_the_right_and_down(portrait):
    xy, kept = moved(portrait, [Move("jaw", 2, 5), Move("jaw_3", 1, 0)])
    wanted = np.zeros((68, 2))
    wanted[:17] = 2, 5
    wanted[3] = 3, 5
    assert kept == []
    assert xy - portrait.xy == pytest.approx(wanted, abs=1e-4)


def test_while_a_subject_is_found_nobody_draws(pair):
    studio = Studio(EditOptions(model=str(pair)))
    used = []
    studio.redrawer.find = lambda image, name: used.append(studio._in_use.locked())
    studio._find(np.zeros((9, 9, 3), np.uint8), "picture")
    studio.draw(lambda redrawer: used.append(studio._in_use.locked()))
    assert used == [True, True]
    assert not studio._in_use.locked()


def test_a_picture_is_redrawn_with_its_landmarks_moved(capfd, pair, scene, tmp_path):
    plain, moved = tmp_path / "plain.png", tmp_path / "new" / "moved.jpg"
    assert edit(capfd, pair, scene, "-o", plain).code == Exit.FINE
    assert np.array_equal(read_picture(plain), read_picture(scene))
    ended = edit(capfd, pair, scene, "--move", "jaw:0,3", "--move", "nose_bridge_0:1,0", "--out", moved)
    assert ended.code == Exit.FINE, ended.err
    assert ended.out == ""
    assert f"scene.png: 18 of 68 joints moved → {moved}" in ended.err
    assert read_picture(moved).shape == (240, 320, 3)
    assert [each.name for each in moved.parent.iterdir()] == ["moved.jpg"]


def test_the_appearance_is_swapped(capfd, pair, scene, tmp_path):
    style, out, same = tmp_path / "style.png", tmp_path / "out.png", tmp_path / "same.png"
    write_scene(style, seed=5)
    ended = edit(capfd, pair, "--style", style, "--target", scene, "--out", out)
    assert ended.code == Exit.FINE, ended.err
    assert "scene.png in the appearance of style.png" in ended.err
    square = read_picture(out)
    assert square.shape[0] == square.shape[1] < 240
    assert edit(capfd, pair, scene, "--style", style, "--out", same).code == Exit.FINE
    assert np.array_equal(read_picture(same), square)
    ended = edit(capfd, pair, scene, "--style", style, "--result", "redrawn", "--out", same, "--overwrite")
    assert ended.code == Exit.FINE, ended.err
    assert read_picture(same).shape == (240, 320, 3)


def test_of_a_video_a_frame_is_edited(capfd, pair, tmp_path, monkeypatch):
    clip, out = write_clip(tmp_path / "clip.mp4", count=12), tmp_path / "out.png"
    ended = edit(capfd, pair, clip, "--out", out)
    assert "clip.mp4, frame 0: 0 of 68" in ended.err
    ended = edit(capfd, pair, clip, "--frame", 7, "--out", out, "--overwrite")
    assert ended.code == Exit.FINE, ended.err
    assert "clip.mp4, frame 7: 0 of 68" in ended.err
    assert read_picture(out)[-1, 0, 2] == pytest.approx(8 * 7, abs=16)  # blue grows with the frames
    ended = edit(capfd, pair, clip, "--frame", 12, "--out", out, "--overwrite")
    assert (ended.code, ended.out) == (Exit.USAGE, "")
    assert "clip.mp4: there is no frame 12, the last is 11" in ended.err

    uneven = [0, 1, 2, 3, 4, 5, 30, 60, 90, 120]
    phone = write_clip(tmp_path / "phone.mp4", pts=uneven, time_base=Fraction(1, 30), rate=Fraction(30))
    assert edit(capfd, pair, phone, "--frame", 7, "--out", out, "--overwrite").code == Exit.FINE
    assert read_picture(out)[-1, 0, 2] == pytest.approx(8 * 7, abs=4)

    dark_before = 5
    real = Redrawer.find

    def find(self, image, name="picture"):
        if image[-1, 0, 2] < 8 * dark_before - 16:
            raise NoSubjectError(f"{name}: nobody")
        return real(self, image, name)

    monkeypatch.setattr(Redrawer, "find", find)
    assert "clip.mp4, frame 5: 0 of" in edit(capfd, pair, clip, "--out", out, "--overwrite").err
    dark_before = 99
    ended = edit(capfd, pair, clip, "--out", out, "--overwrite")
    assert ended.code == Exit.FAILED
    assert "clip.mp4: no subject in the first" in ended.err


@pytest.mark.parametrize("frame", [50, None])
def test_an_opening_that_is_no_longer_wanted_ends_at_the_next_frame(pair, monkeypatch, frame):
    cancel, read = Cancel(), []

    class Frames:
        still, frames, name = False, 99, "clip.mp4"

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def __iter__(self):
            for index in range(self.frames):
                read.append(index)
                cancel.asked = index == 7
                yield Frame(np.zeros((90, 120, 3), np.uint8), index, index / 25, 0)

    monkeypatch.setattr("ui.edit.open_source", lambda _: Frames())
    studio = Studio(EditOptions(model=str(pair), settings=TrackerSettings(detector="center", min_score=1)))
    with pytest.raises(OpeningCancelled):
        studio.open("clip.mp4", frame, cancel)
    assert read[-1] == 7


def test_a_joint_that_would_leave_the_picture_is_kept_inside_and_said(capfd, pair, scene, tmp_path):
    ended = edit(capfd, pair, scene, "--move", "jaw_3:-5000,0", "--out", tmp_path / "out.png")
    assert ended.code == Exit.FINE
    assert "warning: jaw_3: kept inside of the picture" in ended.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["SCENE", "--move", "beard:1,1", "-o", "a.png"], Exit.USAGE, "these are: jaw (jaw_0 to jaw_16)"),
        (["SCENE", "--move", "beard", "-o", "a.png"], Exit.USAGE, "not a move"),
        (["SCENE", "--move", "jaw:1,1"], Exit.USAGE, "--move needs --out FILE"),
        (["-o", "a.png"], Exit.USAGE, "--out needs an IMAGE"),
        (["--style", "SCENE", "-o", "a.png"], Exit.USAGE, "--out needs an IMAGE or --target IMAGE"),
        (["SCENE", "--target", "SCENE", "-o", "a.png"], Exit.USAGE, "give one of them"),
        (["SCENE", "-o", "SCENE"], Exit.USAGE, "is an input: choose another name"),
        (["a.part.png", "-o", "a.png"], Exit.USAGE, "a.part.png is an input: choose another name"),
        (["", "-o", "a.png"], Exit.USAGE, "an input has no name"),
        (["SCENE", "--style", "", "-o", "a.png"], Exit.USAGE, "an input has no name"),
        (["SCENE", "-o", "there.png"], Exit.USAGE, "exists: give --overwrite"),
        (["SCENE", "-o", "a.gif"], Exit.USAGE, "choose a name that ends in .jpg"),
        (["SCENE", "-o", "a.png", "--result", "oil"], Exit.USAGE, "'oil' is not one of"),
        (["SCENE", "-o", "a.png", "--frame", "3"], Exit.USAGE, "is a picture: it has no frames"),
        (
            ["SCENE", "--style", "SCENE", "--result", "detailed", "-o", "a.png"],
            Exit.USAGE,
            "with --style, choose another",
        ),
        (
            ["SCENE", "-o", "a.png", "--decoder", "gone.safetensors"],
            Exit.USAGE,
            "no decoder gone.safetensors",
        ),
        (["SCENE", "-o", "a.png", "--device", "tpu"], Exit.USAGE, "device 'tpu'"),
        (["gone.png", "-o", "a.png"], Exit.FAILED, "gone.png: no such file"),
        (["broken.png", "-o", "a.png"], Exit.FAILED, "broken.png: not a picture that can be read"),
        (["SCENE", "--style", "broken.png", "-o", "a.png"], Exit.FAILED, "broken.png: not a picture"),
        (["SCENE", "-o", "broken.png/a.png"], Exit.FAILED, "a.png: cannot be written"),
        (["SCENE", "-o", "a.png", "--min-score", "1"], Exit.FAILED, "scene.png: no subject was found"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_code(capfd, pair, scene, tmp_path, monkeypatch, words, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.png").write_bytes(b"old")
    (tmp_path / "broken.png").write_bytes(scene.read_bytes()[:300])
    (tmp_path / "a.part.png").write_bytes(scene.read_bytes())
    ended = edit(capfd, pair, *[str(scene) if word == "SCENE" else word for word in words])
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert said in ended.err
    assert not (tmp_path / "a.png").exists()
    assert (tmp_path / "there.png").read_bytes() == b"old"
    assert (tmp_path / "a.part.png").read_bytes() == scene.read_bytes()


def test_a_model_without_a_decoder_says_which_file_is_missing(capfd, scene, tmp_path):
    ended = edit(capfd, write_model(tmp_path / "bare.safetensors"), scene, "-o", tmp_path / "out.png")
    assert ended.code == Exit.USAGE
    assert ended.err.count("\n") == 1
    assert "model bare has no decoder" in ended.err
    assert "bare.decoder.safetensors" in ended.err
    assert "a training run writes one" in ended.err


def test_the_decoder_of_another_model_is_used_with_a_warning(capfd, pair, scene, tmp_path):
    other = write_model(tmp_path / "other.safetensors")
    words = [scene, "--decoder", decoder_beside(pair), "-o", tmp_path / "out.png"]
    ended = edit(capfd, other, *words)
    assert ended.code == Exit.FINE, ended.err
    assert "warning: tiny.decoder was trained with the landmark model tiny (weights " in ended.err


def test_help_names_the_results_that_there_are(capfd):
    assert command_edit.__doc__
    assert "|".join(RESULTS) in " ".join(command(capfd, "edit", "--help").out.split())


# The shipped face model.


@pytest.fixture(scope="module")
def faces():
    """The shipped face model with its decoder, and the portrait."""
    data = pytest.importorskip("skimage.data", reason="no portrait: pip install 'kptrack[demo]'")
    painter = Painter(load_decoder(decoder_beside("face")), "cpu")
    redrawer = Redrawer(open_engine("face", "eager", "fp32"), painter)
    return redrawer, redrawer.find(np.asarray(data.astronaut()), "portrait")


@pytest.mark.parametrize(("result", "more"), [("detailed", 3), ("redrawn", 2), ("square", 1.2)])
def test_a_mouth_that_opens_changes_the_picture_around_the_mouth(faces, result, more):
    redrawer, portrait = faces
    lower = [*range(55, 60), *range(65, 68)]
    xy = portrait.xy.copy()
    xy[lower] += (0, 9)
    before = redrawer.redraw(portrait, portrait.xy, result=result).astype(float)
    after = redrawer.redraw(portrait, xy, result=result).astype(float)
    changed = np.abs(after - before).mean(-1)
    lips = portrait.xy[48:68]
    if result == "square":
        lips = lips - portrait.corners.min(0) - 0.5
    (left, top), (right, bottom) = np.rint(lips.min(0)).astype(int), np.rint(lips.max(0)).astype(int)
    around = np.zeros(changed.shape, bool)
    around[top - 4 : bottom + 12, left - 4 : right + 4] = True
    face = np.ones(changed.shape, bool)
    if result != "square":
        low, high = portrait.corners.min(0).astype(int), portrait.corners.max(0).astype(int)
        face[:] = False
        face[low[1] : high[1], low[0] : high[0]] = True
        assert not changed[~face].any()
    assert changed[around].mean() > 3
    assert changed[around].mean() > more * changed[face & ~around].mean()


def test_a_picture_is_redrawn_much_as_it_is(faces):
    portrait = faces[1]
    mean = portrait.appearance.mean((0, 1))
    error = np.abs(portrait.unmoved - portrait.appearance).mean()
    assert error < 0.6 * np.abs(portrait.appearance - mean).mean()


def test_a_style_without_a_subject_is_one_line(capfd, faces, tmp_path):
    target, style = tmp_path / "target.png", tmp_path / "grey.png"
    cv2.imwrite(str(target), faces[1].image[..., ::-1])
    cv2.imwrite(str(style), np.full((200, 200, 3), 128, np.uint8))
    ended = command(capfd, "edit", "--style", style, "--target", target, "--out", tmp_path / "out.png")
    assert ended.code == Exit.FAILED
    assert ended.err.startswith("kptrack: grey.png: no subject was found")
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "out.png").exists()
