"""``kptrack live`` without a window, ``kptrack cameras``, ``kptrack bench --live`` and the soak."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time

import cv2
import cv2_enumerate_cameras
import numpy as np
import pyarrow.parquet as pq
import pytest
from clips import packets, picture, write_clip
from commands import command, start_command, write_model
from fakes import FakeCamera
from waiting import eventually

from engines import BuildCancelled, Points
from engines.model import shipped_models
from tracker import TrackerSettings, sources
from tracker.live import CameraRequest
from ui import bench_live, headless, soak
from ui import live as live_module
from ui.failures import Exit, UsageError
from ui.live import LiveOptions, engine_of, parse_size

KEYS = {
    *("seconds", "fps_in", "fps_processed", "fps_shown", "latency_p50_ms", "latency_p95_ms"),
    *("dropped", "rss_mb_start", "rss_mb_end", "runtime", "reconnects"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture
def camera(monkeypatch):
    """A camera that is plugged in for as long as anybody looks; the requests it was opened with."""
    requests = []

    def open_source(spec, *, camera, **_):
        assert spec == "0"
        requests.append(camera)
        return FakeCamera(every_s=0.02)

    monkeypatch.setattr(sources, "open_source", open_source)
    return requests


def live(capfd, model, *words):
    return command(capfd, "live", *words, "--no-window", "--model", model, "--detector", "center")


def test_a_picture_gets_its_landmarks_though_it_is_over_before_there_is_an_engine(capfd, model, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture(64, 48, 3))
    ended = live(capfd, model, tmp_path / "a.png", "--write-data", tmp_path / "a.csv")
    assert ended.code == Exit.FINE
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 1 + 68


def test_a_file_is_played_recorded_and_reported(capfd, model, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", count=25)
    out, data = tmp_path / "out.mp4", tmp_path / "out.parquet"
    ended = live(capfd, model, clip, "--record", out, "--write-data", data)
    assert ended.code == Exit.FINE, ended.err
    figures = json.loads(ended.out)
    assert set(figures) == KEYS
    assert set(figures["dropped"]) == {"infer", "display", "record"}
    assert 0.9 < figures["seconds"] < 5
    assert figures["runtime"] == "eager"
    assert figures["latency_p50_ms"] <= figures["latency_p95_ms"] < 500
    frames = len(packets(out, "video"))
    assert 5 < frames <= 25
    assert len(set(pq.read_table(data)["frame"].to_pylist())) == frames
    assert "clip.mp4: 64x48 at 25 frames/s" in ended.err
    assert "model: eager" in ended.err
    assert f"recorded {frames} frames, 0 left out" in ended.err


def test_a_camera_is_shown_for_as_long_as_asked(capfd, model, camera):
    ended = live(
        capfd, model, "--duration", "1s", "--camera-size", "1280x720", "--camera-fps", "30", "--mirror"
    )
    assert ended.code == Exit.FINE, ended.err
    assert camera == [CameraRequest((1280, 720), 30)]
    assert 1 <= json.loads(ended.out)["seconds"] < 3


def test_a_picture_that_cannot_be_drawn_is_said_once(capfd, model, camera, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("in overlay")

    monkeypatch.setattr(headless, "draw", fail)
    ended = live(capfd, model, "--duration", "1s")
    assert ended.code == Exit.FINE
    assert ended.err.count("a picture cannot be drawn: unexpected ZeroDivisionError: in overlay") == 1
    assert json.loads(ended.out)["fps_shown"] > 0


def test_what_cannot_be_opened_is_one_line_and_a_code(capfd, model, tmp_path):
    ended = live(capfd, model, "99")
    assert ended.code == Exit.INCAPABLE
    assert "kptrack: camera 99 does not open" in ended.err
    assert json.loads(ended.out)["fps_in"] == 0
    ended = live(capfd, model, tmp_path / "missing.mp4")
    assert ended.code == Exit.FAILED
    assert "kptrack: missing.mp4: no such file or camera" in ended.err


def test_a_stream_that_is_not_there_is_tried_until_the_time_is_over(capfd, model):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}/live?key=hidden"
        ended = live(capfd, model, address, "--duration", "1s")
    assert ended.code == Exit.FAILED
    assert "trying again" in ended.err
    assert "no picture came" in ended.err
    assert not any(word in ended.err + ended.out for word in ("secret", "hidden"))


@pytest.mark.parametrize(
    "words",
    [
        ["--camera-size", "big"],
        ["--camera-size", "0x10"],
        ["--duration", "soon"],
        ["--duration", ""],
        ["--camera-size", ""],
        ["--smooth", "sandpaper"],
        ["--record", "a.png"],
        ["--write-data", "a.xml"],
        ["--runtime", "tensort"],
        ["--precision", "int3"],
        ["--record", "there.mp4"],
    ],
)
def test_what_makes_no_sense_ends_with_2(capfd, model, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.mp4").write_bytes(b"")
    ended = live(capfd, model, "0", *words)
    assert ended.code == Exit.USAGE
    assert ended.out == ""
    assert ended.err.count("\n") == 1


def test_an_empty_name_opens_no_camera(capfd, model, camera):
    ended = live(capfd, model, "")
    assert ended.code == Exit.USAGE
    assert "an input has no name" in ended.err
    assert camera == []


@pytest.mark.parametrize("name", ["no-such-model", ""])
def test_a_model_that_is_not_there_ends_with_2(capfd, name):
    assert command(capfd, "live", "0", "--no-window", "--model", name).code == Exit.USAGE
    with pytest.raises(UsageError):
        engine_of(LiveOptions(model="no-such-model"))
    with pytest.raises(UsageError, match="'hog' does not find face68"):
        engine_of(LiveOptions(model="face", settings=TrackerSettings(detector="hog")))


def test_a_slow_runtime_comes_behind_a_quick_one(model, monkeypatch):
    build, digest, better = engine_of(LiveOptions(model=str(model), runtime="compile"))
    assert build().runtime == "eager"
    assert len(digest) == 64
    assert better is not None
    told = []
    monkeypatch.setattr(live_module, "open_engine", lambda *given: told.append(given[-1]("timing", 0.5)))
    better(lambda phase, share: told.append((phase, share)) or True)
    assert told == [("compiling", None), ("timing", 0.5), True]
    assert engine_of(LiveOptions(model=str(model), runtime="eager"))[2] is None


def test_a_build_tells_its_phases(capfd, model, camera, monkeypatch):
    real = live_module.open_engine

    def open_engine(loaded, runtime, precision, device, report=None):
        if runtime != "tensorrt":
            return real(loaded, runtime, precision, device)
        for phase, share in (("exporting", None), ("timing", 0.1), ("timing", 0.2)):
            assert report(phase, share)
            time.sleep(0.3)
        while report("timing", 0.9):
            time.sleep(0.01)
        raise BuildCancelled

    monkeypatch.setattr(live_module, "open_engine", open_engine)
    ended = live(capfd, model, "--duration", "2s", "--runtime", "tensorrt")
    assert ended.code == Exit.FINE, ended.err
    assert [line for line in ended.err.splitlines() if line.startswith("building")] == [
        "building: exporting",
        "building: timing",
    ]


def test_sizes():
    assert parse_size("1280x720") == (1280, 720)
    with pytest.raises(UsageError, match="'720p' is not a size such as 1280x720"):
        parse_size("720p")


def test_ctrl_c_closes_the_recording(model, tmp_path):
    clip, out = write_clip(tmp_path / "clip.mp4", count=1000), tmp_path / "out.mp4"
    process = start_command(
        "live", clip, "--no-window", "--model", model, "--detector", "center", "--record", out
    )
    eventually((tmp_path / "out.part.mp4").exists, 30)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    answer, said = process.communicate(timeout=30)
    assert process.returncode == Exit.INTERRUPTED, said
    assert set(json.loads(answer)) == KEYS
    assert len(packets(out, "video")) > 3


HANGING = """
import sys, threading
sys.path.insert(0, "tests")
from fakes import FakeCamera
from waiting import eventually
from tracker import capture, sources
from ui import headless
capture._STALLED_S = headless._PATIENCE_S = 0.3
hang = lambda index: index == 5 and threading.Event().wait()
sources.open_source = lambda *_, **__: FakeCamera(before=hang)
from ui.cli import main
main()
"""


def test_a_source_that_hangs_in_read_does_not_spoil_the_exit(model):
    process = start_command(
        *("live", "0", "--no-window", "--model", model, "--detector", "center", "--duration", "1s"),
        program=HANGING,
    )
    answer, said = process.communicate(timeout=30)
    assert process.returncode == Exit.FINE, said
    assert "fake camera: no picture comes" in said
    assert set(json.loads(answer)) == KEYS


def test_cameras_are_listed(capfd, monkeypatch):
    class Info:
        index, name = 0, "Integrated Camera"

    monkeypatch.setattr(cv2_enumerate_cameras, "enumerate_cameras", lambda way: [Info])
    assert command(capfd, "cameras").out == "0  Integrated Camera\n"
    assert json.loads(command(capfd, "cameras", "--json").out) == [{"index": 0, "name": "Integrated Camera"}]
    monkeypatch.setattr(cv2_enumerate_cameras, "enumerate_cameras", lambda way: [])
    ended = command(capfd, "cameras")
    assert (ended.code, ended.out, ended.err) == (Exit.FINE, "", "no camera is plugged in\n")
    assert json.loads(command(capfd, "cameras", "--json").out) == []


@pytest.fixture(scope="module")
def face_clip(shared_data):
    return shared_data / "videos" / "faces" / "liveportrait_d20.mp4"


def test_bench_live_plays_a_clip_with_and_without_a_slow_engine(
    capfd, model, tmp_path, monkeypatch, face_clip
):
    monkeypatch.setattr(bench_live, "_SECONDS", 1.8)
    monkeypatch.setattr(bench_live, "_MOST_FRAMES", 30)
    report, table = tmp_path / "b.json", tmp_path / "b.md"
    ended = command(
        *(capfd, "bench", "--model", model, "--live", face_clip, "--json", report, "--markdown", table),
    )
    assert ended.code == Exit.FINE, ended.err
    found = json.loads(report.read_text())
    assert set(found) == {"machine", "versions", "live"}
    plain, slow = found["live"]
    assert set(plain) == set(slow) == KEYS | {"added_ms"}
    assert (plain["added_ms"], slow["added_ms"]) == (0, 200)
    assert slow["fps_processed"] < 6
    assert 200 < slow["latency_p50_ms"] <= 300
    assert slow["dropped"]["infer"] > 10
    assert table.read_text() == ended.out
    assert command(capfd, "bench", "--live", face_clip, "--video", face_clip).code == Exit.USAGE


def test_a_steady_clip_is_720p_at_30(tmp_path):
    path = bench_live.write_steady(write_clip(tmp_path / "a.mp4", count=10), tmp_path / "b.mp4")
    with sources.open_source(path) as source:
        assert (source.width, source.height, source.fps) == (1280, 720, 30)
        frames = list(source)
    assert len(frames) == 10
    assert frames[0].image[360, 5].max() < 20  # beside the picture
    assert frames[0].image[360, 400].max() > 150


@pytest.mark.parametrize(
    ("gpu", "asked", "taken"),
    [
        (False, (), "face-fast"),
        (True, (), "face"),
        (True, ("--device", "cpu"), "face-fast"),
        (False, ("--model", "face"), "face"),
    ],
)
def test_live_takes_the_student_where_there_is_no_gpu(capfd, monkeypatch, gpu, asked, taken):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    taken_by: list[str] = []
    monkeypatch.setattr(headless, "run_headless", lambda source, options: taken_by.append(options.model) or 0)
    assert command(capfd, "live", "clip.mp4", "--no-window", *asked).code == Exit.FINE
    assert taken_by == [taken]
    assert taken in shipped_models()


def test_the_soak_tells_what_grew(capfd, model, tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "a.mp4", count=15)
    monkeypatch.setattr(soak, "_SAMPLE_EVERY_S", 0.1)
    monkeypatch.setattr(soak, "_SAY_EVERY_S", 0.5)
    monkeypatch.setattr(sys, "argv", ["soak", str(clip), "--minutes", str(2 / 60), "--model", str(model)])
    assert soak.main() == Exit.FINE
    figures = json.loads(capfd.readouterr().out)
    assert set(figures) == KEYS | {
        *("rss_growth_mb", "latency_slope_ms_per_minute", "samples", "minutes"),
        *("threads_left", "handles_left"),
    }
    assert [set(each) for each in figures["minutes"][:1]] == [
        {"frames", "processor_ms", "latency_p50_ms", "latency_p95_ms"}
    ]
    assert figures["minutes"][-1]["frames"] > 3
    assert figures["minutes"][-1]["processor_ms"] > 0
    assert figures["threads_left"] == []
    assert figures["handles_left"] in (0, None)
    assert figures["samples"] > 3
    monkeypatch.setattr(sys, "argv", ["soak", str(tmp_path / "missing.mp4"), "--model", str(model)])
    assert soak.main() == Exit.FAILED


def test_a_slowed_engine_is_the_engine_but_slower(model):
    build, _, _ = engine_of(LiveOptions(model=str(model)))
    engine = build()
    slowed = bench_live.Slowed(engine, 50)
    begin = time.perf_counter()
    assert isinstance(slowed(np.zeros((1, 32, 32, 3), np.uint8)), Points)
    assert time.perf_counter() - begin > 0.05
    assert (slowed.input_size, slowed.runtime) == (engine.input_size, engine.runtime)
    slowed.close()
