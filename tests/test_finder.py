"""The finder: what its maps mean, its file, the scenes it learns from, and a run of its training."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from engines.engine import Points
from engines.finder import (
    KINDS,
    Finder,
    FinderConfig,
    FinderModel,
    FinderNet,
    boxes_of,
    load_finder,
    overlap,
    reduced,
    targets,
)
from engines.model import WEIGHTS, shipped_models
from engines.network import as_input
from engines.skeleton import CAT_HEAD, FACE68, HUMAN
from training import clips as clips_module
from training.__main__ import main
from training.clips import Clips
from training.collage import warped
from training.finder import finder_losses, judge
from training.scenes import Scene, Scenes, stacked

SMALL = FinderConfig((4, 4, 4, 4, 4))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return FinderModel(SMALL, dict.fromkeys(KINDS, 0.3), FinderNet(SMALL).state_dict(), {"data": "none"})


def as_maps(wanted):
    """What a perfect network would have said: ``targets`` with logits in place of shares."""
    maps = wanted.copy()
    maps[0] = np.log(np.clip(wanted[0], 1e-4, 0.98) / (1 - np.clip(wanted[0], 1e-4, 0.98)))
    return maps


# What the maps mean.


@pytest.mark.parametrize("box", [(100.0, 60.0, 80.0), (17.3, 33.9, 15.2), (200.5, 90.25, 190.0)])
def test_the_box_of_a_map_is_the_one_it_was_drawn_for(box):
    wanted, weights = targets(np.array([box]), 192, 320)
    boxes, scores = boxes_of(as_maps(wanted), 0.5)
    assert boxes == pytest.approx(np.array([box]), abs=0.01)
    assert scores == pytest.approx([0.98])
    assert weights.max() == 1


def test_every_subject_of_a_picture_has_a_box_the_best_first():
    many = np.array([[40, 40, 30], [200, 60, 60], [280, 150, 20]], float)
    maps = as_maps(targets(many, 192, 320)[0])
    maps[0] -= np.linspace(0, 1, maps.shape[2])  # surer on the left
    boxes, scores = boxes_of(maps, 0.5)
    assert boxes == pytest.approx(many, abs=0.01)
    assert sorted(scores, reverse=True) == list(scores)


def test_of_a_crowd_the_sixteen_best_are_found():
    crowd = np.array([[x, y, 12.0] for y in (20, 60, 100, 140) for x in range(20, 300, 40)])
    maps = as_maps(targets(crowd, 192, 320)[0])
    maps[0] -= np.linspace(0, 1, maps.shape[2])  # surer on the left
    boxes, _ = boxes_of(maps, 0.5)
    assert len(boxes) == 16
    assert boxes[:, 0].max() < 150


def test_one_subject_has_one_box():
    maps = as_maps(targets(np.array([[100.0, 60.0, 80.0]]), 192, 320)[0])
    maps[0, 7, 16] = 5.0  # a second peak of the same head
    maps[1:, 7, 16] = maps[1:, 7, 12]
    boxes, _ = boxes_of(maps, 0.5)
    assert len(boxes) == 1


def test_nobody_is_no_box(model):
    maps = np.full((4, 24, 40), -9.0, np.float32)
    boxes, scores = boxes_of(maps, 0.3)
    assert boxes.shape == (0, 3)
    assert scores.shape == (0,)


@pytest.mark.parametrize("size", [(720, 1280), (480, 480), (640, 360), (120, 160), (354, 630), (31, 977)])
@pytest.mark.parametrize("kind", KINDS)
def test_boxes_are_in_pixels_of_the_frame(model, size, kind):
    height, width = size
    truth = np.array([0.4 * width, 0.55 * height, 0.5 * min(height, width)])
    finder = Finder(kind, model)

    def perfect(image):
        _, _, rows, columns = image.shape
        scale = min(1, 320 / max(size), (320 * 192 / (height * width)) ** 0.5)
        own = np.array([*((truth[:2] + 0.5) * scale - 0.5), truth[2] * scale])
        maps = np.full((1, len(KINDS), 4, rows // 8, columns // 8), -9.0, np.float32)
        maps[0, KINDS.index(kind)] = as_maps(targets(own[None], rows, columns)[0])
        return torch.from_numpy(maps)

    finder._network = perfect
    boxes, scores = finder(np.zeros((height, width, 3), np.uint8))
    assert boxes.shape == (1, 4)
    assert boxes.dtype == np.float32
    assert boxes[0, :2] == pytest.approx(truth[:2], abs=0.6)
    assert boxes[0, 2:] == pytest.approx([truth[2], 0], rel=0.03)
    assert len(scores) == 1


@pytest.mark.parametrize("size", [(720, 1280), (1280, 720), (1000, 1000), (480, 640), (40, 30), (2, 500)])
def test_no_frame_costs_more_than_one_of_16_to_9(size):
    small, scale = reduced(np.zeros((*size, 3), np.uint8))
    assert small.shape[0] % 32 == small.shape[1] % 32 == 0
    assert small.shape[0] * small.shape[1] <= 1.15 * 320 * 192
    assert max(scale) <= 1


def test_a_frame_that_needs_no_reduction_begins_in_the_same_corner():
    image = np.random.default_rng(0).integers(0, 256, (90, 140, 3), np.uint8)
    small, scale = reduced(image)
    assert small.shape == (96, 160, 3)
    assert scale.tolist() == [1, 1]
    assert np.array_equal(small[:90, :140], image)
    assert np.array_equal(small[:90, 140:], np.repeat(image[:, -1:], 20, 1))


@pytest.mark.parametrize("size", [(192, 320), (256, 256), (224, 288)])
def test_it_is_small(size):
    network = FinderNet(FinderConfig()).eval()
    with FlopCounterMode(display=False) as count, torch.no_grad():
        network(torch.zeros(1, 3, *size))
    assert count.get_total_flops() <= 0.3e9


def test_batch_norm_is_folded_without_a_change(model):
    image = np.random.default_rng(0).integers(0, 256, (192, 320, 3), dtype=np.uint8)
    seen = as_input(torch.from_numpy(image)[None])
    with torch.inference_mode():
        assert torch.allclose(Finder(KINDS[0], model)._network(seen), model.network()(seen), atol=1e-4)


# The file.


@pytest.fixture
def file(model, tmp_path):
    path = tmp_path / "some.safetensors"
    model.save(path)
    return path


def test_what_goes_in_comes_out(model, file):
    loaded = load_finder(file)
    assert (loaded.config, loaded.least_scores, loaded.card) == (SMALL, model.least_scores, model.card)
    assert loaded.digest
    for key, value in loaded.network().state_dict().items():
        assert torch.allclose(value.float(), model.weights[key].float(), atol=1e-3)


def rewrite(path, change=lambda described: None, drop=None, kind=None):
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata()
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (not a dict)
    described = json.loads(metadata["kptrack"])
    change(described)
    tensors.pop(drop, None)
    save_file(
        tensors, path, metadata={"format": kind or metadata["format"], "kptrack": json.dumps(described)}
    )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: file.unlink(), "no finder some.safetensors"),
        (lambda file: file.write_bytes(b"nonsense" * 9), "not a readable safetensors file"),
        (lambda file: rewrite(file, kind="kptrack-1"), "is not a finder"),
        (lambda file: rewrite(file, drop="last.bias"), "1 weights are missing.*last.bias"),
        (lambda file: rewrite(file, lambda about: about.update(kinds=["dog"])), "it finds dog"),
        (lambda file: rewrite(file, lambda about: about["network"].update(widths=[1])), "five whole numbers"),
        (lambda file: rewrite(file, lambda about: about.pop("least_scores")), "least_scores"),
    ],
)
def test_a_wrong_file_is_refused_in_a_line(file, damage, said):
    damage(file)
    with pytest.raises(ValueError, match=said) as caught:
        load_finder(file)
    assert "\n" not in str(caught.value)


def test_a_landmark_model_is_no_finder():
    with pytest.raises(ValueError, match="face.safetensors is not a finder"):
        load_finder(WEIGHTS / "face.safetensors")


def test_the_finder_is_not_among_the_landmark_models():
    assert "finder" not in shipped_models()


def test_what_it_does_not_find_is_said(model):
    with pytest.raises(ValueError, match="the finder does not find dog: it finds face68, human, cat_head"):
        Finder("dog", model)


# Scenes.


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Stored pictures of every kind: a bright disc, as large as the landmark box, on grey."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    boxes = {"faces": (100.0, 90.0, 80.0), "cats": (95.5, 95.5, 96.0)}
    for subject, box in boxes.items():
        images = folder / subject / "train" / "some" / "images"
        images.mkdir(parents=True)
        names = [f"{number}.png" for number in range(40)]
        for name in names:
            cv2.imwrite(str(images / name), disc(box, 192, rng))
        arrays = {"name": np.array(names)}
        if subject == "faces":
            arrays["box"] = np.tile(box, (len(names), 1))
        np.savez(images.parent / "index.npz", **arrays)
    people = folder / "humans" / "train" / "some"
    for clip in range(30):
        (people / f"clip{clip}").mkdir(parents=True)
        cv2.imwrite(str(people / f"clip{clip}" / "00001.png"), disc((79.5, 79.5, 128.0), 160, rng))
        (people / f"clip{clip}" / "00001.png").rename(people / f"clip{clip}" / "00001.jpg")
    described = {f"clip{clip}": {"boxes": [0, 0, 160], "group": "upright"} for clip in range(30)}
    (people / "clips.json").write_text(json.dumps(described))
    return folder


def disc(box, size, rng):
    image = np.full((size, size, 3), 90, np.uint8) + rng.integers(0, 8, (size, size, 1), dtype=np.uint8)
    x, y, side = box
    cv2.circle(image, (round(x), round(y)), round(side / 2), (250, 250, 250), -1)
    return image


@pytest.mark.parametrize("side", [12.0, 60.0, 150.0, 300.0])
def test_a_warped_picture_lies_where_its_map_says(side):
    image = disc((100.0, 90.0, 80.0), 192, np.random.default_rng(0))
    scale = side / 80
    warp = np.array([[scale, 0, 160 - scale * 100], [0, scale, 160 - scale * 90]])
    rows, columns = np.nonzero(warped(image, warp, 320, 320, cv2.BORDER_REPLICATE)[..., 0] > 170)
    assert np.mean(columns) == pytest.approx(160, abs=0.6)
    assert np.mean(rows) == pytest.approx(160, abs=0.6)
    assert np.ptp(columns) + 1 == pytest.approx(side, rel=0.04, abs=1.5)


def test_pasted_subjects_lie_where_their_boxes_are(data):
    scenes = Scenes(data, 0)
    rng = np.random.default_rng(1)
    seen = 0
    for name in KINDS:
        for _ in range(12):
            canvas = np.full((192, 320, 3), 90, np.uint8)
            scene = Scene(canvas, {kind: [] for kind in KINDS}, {kind: [] for kind in KINDS})
            scenes._paste(rng, canvas, name, scene.boxes, scene.ignored)
            (x, y, side) = scene.boxes[name][0]
            rows, columns = np.mgrid[:192, :320]
            brighter = canvas.max(axis=2) > 175
            away = np.hypot(columns - x, rows - y) / side
            if brighter[away < 0.4].mean() > 0.9:  # its own light may be too dim to tell
                seen += 1
                assert brighter[away > 0.6].mean() < 0.05
            assert 0.07 * 192 <= side <= 192
            assert 0 <= x < 320
            assert 0 <= y < 192
    assert seen >= 24


def test_a_scene_depends_on_its_number_alone(data):
    one, other = (Scenes(data, 3).batch(5, 3) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a.image, b.image)
        assert all(np.array_equal(a.boxes[kind], b.boxes[kind]) for kind in KINDS)
    assert not np.array_equal(one[0].image, one[1].image)


def test_scenes_of_a_batch_have_one_shape_and_everything_that_training_needs(data):
    images, maps, sized, counted = stacked(Scenes(data, 0).batch(1, 4))
    height, width = images.shape[1:3]
    assert height % 32 == width % 32 == 0
    assert maps.shape == (4, len(KINDS), 4, height // 8, width // 8)
    assert sized.shape == counted.shape == (4, len(KINDS), height // 8, width // 8)


def test_faces_of_people_are_neither_wanted_nor_forbidden(data):
    scene = Scene(
        np.zeros((192, 320, 3), np.uint8),
        {FACE68.name: [], HUMAN.name: [np.array([160.0, 96, 120])], CAT_HEAD.name: []},
        {FACE68.name: [np.array([160.0, 80, 90])], HUMAN.name: [], CAT_HEAD.name: []},
    )
    _, _, counted = scene.arrays()
    assert counted[KINDS.index(FACE68.name), 10, 20] == 0
    assert counted[KINDS.index(FACE68.name), 0, 0] == 1
    assert counted[KINDS.index(CAT_HEAD.name)].min() == 1


def test_boxes_of_other_pictures_are_refused(data):
    with pytest.raises(ValueError, match="of other pictures"):
        Scenes(data, 0, boxes=[np.zeros((3, 3))])


# Learning.


def test_what_is_wanted_costs_least():
    scene = Scene(
        np.zeros((192, 320, 3), np.uint8),
        {kind: [np.array([100.0, 60.0, 50.0])] for kind in KINDS},
        {kind: [] for kind in KINDS},
    )
    _, wanted, sized, counted = (torch.from_numpy(each) for each in stacked([scene]))
    perfect = torch.from_numpy(np.stack([as_maps(each.numpy()) for each in wanted[0]])[None])
    good = finder_losses(perfect, wanted, sized, counted)
    bad = finder_losses(torch.zeros_like(perfect), wanted, sized, counted)
    assert good["centre"] < 0.2 < bad["centre"]
    assert good["size"] == good["place"] == 0
    assert bad["size"] > 0


def test_a_finder_is_judged_by_where_its_boxes_are(model, monkeypatch):
    boxes = {kind: [np.array([100.0, 60.0, 50.0])] for kind in KINDS}
    scenes = [Scene(np.zeros((192, 320, 3), np.uint8), boxes, {kind: [] for kind in KINDS})] * 4
    for answer, found in (((104.0, 60.0, 55.0, 0), 100), ((160.0, 60.0, 50.0, 0), 0)):
        monkeypatch.setattr(
            Finder, "__call__", lambda self, image, box=answer: (np.array([box]), np.array([0.9]))
        )
        measures = judge(model, scenes)
        assert measures[f"found_{HUMAN.name}"] == found
        assert measures[f"false_{HUMAN.name}"] == 100 - found


def test_a_run_ends_with_a_finder_and_can_be_gone_on_with(data, tmp_path, capfd):
    run = [
        "train",
        "finder",
        "--data",
        str(data),
        "--out",
        str(tmp_path),
        "--set",
        "steps=3",
        "--set",
        "batch=2",
    ]
    assert main(run) == 0
    made = load_finder(tmp_path / "finder.safetensors")
    assert made.card["step"] == 3
    assert "kptrack train finder" in str(made.card["command"])
    assert set(made.least_scores) == set(KINDS)
    assert main(run) == 2
    assert "--resume goes on with it" in capfd.readouterr().err
    assert main([*run, "--resume"]) == 0
    assert "resumed at step 3" in capfd.readouterr().err


def test_a_run_says_what_it_lacks(data, tmp_path, capfd):
    run = ["train", "finder", "--data", str(data), "--out", str(tmp_path / "out")]
    assert main([*run, "--clips", "some.mp4"]) == 2
    assert "--clips needs --start" in capfd.readouterr().err
    assert main([*run, "--boxes", str(tmp_path / "boxes.pt")]) == 2
    assert "holds no boxes" in capfd.readouterr().err
    face = ["train", "face", "--data", str(data), "--out", str(tmp_path / "out")]
    assert main([*face, "--clips", "some.mp4"]) == 2
    assert "go with finder" in capfd.readouterr().err


# Whole clips.


def test_a_clip_is_labelled_by_what_is_found_again(model, tmp_path, monkeypatch):
    path = tmp_path / "clip.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (320, 180))
    for _ in range(16):
        video.write(disc((120.0, 80.0, 60.0), 320, np.random.default_rng(0))[:180])
    video.release()

    def look(finder, image, least=None):
        boxes = np.array([[120.0, 80.0, 60.0, 0]], np.float32)
        return (
            (boxes, np.array([0.8])) if finder._row == KINDS.index(HUMAN.name) else (boxes[:0], np.zeros(0))
        )

    monkeypatch.setattr(Finder, "__call__", look)
    monkeypatch.setattr(clips_module, "_engines", dict)
    clips = Clips([path], model)
    assert clips.describe() == "clip (4 frames: 4 of human)"
    for seed in range(8):
        scene = clips.scene(np.random.default_rng(seed), 320, 192)
        assert scene.image.shape == (192, 320, 3)
        assert not scene.boxes[FACE68.name]
        for x, y, side in scene.boxes[HUMAN.name]:
            around = scene.image[int(y) - 4 : int(y) + 5, int(x) - 4 : int(x) + 5]
            assert around.mean() > scene.image.mean() + 20
            assert side == pytest.approx(60, rel=0.5)


def test_clips_of_one_name_in_two_folders_are_two(model, tmp_path, monkeypatch):
    paths = [tmp_path / folder / "clip.avi" for folder in ("cats", "humans")]
    for path, shade in zip(paths, (50, 200), strict=True):
        path.parent.mkdir()
        video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
        video.write(np.full((48, 64, 3), shade, np.uint8))
        video.release()
    monkeypatch.setattr(clips_module, "_engines", dict)
    clips = Clips(paths, model)
    assert clips.describe().count("clip (1 frames") == 2
    bright = [clips.scene(np.random.default_rng(seed), 64, 48).image.mean() > 125 for seed in range(16)]
    assert 0 < sum(bright) < 16


def test_of_a_clip_of_cats_only_cats_are_believed():
    assert clips_module._believed(Path("videos/cats/a.mp4")) == {CAT_HEAD.name}
    assert clips_module._believed(Path("videos/other/a.mp4")) == set(KINDS)


def test_marks_that_look_like_cats_are_nobody_in_a_clip_of_people(model, monkeypatch):
    boxes = np.array([[50.0, 50, 20, 0]], np.float32)
    monkeypatch.setattr(Finder, "__call__", lambda self, image, least: (boxes, np.array([0.9])))
    frames = [np.zeros((90, 160, 3), np.uint8)] * 3
    labelled = clips_module._labelled(frames, model, {}, {HUMAN.name})
    for each in labelled:
        assert [len(each.boxes[kind]) for kind in (FACE68.name, HUMAN.name, CAT_HEAD.name)] == [0, 1, 0]
        assert [len(each.doubtful[kind]) for kind in (FACE68.name, HUMAN.name, CAT_HEAD.name)] == [1, 0, 0]


def test_who_is_seen_once_is_doubtful():
    here, there = np.array([[50.0, 50, 20, 0]]), np.array([[150.0, 50, 20, 0]])
    sure = [(here, np.array([0.9])), (here, np.array([0.9])), (there, np.array([0.9]))]
    found = clips_module._steady(sure)
    assert [len(boxes) for boxes, _ in found] == [1, 1, 0]
    assert [len(doubtful) for _, doubtful in found] == [0, 0, 1]


def test_a_clip_that_is_none_is_refused(model, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="missing or no video"):
        Clips([tmp_path / "clip.mp4"], model)


def test_overlap_of_squares():
    assert overlap(np.array([0, 0, 10]), np.array([0, 0, 10])) == 1
    assert overlap(np.array([0, 0, 10]), np.array([5, 0, 10])) == pytest.approx(1 / 3)
    assert overlap(np.array([0, 0, 10]), np.array([50, 0, 10])) == 0


class Landmarks:
    """A landmark model that draws an exact square in every crop, and is as sure as it is told."""

    input_size, crop_scale = 32, 1.25

    def __init__(self, *scores):
        self.scores = np.array(scores)

    def __call__(self, crops):
        corners = np.array([[2.7, 2.7], [28.3, 2.7], [28.3, 28.3], [2.7, 28.3]], np.float32)
        return Points(np.repeat(corners[None], len(crops), 0), np.ones((len(crops), 4)), self.scores)


def test_landmarks_decide_who_is_there_and_either_model_may_doubt():
    image = np.zeros((180, 320, 3), np.uint8)
    candidates = np.array([[50, 50, 30, 0], [150, 50, 30, 0], [250, 50, 30, 0], [50, 120, 30, 0]], np.float32)
    engine = Landmarks(0.8, 0.5, 0.1, 0.1)
    sure, doubtful = clips_module._looked_at(image, candidates, np.array([0.2, 0.2, 0.6, 0.2]), engine)
    assert sure == pytest.approx(np.array([[50, 50, 30]]), abs=0.5)
    assert doubtful[:, 0] == pytest.approx([150, 250])
