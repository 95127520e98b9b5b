"""Names of results, and what is refused before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

from ui.failures import UsageError
from ui.jobs import Job, parse_time, plan, settle_existing


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_results_lie_beside_their_input(tmp_path):
    clip = tmp_path / "clip.mov"
    touch(clip)
    assert plan([str(clip)], None) == [
        Job(str(clip), tmp_path / "clip.kptrack.mp4", tmp_path / "clip.kptrack.parquet")
    ]


def test_a_picture_stays_a_picture(tmp_path):
    assert plan([str(tmp_path / "face.JPG")], None)[0].video == tmp_path / "face.kptrack.JPG"


@pytest.mark.parametrize(
    ("output", "video"),
    [
        ("new", "new/clip.kptrack.mp4"),
        ("new.folder", "new.folder/clip.kptrack.mp4"),
        ("other.mp4", "other.mp4"),
    ],
)
def test_output_is_a_folder_or_a_name(tmp_path, output, video):
    job = plan([str(tmp_path / "clip.mp4")], tmp_path / output)[0]
    assert job.video == tmp_path / video
    assert job.data == (tmp_path / video).with_suffix(".parquet")


@pytest.mark.parametrize(("data", "suffix"), [("csv", ".csv"), ("jsonl", ".jsonl"), ("coco", ".json")])
def test_data_has_the_ending_of_its_kind(data, suffix):
    job = plan(["clip.mp4"], None, video=False, data=data)[0]
    assert job.video is None
    assert job.data == Path(f"clip.kptrack{suffix}")


def test_a_folder_stands_for_its_files_and_keeps_its_sub_folders(tmp_path):
    touch(tmp_path / "in/b/two.mp4", tmp_path / "in/one.mp4", tmp_path / "in/notes.txt")
    assert [job.source for job in plan([str(tmp_path / "in")], None)] == [str(tmp_path / "in/one.mp4")]
    jobs = plan([str(tmp_path / "in")], tmp_path / "out", recursive=True)
    assert [job.video for job in jobs] == [
        tmp_path / "out/one.kptrack.mp4",
        tmp_path / "out/b/two.kptrack.mp4",
    ]


def test_a_picture_and_a_clip_of_one_name_keep_their_endings(tmp_path):
    touch(tmp_path / "in/IMG_1.JPG", tmp_path / "in/IMG_1.MOV", tmp_path / "in/IMG_2.MOV")
    jobs = plan([str(tmp_path / "in")], tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for job in jobs for path in job.outputs] == [
        *("IMG_1.jpg.kptrack.JPG", "IMG_1.jpg.kptrack.parquet"),
        *("IMG_1.mov.kptrack.mp4", "IMG_1.mov.kptrack.parquet"),
        *("IMG_2.kptrack.mp4", "IMG_2.kptrack.parquet"),
    ]


def test_clips_of_one_name_in_two_folders_keep_it():
    jobs = plan(["x/clip.mp4", "y/clip.mp4"], None, data="none")
    assert [job.video for job in jobs] == [Path("x/clip.kptrack.mp4"), Path("y/clip.kptrack.mp4")]


def test_clips_of_one_name_in_a_folder_that_is_named_in_two_ways_keep_their_endings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs = plan(["x/clip.mp4", str(tmp_path / "x/clip.mov")], None, data="none")
    assert [job.video.name for job in jobs] == ["clip.mp4.kptrack.mp4", "clip.mov.kptrack.mp4"]
    with pytest.raises(UsageError, match="result of 2 inputs"):
        plan(["x/clip.mp4", str(tmp_path / "x/clip.mp4")], None)


def test_a_file_is_no_folder_for_results(tmp_path):
    touch(tmp_path / "results")
    with pytest.raises(UsageError, match="results is a file: give a folder"):
        plan(["a.mp4"], tmp_path / "results")


def test_streams_and_cameras_write_into_the_working_folder_without_passwords():
    stream, camera = plan(["rtsp://me:secret@host:554/live/door?token=1", "0"], None)
    assert stream.video == Path("door.kptrack.mp4")
    assert camera.video == Path("camera-0.kptrack.mp4")
    assert stream.shown == "rtsp://host:554/live/door"


@pytest.mark.parametrize(
    ("inputs", "output", "options", "words"),
    [
        (["a.mp4", "b.mp4"], "out.mp4", {}, "2 inputs"),
        (["a.mp4"], "out.parquet", {}, "ending in .mp4"),
        (["a.png"], "out.mp4", {}, ".png"),
        (["a.mp4"], "a.mp4", {}, "is an input"),
        (["a.part.mp4"], "a.mp4", {}, "a.part.mp4 is an input"),  # it would be written over
        (["a.mp4", "b/../a.mp4"], "out", {}, "result of 2 inputs"),
        (["a.mp4"], None, {"video": False, "data": "none"}, "nothing to write"),
        (["a.mp4"], None, {"data": "xml"}, "not one of parquet"),
    ],
)
def test_what_makes_no_sense_is_refused(inputs, output, options, words):
    with pytest.raises(UsageError, match=words):
        plan(inputs, Path(output) if output else None, **options)


def test_an_output_that_is_an_input_by_another_name_is_refused(tmp_path):
    clip, link = tmp_path / "clip.mp4", tmp_path / "link.mp4"
    clip.touch()
    link.hardlink_to(clip)
    with pytest.raises(UsageError, match="is an input"):
        plan([str(clip)], link)


def test_nothing_that_exists_is_replaced_unasked(tmp_path):
    jobs = plan([str(tmp_path / "a.mp4")], None)
    touch(tmp_path / "a.kptrack.mp4")
    with pytest.raises(UsageError, match="--overwrite"):
        settle_existing(jobs, skip=False, overwrite=False)
    assert settle_existing(jobs, skip=False, overwrite=True) == jobs
    half = settle_existing(jobs, skip=True, overwrite=False)[0]
    assert half.outputs == [tmp_path / "a.kptrack.parquet"]
    with pytest.raises(UsageError, match="exclude"):
        settle_existing(jobs, skip=True, overwrite=True)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1:30", 90), ("0:01:30.5", 90.5)])
def test_times(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-3", "1:2:3:4", "1h"])
def test_times_that_are_none(text):
    with pytest.raises(UsageError, match="not a time"):
        parse_time(text)
