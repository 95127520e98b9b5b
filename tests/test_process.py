"""``kptrack process`` from the outside: files, exit codes, machine-readable output, interruption."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import socket
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from clips import damage, packets, picture, served, truncate, write_clip, write_sound
from commands import Ended, command, start_command, write_model
from fakes import FakeSource

from tracker import Pipeline, Status, Tracker, open_source
from ui import process
from ui.failures import Exit

REPORT = {
    *("input", "output", "data", "frames", "frames_left_out", "frames_with_subject", "seconds", "fps"),
    "stages_ms",
}
FRAMES = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture
def track(capfd, model):
    """``kptrack process`` with the tiny model, which takes the middle of the picture for a face."""

    def run(*arguments: object) -> Ended:
        return command(capfd, "process", "--model", model, "--detector", "center", *arguments)

    return run


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "clip.mp4", count=FRAMES, audio="aac")


def frames_of(path: Path) -> int:
    """How many frames a video decodes to."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_clip_becomes_a_video_with_sound_and_a_table(track, clip, tmp_path):
    ended = track(clip)
    assert ended.code == Exit.FINE
    assert ended.out == ""  # text goes to stderr
    assert f"{FRAMES} frames, {FRAMES} with a subject" in ended.err
    assert "eager" in ended.err
    assert names(tmp_path) == {"clip.mp4", "clip.kptrack.mp4", "clip.kptrack.parquet"}
    assert frames_of(tmp_path / "clip.kptrack.mp4") == FRAMES
    with av.open(str(tmp_path / "clip.kptrack.mp4")) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]
    table = pq.read_table(tmp_path / "clip.kptrack.parquet")
    assert table.num_rows == FRAMES * 68
    assert str(tmp_path) not in str(table.schema.metadata)


def test_json_progress_is_lines_and_a_report_an_input(track, clip, tmp_path):
    ended = track(clip, "--progress", "json", "-o", tmp_path / "out")
    *lines, report = map(json.loads, ended.out.splitlines())
    assert set(report) == REPORT
    assert report["input"] == str(clip)
    assert report["output"] == str(tmp_path / "out/clip.kptrack.mp4")
    assert report["data"] == str(tmp_path / "out/clip.kptrack.parquet")
    assert (report["frames"], report["frames_with_subject"]) == (FRAMES, FRAMES)
    assert {"decode", "infer", "draw", "encode"} <= set(report["stages_ms"])
    assert all(set(line) == {"input", "frame", "frames", "fps"} for line in lines)


def test_the_bar_takes_any_name(track, tmp_path):
    clip = write_clip(tmp_path / "[red] clip.mp4", count=3)
    assert track(clip, "--progress", "rich").code == Exit.FINE


def test_parts_of_the_work_can_be_left_out(track, clip, tmp_path):
    assert track(clip, "--no-video", "--data", "csv", "--max-frames", "3").code == Exit.FINE
    assert len((tmp_path / "clip.kptrack.csv").read_text().splitlines()) == 1 + 3 * 68
    assert track(clip, "--data", "none", "--start", "0.2", "--end", "0:00.4").code == Exit.FINE
    assert frames_of(tmp_path / "clip.kptrack.mp4") == 5
    assert names(tmp_path) == {"clip.mp4", "clip.kptrack.csv", "clip.kptrack.mp4"}


@pytest.mark.parametrize(
    "words",
    [
        ["--runtime", "tpu"],
        ["--precision", "int3"],
        ["--device", "abacus"],
    ],
)
def test_choices_of_the_engine_are_checked(track, clip, tmp_path, words):
    ended = track(clip, *words)
    assert ended.code == Exit.USAGE
    assert words[1] in ended.err
    assert names(tmp_path) == {"clip.mp4"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--start", "0:02", "--end", "0:01"], "end 1.0 s is not after the start 2.0 s"),
        (["--end", "0"], "end 0.0 s is not after"),
        (["--detector", "hog"], "detector 'hog' does not find face68"),
        ([""], "an input has no name"),
    ],
)
def test_what_no_input_could_be_processed_with_is_one_line(track, clip, tmp_path, words, said):
    ended = track(clip, *words)
    assert ended.code == Exit.USAGE
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert names(tmp_path) == {"clip.mp4"}


def test_a_pattern_may_name_the_results_too(track, clip, tmp_path):
    assert track(clip).code == Exit.FINE
    torso = tmp_path / "clip.kptrack.part.mp4"
    torso.write_text("torso")
    given = sorted(str(each) for each in tmp_path.glob("*.mp4"))
    assert len(given) == 3
    ended = track(*given, "--skip-existing")
    assert ended.code == Exit.FINE, ended.err
    assert "clip.mp4: skipped" in ended.err
    assert names(tmp_path) == {"clip.mp4", "clip.kptrack.mp4", "clip.kptrack.parquet", torso.name}
    # Whoever names nothing but a result means it.
    assert track(tmp_path / "clip.kptrack.mp4", "-o", tmp_path / "out").code == Exit.FINE


def test_joined_recordings_with_sound_of_a_transport_stream(track, tmp_path):
    one = write_clip(tmp_path / "one.ts", count=50, audio="aac")
    (tmp_path / "joined.ts").write_bytes(one.read_bytes() * 2)
    ended = track(tmp_path / "joined.ts")
    assert ended.code == Exit.FINE, ended.err
    assert "sound: aac re-encoded to AAC, it comes without a header" in ended.err
    for kind in ("video", "audio"):
        times = [time for time, _ in packets(tmp_path / "joined.kptrack.mp4", kind)]
        assert 3.8 < times[-1] < 4.2


def test_an_overlay_of_nothing(track, clip, tmp_path):
    assert track(clip, "--overlay", "none", "--min-score", "1").code == Exit.FINE
    assert frames_of(tmp_path / "clip.kptrack.mp4") == FRAMES


def test_the_input_is_not_written_over_though_its_name_is_that_of_a_part(track, clip):
    part = clip.rename(clip.with_name("clip.part.mp4"))
    before = part.read_bytes()
    assert track(part, "-o", clip).code == Exit.USAGE
    assert part.read_bytes() == before


def test_nothing_is_replaced_unasked(track, clip, tmp_path):
    result = tmp_path / "clip.kptrack.mp4"
    result.write_text("mine")
    ended = track(clip)
    assert ended.code == Exit.USAGE
    assert ended.err.count("\n") == 1
    assert result.read_text() == "mine"
    assert track(clip, "--overwrite").code == Exit.FINE
    assert frames_of(result) == FRAMES


def test_existing_results_are_skipped_but_not_a_killed_runs_torso(track, clip, tmp_path):
    (tmp_path / "clip.kptrack.part.mp4").write_text("torso")
    assert "12 frames" in track(clip, "--skip-existing").err
    before = (tmp_path / "clip.kptrack.mp4").stat().st_mtime_ns
    ended = track(clip, "--skip-existing", "--progress", "json")
    assert ended.code == Exit.FINE
    assert "skipped" in ended.err
    assert [set(report) for report in ended.reports] == [REPORT]
    assert (tmp_path / "clip.kptrack.mp4").stat().st_mtime_ns == before


def test_the_output_is_never_the_input(track, clip):
    before = clip.read_bytes()
    assert track(clip, "-o", clip, "--overwrite").code == Exit.USAGE
    assert clip.read_bytes() == before


def test_a_picture_becomes_an_annotated_picture(track, tmp_path):
    cv2.imwrite(str(tmp_path / "face.png"), picture(64, 48, 0))
    assert track(tmp_path / "face.png").code == Exit.FINE
    assert cv2.imread(str(tmp_path / "face.kptrack.png")).shape == (48, 64, 3)
    assert pq.read_table(tmp_path / "face.kptrack.parquet").num_rows == 68


def test_each_file_of_a_folder_is_an_input(track, tmp_path):
    (tmp_path / "in/sub").mkdir(parents=True)
    write_clip(tmp_path / "in/a.mp4", count=3)
    write_clip(tmp_path / "in/sub/b.mp4", count=3)
    ended = track(tmp_path / "in", "--recursive", "-o", tmp_path / "out", "--progress", "json")
    assert ended.code == Exit.FINE
    assert len(ended.reports) == 2
    assert "2 inputs: 2 done" in ended.err
    assert names(tmp_path / "out/sub") == {"b.kptrack.mp4", "b.kptrack.parquet"}


def test_a_clip_without_a_face_is_fine_with_a_warning(capfd, model, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", size=(320, 240), count=3)
    ended = command(capfd, "process", clip, "--model", model, "--detector", "haar")
    assert ended.code == Exit.FINE
    assert "warning: no subject found" in ended.err
    assert frames_of(tmp_path / "clip.kptrack.mp4") == 3


def empty(path: Path) -> None:
    path.touch()


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(50_000))


def headless(path: Path) -> None:
    write_clip(path, faststart=True)
    truncate(path, 0.05)


def text(path: Path) -> None:
    path.write_text("#EXTM3U\nhttp://127.0.0.1:9/clip.ts\n")


def missing(path: Path) -> None:
    pass


@pytest.mark.parametrize("make", [empty, noise, headless, text, write_sound, missing])
def test_what_cannot_be_read_is_one_line(track, tmp_path, make):
    make(tmp_path / "bad.mp4")
    before = names(tmp_path)
    ended = track(tmp_path / "bad.mp4", "--progress", "json")
    assert ended.code == Exit.FAILED
    assert ended.err.count("\n") == 1
    assert "bad.mp4" in ended.err
    assert [report["output"] for report in ended.reports] == [None]
    assert names(tmp_path) == before


def test_a_folder_without_clips_is_one_line(track, tmp_path):
    ended = track(tmp_path)
    assert ended.code == Exit.FAILED
    assert ended.err.count("\n") == 1


def test_damage_in_the_middle_is_counted_and_the_rest_is_kept(track, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", size=(160, 120), count=100, faststart=True)
    damage(clip, 0.5, 0.6)
    ended = track(clip)
    assert ended.code == Exit.FAILED
    assert "frames could not be decoded" in ended.err
    assert 50 < frames_of(tmp_path / "clip.kptrack.mp4") < 100


def test_one_bad_input_does_not_stop_the_others(track, clip, tmp_path):
    empty(tmp_path / "bad.mp4")
    ended = track(tmp_path / "bad.mp4", clip, "-o", tmp_path / "out")
    assert ended.code == Exit.SOME_FAILED
    assert names(tmp_path / "out") == {"clip.kptrack.mp4", "clip.kptrack.parquet"}


def test_a_folder_that_cannot_be_made_is_one_line(track, clip, tmp_path):
    (tmp_path / "file").touch()
    ended = track(clip, "-o", tmp_path / "file/below")
    assert ended.code == Exit.FAILED
    assert "cannot be written" in ended.err


def test_a_url_that_does_not_answer_ends_in_time(track, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(process, "open_source", partial(open_source, timeout_s=1.0))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        ended = track(f"http://me:secret@127.0.0.1:{silent.getsockname()[1]}/clip.mp4?key=hidden")
    assert time.monotonic() - begin < 8
    assert ended.code == Exit.FAILED
    assert "secret" not in ended.err
    assert "hidden" not in ended.err
    assert ended.err.count("\n") == 1


def test_a_gpu_that_is_not_there_is_a_missing_capability(track, clip):
    assert track(clip, "--device", "cuda:99").code == Exit.INCAPABLE


def test_compiling_without_a_compiler_is_a_missing_capability(track, clip, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    ended = track(clip, "--runtime", "compile", "--device", "cpu")
    assert ended.code == Exit.INCAPABLE
    assert "g++" in ended.err


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("long") / "long.mp4", size=(320, 240), count=3000, gop=50)


def begin(clip: Path, model: Path, output: Path, **options):
    """A run of its own process that has written some frames."""
    run = start_command(
        *("process", clip, "--model", model, "--detector", "center", "-o", output),
        *("--progress", "json", "--preset", "medium", "--max-subjects", "1"),
        **options,
    )
    assert run.stdout is not None
    for line in run.stdout:
        if json.loads(line)["frame"] > 60:
            break
    return run


def test_ctrl_c_closes_the_files_and_ends_with_130(model, long_clip, tmp_path):
    run = begin(long_clip, model, tmp_path)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == Exit.INTERRUPTED
    assert "interrupted" in err
    assert "Traceback" not in err
    report = json.loads(out.splitlines()[-1])
    assert 60 < report["frames"] < 3000
    assert frames_of(tmp_path / "long.kptrack.part.mp4") == report["frames"]
    assert pq.read_table(report["data"]).num_rows == 68 * report["frames_with_subject"]
    # Not named as results: --skip-existing would never come back to the rest.
    assert names(tmp_path) == {"long.kptrack.part.mp4", "long.kptrack.part.parquet"}
    assert report["output"] == str(tmp_path / "long.kptrack.part.mp4")


def test_kill_leaves_a_part_that_plays(model, long_clip, tmp_path):
    run = begin(long_clip, model, tmp_path)
    run.kill()
    run.communicate(timeout=30)
    assert frames_of(tmp_path / "long.kptrack.part.mp4") > 10
    assert not (tmp_path / "long.kptrack.mp4").exists()


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams_stop_nothing(model, clip, tmp_path, closed):
    # Before the program's own lines, as the shell does.
    program = (
        f"import os, sys\nfor each in {closed}: os.close(each)\n"
        "os.execv(sys.executable, [sys.executable, '-c', 'from ui.cli import main; main()', *sys.argv[1:]])"
    )
    words = ("process", clip, "--model", model, "--detector", "center", "-o", tmp_path / "out")
    run = start_command(*words, program=program)
    run.communicate(timeout=60)
    assert run.returncode == Exit.FINE
    assert names(tmp_path / "out") == {"clip.kptrack.mp4", "clip.kptrack.parquet"}
    assert frames_of(tmp_path / "out/clip.kptrack.mp4") == FRAMES


def test_a_second_ctrl_c_leaves_at_once():
    program = (
        "import os, signal, time\nfrom ui.interrupt import Interrupt\n"
        "with Interrupt() as interrupt, interrupt.held():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    assert interrupt.asked\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
    )
    run = start_command(program=program)
    run.communicate(timeout=20)
    assert run.returncode == Exit.INTERRUPTED


def test_a_full_disk_is_one_line(model, long_clip, tmp_path):
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    run = start_command(
        *("process", long_clip, "--model", model, "--detector", "center", "-o", tmp_path, "--data", "none"),
        preexec_fn=small_files,
    )
    _, err = run.communicate(timeout=60)
    assert run.returncode == Exit.FAILED
    assert "Traceback" not in err
    assert "File too large" in err
    assert not (tmp_path / "long.kptrack.mp4").exists()


step = Tracker.step


class Hurried(Pipeline):
    """Loses all frames but a few, as of a stream that is too fast."""

    def status(self) -> Status:
        return replace(super().status(), dropped=7)


def test_frames_that_there_was_no_time_for_are_told(track, clip, monkeypatch):
    monkeypatch.setattr(process, "Pipeline", Hurried)
    ended = track(clip, "--progress", "json")
    assert f"{clip}: 7 frames left out: this machine is too slow for the stream" in ended.err
    assert json.loads(ended.out.splitlines()[-1])["frames_left_out"] == 7


@pytest.mark.parametrize(
    ("address", "policy"),
    [("http://host/a.webm", "wait"), ("https://host/a.webm", "wait"), ("rtsp://host/a", None), (None, None)],
)
def test_what_waits_for_its_reader_loses_no_frame(address, policy):
    source = FakeSource(1)
    source.address = address
    assert process._policy(source) == policy


def test_a_file_of_a_web_server_that_tells_no_length_is_whole(track, tmp_path, monkeypatch):
    write_clip(tmp_path / "a.webm", count=60, codec="libvpx", options={"deadline": "realtime"}, live=True)
    monkeypatch.setattr(Tracker, "step", lambda self, frame: (time.sleep(0.02), step(self, frame))[1])
    with served(tmp_path) as address:
        with open_source(f"{address}/a.webm") as source:
            assert source.live
        ended = track(f"{address}/a.webm", "--progress", "json", "-o", tmp_path / "out.mp4")
    assert ended.code == Exit.FINE
    report = json.loads(ended.out.splitlines()[-1])
    assert (report["frames"], report["frames_left_out"]) == (60, 0)
