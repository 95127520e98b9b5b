"""``kptrack demo``: a clip that is made on the spot, and what comes out of it."""

from __future__ import annotations

import sys
from itertools import pairwise

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import command, write_model

from ui.demo import write_clip
from ui.failures import Exit

pytest.importorskip("skimage", reason="the portrait is scikit-image's: pip install 'kptrack[demo]'")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "demo.mp4"
    write_clip(path)
    return path


def pictures(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][::30]


def test_the_clip_has_a_moving_face_and_a_melody(clip):
    frames = pictures(clip)
    assert frames[0].shape == (720, 1280, 3)
    assert all(np.abs(a.astype(int) - b).mean() > 5 for a, b in pairwise(frames))
    find = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    upright = cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY)
    assert len(find.detectMultiScale(upright, 1.1, 5, minSize=(100, 100))) == 1
    with av.open(str(clip)) as container:
        assert container.duration == pytest.approx(6e6, abs=1e5)
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert 0.1 < np.abs(sound).max() < 0.9
    assert [path.name for path in clip.parent.iterdir()] == ["demo.mp4"]


def test_the_demo_needs_no_file_and_can_be_repeated(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = write_model(tmp_path / "tiny.safetensors")
    for _ in range(2):
        ended = command(capfd, "demo", "--model", model)
        assert ended.code == Exit.FINE
    assert ended.out.split() == ["kptrack-demo/portrait.kptrack.mp4", "kptrack-demo/portrait.kptrack.parquet"]
    assert len(pictures(tmp_path / "kptrack-demo/portrait.kptrack.mp4")) == 5
    assert pq.read_table(tmp_path / "kptrack-demo/portrait.kptrack.parquet").num_rows > 0


def test_the_demo_shows_a_face_and_a_cat(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("ui.demo.DemoSource.frames", 6)
    ended = command(capfd, "demo", "-o", tmp_path)
    assert ended.code == Exit.FINE
    assert [line.rsplit("/", 1)[1] for line in ended.out.split()] == [
        *("portrait.kptrack.mp4", "portrait.kptrack.parquet"),
        *("cat.kptrack.mp4", "cat.kptrack.parquet"),
    ]
    for name, joints in (("portrait", 68), ("cat", 9)):
        rows = pq.read_table(tmp_path / f"{name}.kptrack.parquet").num_rows
        assert rows == 6 * joints, name  # one subject in every frame


def test_a_model_of_cats_alone_is_shown_the_cat(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("ui.demo.DemoSource.frames", 2)
    ended = command(capfd, "demo", "--model", "cat", "-o", tmp_path)
    assert ended.code == Exit.FINE
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("cat.kptrack.mp4", "cat.kptrack.parquet", "cat.mp4")
    ]


def test_without_the_portrait_it_says_what_to_install(capfd, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    model = write_model(tmp_path / "tiny.safetensors")
    ended = command(capfd, "demo", "--model", model, "-o", tmp_path)
    assert ended.code == Exit.INCAPABLE
    assert "pip install 'kptrack[demo]'" in ended.err
