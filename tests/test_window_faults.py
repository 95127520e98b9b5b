"""What breaks becomes a line in the window, which goes on: sources, models, files, slots, the display."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from clips import write_clip
from commands import command, start_command, write_model
from fakes import FakeCamera, FakeEngine
from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QFileDialog, QSlider
from windows import choose, close, listed, offers, open_window, press_action, running, serve, wait

from engines import MissingCapability
from tracker import TrackerSettings
from tracker.export import VideoSink
from tracker.feed import CameraError
from tracker.sinks import SinkError
from ui import live
from ui.failures import Exit
from ui.window import bridge, display, view
from ui.window.display import check_display, drop_opencv_plugins
from ui.window.errors import ErrorHooks
from ui.window.mainwindow import Window
from ui.window.settings import load_settings


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Ten seconds, longer than any test looks at it."""
    return str(write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", size=(160, 120), count=250))


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(bridge, "_PATIENCE_S", 0.3)


@pytest.fixture
def engines(monkeypatch):
    """A list of what the engines to come are made by."""
    makers = [FakeEngine]
    monkeypatch.setattr(live, "open_engine", lambda *_: makers[0]())
    return makers


@pytest.fixture
def window(qtbot, tmp_path, model, engines):
    with open_window(qtbot, tmp_path, model=model) as opened:
        yield opened


@pytest.fixture
def hooked(window):
    """The window with the hooks that the application installs."""
    hooks = ErrorHooks()
    hooks.caught.connect(window.banner.problem)
    hooks.install()
    yield window
    hooks.remove()


def skeleton(window: Window) -> str:
    """Of the landmarks that are shown; empty while there are none."""
    session = window.live.bridge.session
    shown = None if session is None else session.latest()
    return "" if shown is None or shown.info is None else shown.info.skeleton.name


# Sources.


def test_a_camera_that_does_not_open_can_be_tried_again(qtbot, window, monkeypatch):
    busy = [True]

    def make():
        if busy[0]:
            raise MissingCapability("HD Webcam does not open: used by another program")
        return FakeCamera()

    serve(monkeypatch, make)
    window.live.open("0")
    wait(qtbot, lambda: window.banner.text == "HD Webcam does not open: used by another program")
    assert window.live.welcome.isVisible()
    press_action(window)
    wait(qtbot, lambda: window.banner.text)  # still busy, and said again
    busy[0] = False
    press_action(window)
    wait(qtbot, lambda: running(window))
    wait(qtbot, lambda: not window.banner.text)
    assert window.live.canvas.isVisible()


def test_a_file_that_is_not_there_is_said(qtbot, window):
    window.live.open("/nowhere/clip.mp4")
    wait(qtbot, lambda: window.banner.text.startswith("clip.mp4: no such file"))
    assert window.live.bar.start.text() == "Start"


def test_a_camera_that_is_unplugged_comes_back(qtbot, window, monkeypatch):
    def unplug(index: int) -> None:
        if index == 10:
            raise CameraError("HD Webcam: no more pictures; unplugged")

    cameras = [FakeCamera(before=unplug), FakeCamera()]
    serve(monkeypatch, lambda: cameras.pop(0))
    window.live.open("0")
    wait(qtbot, lambda: "unplugged" in window.live.canvas.accessibleDescription())
    wait(qtbot, lambda: window.live.bridge.session.status().reconnects == 1)
    wait(qtbot, lambda: window.live.canvas.accessibleDescription() == "")


def test_a_camera_that_hangs_does_not_keep_the_window(qtbot, window, monkeypatch):
    hangs, freed = threading.Event(), threading.Event()

    def hang(_index: int) -> None:
        if running(window):
            hangs.set()
            freed.wait(20)

    serve(monkeypatch, lambda: FakeCamera(before=hang))
    window.live.open("0")
    wait(qtbot, hangs.is_set)
    begin = time.monotonic()
    window.close()
    wait(qtbot, lambda: not window.isVisible())
    assert time.monotonic() - begin < 3
    freed.set()


def test_a_source_that_does_not_answer_does_not_keep_the_window(qtbot, window, monkeypatch):
    freed = threading.Event()
    serve(monkeypatch, lambda: freed.wait(20) and FakeCamera())
    window.live.open("rtsp://host/stream")
    wait(qtbot, lambda: "Connecting to rtsp://host/stream" in window.live.canvas.accessibleDescription())
    window.close()
    wait(qtbot, lambda: not window.isVisible())
    freed.set()


# Models.


def test_closing_while_a_model_loads_does_not_wait_for_it(qtbot, window, engines, monkeypatch):
    freed = threading.Event()
    engines[0] = lambda: freed.wait(20) and FakeEngine()
    serve(monkeypatch, FakeCamera)
    window.live.open("0")
    wait(qtbot, lambda: window.live.bar.badge.text() == "loading …")
    window.close()
    wait(qtbot, lambda: not window.isVisible())
    freed.set()


def test_a_model_that_fails_leaves_the_picture(qtbot, window, engines, monkeypatch):
    class Broken(FakeEngine):
        def __call__(self, crops):
            raise RuntimeError("no memory left")

    engines[0] = Broken
    serve(monkeypatch, FakeCamera)
    window.live.open("0")
    wait(qtbot, lambda: "no memory left" in window.banner.text)
    before = window.live.bridge.session.status().shown
    wait(qtbot, lambda: window.live.bridge.session.status().shown > before + 3)
    assert window.live.bar.badge.text() == "no model"


def test_a_runtime_that_fails_leaves_the_one_before(qtbot, window, engines, monkeypatch):
    serve(monkeypatch, FakeCamera)
    window.live.open("0")
    wait(qtbot, lambda: running(window))

    def lacking():
        raise MissingCapability("no C++ compiler: install g++")

    engines[0] = lacking
    window.live.bar.badge.menu().actions()[-1].trigger()
    wait(qtbot, lambda: window.banner.text == "no C++ compiler: install g++")
    before = window.live.bridge.session.status().processed
    wait(qtbot, lambda: window.live.bridge.session.status().processed > before + 3)


def test_a_model_that_the_detector_does_not_suit_waits_for_another(qtbot, tmp_path, model, clip):
    with open_window(qtbot, tmp_path, model=model, tracking=TrackerSettings(detector="haar")) as window:
        window.live.open(clip)
        wait(qtbot, lambda: skeleton(window) == "face68")
        choose(window, "Model", "human")
        assert window.banner.text == "detector 'haar' does not find human; choose auto or center"
        assert offers(window) == []
        choose(window, "Detector", "hog")  # which does not suit what runs
        assert listed(window, "Detector").currentText() == "haar"
        choose(window, "Detector", "center")
        wait(qtbot, lambda: skeleton(window) == "human")
        assert window.models.currentText() == "human"


def test_a_model_file_that_was_mended_can_be_chosen_again(qtbot, window, tmp_path, engines, monkeypatch):
    mended = tmp_path / "mended.safetensors"
    mended.write_bytes(b"")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(mended), ""))
    serve(monkeypatch, FakeCamera)
    window.live.open("0")
    wait(qtbot, lambda: running(window))
    window.models.ask_file()
    assert window.banner.text.startswith("mended.safetensors")
    assert offers(window) == ["Choose a model…"]
    made = []
    engines[0] = lambda: made.append(FakeEngine()) or made[0]
    write_model(mended)
    press_action(window)
    wait(qtbot, lambda: made)
    assert not window.banner.text


def test_a_detector_that_is_refused_blocks_nothing(qtbot, window, tmp_path, monkeypatch):
    serve(monkeypatch, FakeCamera)
    window.live.open("0")
    wait(qtbot, lambda: running(window))
    choose(window, "Detector", "hog")
    assert "detector 'hog' does not find face68" in window.banner.text
    assert listed(window, "Detector").currentText() == "center"
    window.banner.dismiss()
    # The disc scores 0.9: with this threshold nobody is followed any more.
    wait(qtbot, lambda: window.live.bridge.session.latest().result.tracks)
    next(each for each in window.findChildren(QSlider) if each.accessibleName() == "Threshold").setValue(100)
    wait(qtbot, lambda: not window.live.bridge.session.latest().result.tracks)
    assert not window.banner.text
    close(qtbot, window)
    assert load_settings(tmp_path / "window.json").tracking == TrackerSettings(1.0, detector="center")


def test_a_start_that_a_detector_forbids_follows_another(qtbot, tmp_path, model, engines, monkeypatch):
    serve(monkeypatch, FakeCamera)
    with open_window(qtbot, tmp_path, model=model, tracking=TrackerSettings(detector="hog")) as window:
        window.live.open("0")
        assert "detector 'hog' does not find face68" in window.banner.text
        assert offers(window) == []
        choose(window, "Detector", "center")
        wait(qtbot, lambda: running(window))
        # Once it has been stopped, another detector starts nothing.
        choose(window, "Detector", "hog")
        window.live.stop()
        choose(window, "Detector", "auto")
        assert not window.live.bridge.active


def test_a_detector_chosen_while_a_model_loads_can_be_changed(qtbot, window, engines, monkeypatch):
    freed = threading.Event()
    engines[0] = lambda: freed.wait(20) and FakeEngine()
    serve(monkeypatch, FakeCamera)
    window.live.open("0")
    choose(window, "Detector", "hog")  # nothing says yet that it does not suit
    freed.set()
    wait(qtbot, lambda: "detector 'hog' does not find face68" in window.banner.text)
    choose(window, "Detector", "center")
    wait(qtbot, lambda: running(window))


# Recordings.


def test_a_disk_that_is_full_ends_the_recording_only(qtbot, window, monkeypatch):
    real, written = VideoSink.write, []

    def full(self, result):
        written.append(result)
        if len(written) > 5:
            raise SinkError("kptrack.mp4: cannot be written: No space left on device")
        real(self, result)

    monkeypatch.setattr(VideoSink, "write", full)
    serve(monkeypatch, FakeCamera)
    window.live.open("0")
    wait(qtbot, lambda: running(window))
    window.live.bar.record.trigger()
    wait(qtbot, lambda: "No space left on device" in window.banner.text)
    wait(qtbot, lambda: not window.live.bar.record.isChecked())
    assert running(window)


def test_a_recording_that_fails_while_the_window_closes_is_a_line(qtbot, window, monkeypatch, capfd):
    def full(self):
        raise SinkError("kptrack.mp4: cannot be written: No space left on device")

    monkeypatch.setattr(VideoSink, "finish", full)
    serve(monkeypatch, FakeCamera)
    window.live.open("0")
    wait(qtbot, lambda: running(window))
    window.live.bar.record.trigger()
    wait(qtbot, lambda: window.live.bridge.session.status().recording.frames > 3)
    close(qtbot, window)
    assert "No space left on device" in capfd.readouterr().err


# The window itself.


def test_an_exception_in_a_slot_is_a_line(qtbot, hooked):
    def slot():
        raise RuntimeError("a slot broke")

    QTimer.singleShot(0, slot)
    wait(qtbot, lambda: "a slot broke" in hooked.banner.text)
    assert "unexpected RuntimeError" in hooked.banner.text


def test_an_exception_in_a_thread_is_a_line(qtbot, hooked):
    def work():
        raise RuntimeError("a thread broke")

    threading.Thread(target=work).start()
    wait(qtbot, lambda: "a thread broke" in hooked.banner.text)


def test_an_overlay_that_fails_is_a_line(qtbot, hooked, monkeypatch):
    def broken(result, overlay):
        raise RuntimeError("no ink")

    with monkeypatch.context() as patch:
        patch.setattr(view, "draw", broken)
        serve(monkeypatch, FakeCamera)
        hooked.live.open("0")
        wait(qtbot, lambda: "no ink" in hooked.banner.text)
    wait(qtbot, lambda: running(hooked))


def test_settings_that_cannot_be_written_are_said(qtbot, window, tmp_path):
    (tmp_path / "window.json").mkdir()
    (tmp_path / "window.json" / "file").touch()
    window.live.bar.mirror.trigger()
    wait(qtbot, lambda: "settings are not remembered" in window.banner.text)


def test_closing_twice_is_closing_once(qtbot, window, monkeypatch):
    serve(monkeypatch, FakeCamera)
    window.live.open("0")
    wait(qtbot, lambda: running(window))
    window.close()
    window.close()
    close(qtbot, window)


# The application.


def test_without_a_display_it_ends_with_a_line(capfd, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    ended = command(capfd, "live")
    assert ended.code == Exit.INCAPABLE
    assert len(ended.err.splitlines()) == 1
    assert "no window can be opened: there is no display; --no-window works without one" in ended.err


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"DISPLAY": ":987"}, "display :987 does not answer"),
        ({"WAYLAND_DISPLAY": "wayland-987", "XDG_SESSION_TYPE": "wayland"}, "display wayland-987 does not"),
        ({"QT_QPA_PLATFORM": "nonsense"}, 'Could not find the Qt platform plugin "nonsense"'),
    ],
)
def test_a_display_that_does_not_work_is_one_line(monkeypatch, environment, reason):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(MissingCapability) as caught:
        check_display()
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_libraries_that_qt_lacks_are_named_in_a_line(monkeypatch):
    said = "qt.qpa.plugin: From 6.5.0, xcb-cursor0 or libxcb-cursor0 is needed to load the platform plugin\n"
    failed = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr(display.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(MissingCapability, match=r"apt-get install libxcb-cursor0 libxcb-icccm4 .*\S$"):
        check_display()


def test_a_display_that_hangs_is_not_waited_for(monkeypatch):
    def hang(*_, **options):
        raise subprocess.TimeoutExpired("probe", options["timeout"])

    monkeypatch.setattr(display.subprocess, "run", hang)
    with pytest.raises(MissingCapability, match="the display does not answer"):
        check_display()


def test_the_plugins_of_opencv_are_dropped_and_others_kept(monkeypatch):
    import cv2

    monkeypatch.setenv("QT_QPA_PLATFORM_PLUGIN_PATH", str(Path(cv2.__file__).parent / "qt" / "plugins"))
    monkeypatch.setenv("QT_QPA_FONTDIR", "/fonts")
    drop_opencv_plugins()
    assert "QT_QPA_PLATFORM_PLUGIN_PATH" not in os.environ
    assert os.environ["QT_QPA_FONTDIR"] == "/fonts"


def test_the_whole_command_opens_a_window_and_ends(tmp_path, model, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "kptrack").mkdir()
    (tmp_path / "kptrack" / "window.json").write_text("{")
    clip = write_clip(tmp_path / "clip.mp4", count=100)
    record = tmp_path / "out.mp4"
    process = start_command("live", clip, "--model", model, "--duration", "1.5s", "--record", record)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert load_settings(tmp_path / "kptrack" / "window.json").model == model
    assert not [line for line in err.splitlines() if "propagateSizeHints" not in line]
    assert record.exists()


_INTERRUPTED = """
import os, signal, threading, time
def interrupt():
    while signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_IGN):
        time.sleep(0.001)
    time.sleep(PAUSE)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
from ui.cli import main
main()
"""


@pytest.mark.parametrize("pause", ["0", "0.3"], ids=["that is about to be shown", "idle"])
def test_ctrl_c_closes_a_window(tmp_path, monkeypatch, pause):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    process = start_command("live", program=_INTERRUPTED.replace("PAUSE", pause))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (Exit.INTERRUPTED, "")
    assert "Traceback" not in err
