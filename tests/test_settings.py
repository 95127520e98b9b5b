"""What the window remembers, and what it does with a file that is not its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tracker import Overlay, TrackerSettings
from tracker.camera import CameraRequest
from ui.live import LiveOptions
from ui.window.options import merged
from ui.window.settings import Settings, load_settings, save_settings, settings_file

CHANGED = Settings(
    camera="2",
    model="cat",
    runtime="compile",
    mirror=True,
    tracking=TrackerSettings(
        min_score=0.25, max_subjects=2, detect_every=5, detector="center", smooth="none"
    ),
    overlay=Overlay(parts=("boxes",), scale=2.5),
    camera_width=640,
    camera_height=480,
    camera_fps=15,
    folder="/somewhere",
    record_data=True,
    panel=False,
    geometry="AAEC",
    recent=("/a.mp4", "rtsp://host/stream"),
)


def test_what_is_written_is_read(tmp_path):
    file = tmp_path / "new" / "window.json"
    save_settings(CHANGED, file)
    assert load_settings(file) == CHANGED
    assert [each.name for each in file.parent.iterdir()] == ["window.json"]


def test_without_a_file_there_are_defaults(tmp_path):
    assert load_settings(tmp_path / "window.json") == Settings()


def test_other_versions_may_know_more_or_less(tmp_path):
    file = tmp_path / "window.json"
    file.write_text(json.dumps({"mirror": True, "hats": 3, "tracking": {"min_score": 1}}))
    assert load_settings(file) == Settings(mirror=True, tracking=TrackerSettings(min_score=1))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("{", "Expecting"),
        ("[]", "not a JSON object"),
        ("[" * 100_000, "recursion"),
        ('{"mirror": "yes"}', "mirror is not a bool"),
        ('{"camera_fps": true}', "camera_fps is not a int"),
        ('{"recent": "all"}', "recent is not a list"),
        ('{"runtime": "tensort"}', "runtime 'tensort' is not one of"),
        ('{"recent": [1]}', "recent is not a list"),
        ('{"overlay": {"parts": ["hats"]}}', "'hats' is not one of"),
        ('{"tracking": {"min_score": 7}}', "min_score 7 is not a number from 0 to 1"),
        ('{"tracking": 7}', "not a JSON object"),
        ("\0\1\2", "Expecting value"),
        (" " * 2_000_000, "too large"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, text, reason):
    file = tmp_path / "window.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="window.json is damaged") as caught:
        load_settings(file)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    file = tmp_path / "window.json"
    file.write_bytes(b'{"model": "\xff"}')
    with pytest.raises(ValueError, match="window.json is damaged"):
        load_settings(file)


def test_a_folder_in_its_place_is_said(tmp_path):
    (tmp_path / "window.json").mkdir()
    with pytest.raises(ValueError, match="window.json: Is a directory"):
        load_settings(tmp_path / "window.json")


def test_recent_sources_are_the_newest_first_and_few(tmp_path):
    settings = Settings()
    for number in range(12):
        (tmp_path / f"{number}.mp4").touch()
        settings = settings.opened(str(tmp_path / f"{number}.mp4"))
    settings = settings.opened(str(tmp_path / "8.mp4"))
    assert [Path(each).stem for each in settings.recent] == ["8", "11", "10", "9", "7", "6", "5", "4"]


def test_recent_files_are_found_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "clip.mp4").touch()
    monkeypatch.chdir(tmp_path)
    assert Settings().opened("clip.mp4").recent == (str(tmp_path / "clip.mp4"),)


def test_passwords_are_not_remembered(tmp_path):
    settings = Settings().opened("rtsp://me:secret@host:554/stream?token=secret")
    assert settings.recent == ("rtsp://host:554/stream",)
    save_settings(settings, tmp_path / "window.json")
    assert "secret" not in (tmp_path / "window.json").read_text()


def test_cameras_and_names_that_are_no_files_are_not_recent(tmp_path):
    assert Settings().opened("1") == Settings(camera="1")
    assert Settings().opened("HD Webcam").recent == ()


def test_the_file_lies_where_the_system_keeps_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert settings_file().name == "window.json"
    assert settings_file().parent.name == "kptrack"


def test_the_command_line_wins_where_it_asks_for_something():
    assert merged(CHANGED, LiveOptions(), {"source", "record"}) == CHANGED
    # Also where it asks for what would be the default.
    options = LiveOptions(
        "face", settings=TrackerSettings(max_subjects=1), camera=CameraRequest((1280, 720), 30)
    )
    asked = {"model", "runtime", "max_subjects", "min_score", "camera_size", "camera_fps"}
    assert merged(CHANGED, options, asked) == replace(
        CHANGED,
        model="face",
        runtime="auto",
        tracking=replace(CHANGED.tracking, max_subjects=1, min_score=0.5),
        camera_width=1280,
        camera_height=720,
        camera_fps=30,
    )


def test_a_model_file_is_found_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "mine.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    settings = merged(Settings(), LiveOptions(model="mine.safetensors"), {"model"})
    assert settings.model == str(tmp_path / "mine.safetensors")


def test_what_is_asked_of_cameras_and_drawn():
    assert Settings().camera_request == CameraRequest()
    assert CHANGED.camera_request == CameraRequest((640, 480), 15)
    assert CHANGED.drawing == Overlay(parts=("boxes",), min_score=0.25, scale=2.5)
    assert CHANGED.saving_folder == Path("/somewhere")
    assert Settings().saving_folder.is_absolute()
