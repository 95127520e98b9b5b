"""The Live tab as a person uses it: real widgets, the real pipeline, a clip; fakes where something breaks."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import write_clip
from commands import write_model
from fakes import FakeCamera, FakeEngine
from PyQt6.QtCore import QMimeData, Qt, QUrl
from PyQt6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QLabel,
    QMenu,
    QPushButton,
    QSlider,
    QWidget,
)
from windows import choose, close, drop, open_window, pixels, press, press_action, running, serve, wait

from tracker import sources
from tracker.camera import Camera, CameraRequest
from tracker.overlay import colour_of
from ui import live
from ui.live import LiveOptions
from ui.window import cameras
from ui.window.entries import EntryTable
from ui.window.mainwindow import Window
from ui.window.settings import load_settings

Key = Qt.Key


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Ten seconds, longer than any test looks at it."""
    return str(write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", size=(160, 120), count=250))


@pytest.fixture
def window(qtbot, tmp_path, model):
    with open_window(qtbot, tmp_path, model=model) as opened:
        yield opened


@pytest.fixture
def faked(monkeypatch):
    """Engines are fakes from now on, made by what is assigned to ``faked.make``."""

    class Faked:
        make = FakeEngine

    def open_engine(_model, runtime, *_):
        engine = Faked.make()
        engine.runtime = runtime
        return engine

    monkeypatch.setattr(live, "open_engine", open_engine)
    return Faked


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def saved(folder: Path) -> dict[str, Path]:
    """Files in the folder of recordings, by their ending."""
    return {path.suffix: path for path in (folder / "saved").glob("*")}


def text_of(window: QWidget, name: str) -> str:
    """What the label of that accessible name says."""
    return next(each.text() for each in window.findChildren(QLabel) if each.accessibleName() == name)


def drawn(window: Window) -> int:
    """Pixels of the canvas in the colour of the first subject."""
    return int((np.abs(pixels(window.live.canvas).astype(int) - colour_of(1)).max(axis=2) < 20).sum())


# The picture.


def test_the_window_and_the_picture_come_before_the_engine(qtbot, window, clip, faked):
    ready = threading.Event()

    class Slow(FakeEngine):
        def __init__(self):
            ready.wait(10)
            super().__init__()

    faked.make = Slow
    assert window.isVisible()
    window.live.open(clip)
    wait(qtbot, lambda: window.live.bridge.session.status().shown > 3)
    assert window.live.bar.badge.text() == "loading …"
    wait(qtbot, lambda: window.live.canvas.accessibleDescription() == "Loading the model …")
    assert np.ptp(pixels(window.live.canvas)) > 100
    ready.set()
    wait(qtbot, lambda: running(window))
    wait(qtbot, lambda: window.live.bar.badge.text() == "auto fp32")
    assert window.live.canvas.accessibleDescription() == ""


def test_a_clip_is_tracked_and_its_figures_are_shown(qtbot, window, clip):
    assert window.live.welcome.isVisible()
    window.live.open(clip)
    wait(qtbot, lambda: running(window, 20))
    assert not window.live.welcome.isVisible()
    window.live.bridge.report()
    assert window.live.bar.badge.text().startswith("eager ")
    assert text_of(window, "What the source gives") == "160 x 120, 25 a second"
    assert 5 < float(text_of(window, "fps processed")) < 30
    assert text_of(window, "latency p95").endswith(" ms")
    assert window.live.bar.source.currentText() == "clip.mp4"
    press(qtbot, window, Key.Key_Space)
    assert not text_of(window, "fps in")[0].isdigit()  # nothing runs
    assert text_of(window, "latency p95").endswith(" ms")


def test_landmarks_are_drawn_until_they_are_hidden(qtbot, window, monkeypatch, faked):
    serve(monkeypatch, FakeCamera)
    window.live.open("0")
    wait(qtbot, lambda: drawn(window) > 200)
    press(qtbot, window, Key.Key_O)
    assert drawn(window) == 0
    press(qtbot, window, Key.Key_O)
    assert drawn(window) > 200


def test_the_end_of_a_clip_is_said_and_space_plays_it_again(qtbot, window, tmp_path):
    window.live.open(str(write_clip(tmp_path / "short.mp4", count=5)))
    wait(qtbot, lambda: "The end" in window.live.canvas.accessibleDescription())
    assert window.live.bar.start.text() == "Start"
    assert window.live.bar.snapshot.isEnabled()
    assert not window.live.bar.record.isEnabled()
    before = window.live.bridge.session.status().captured
    press(qtbot, window, Key.Key_Space)
    wait(qtbot, lambda: window.live.bridge.session.status().captured > before)


def test_a_picture_of_one_pixel_and_a_large_one(qtbot, window, tmp_path):
    for name, size in (("one.png", (1, 1)), ("large.png", (3000, 4000))):
        cv2.imwrite(str(tmp_path / name), np.full((*size, 3), 90, np.uint8))
        window.live.open(str(tmp_path / name))
        wait(qtbot, lambda name=name: window.live.bridge.session.status().source == name)
        wait(qtbot, lambda: window.live.bridge.session.status().state == "ended")
    wait(qtbot, lambda: (pixels(window.live.canvas)[100, 300] == 90).all())
    assert window.banner.text == ""


# Choosing.


def test_cameras_are_listed_by_name_and_come_and_go(qtbot, window, monkeypatch, faked):
    serve(monkeypatch, FakeCamera)
    picker, welcome = window.live.bar.source, window.live.welcome
    plugged = [Camera(0, "HD Webcam"), Camera(2, "Other")]
    picker.set_cameras(plugged)
    names = [picker.itemText(row) for row in range(picker.count())]
    assert names[:2] == ["HD Webcam (0)", "Other (2)"]
    picker.activated.emit(1)  # chosen, not begun
    assert picker.currentText() == "Other (2)"
    assert window.live.bridge.session is None
    press(qtbot, window, Key.Key_Space)
    wait(qtbot, lambda: running(window))
    picker.set_cameras(plugged[:1])
    assert picker.currentText() == "camera 2"
    picker.set_cameras(plugged)
    assert picker.currentText() == "Other (2)"
    assert running(window)
    welcome.set_camera(False)
    assert not welcome.findChildren(QPushButton)[0].isEnabled()


def test_the_list_of_cameras_is_kept_up_to_date(qtbot, monkeypatch):
    found = [Camera(0, "HD Webcam")]
    monkeypatch.setattr(cameras, "find_cameras", lambda: list(found))
    monkeypatch.setattr(cameras, "_LOOK_EVERY_S", 0.05)
    watch = cameras.CameraWatch()
    with qtbot.waitSignal(watch.changed) as signal:
        watch.start()
    assert signal.args == [[Camera(0, "HD Webcam")]]
    with qtbot.waitSignal(watch.changed) as signal:
        found.append(Camera(1, "Other"))
    assert signal.args == [[Camera(0, "HD Webcam"), Camera(1, "Other")]]
    with qtbot.assertNotEmitted(watch.changed, wait=200):
        pass
    watch.stop()


def test_a_file_that_is_dropped_is_opened_and_remembered(qtbot, window, clip):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(clip)])
    drop(window.live, data)
    wait(qtbot, lambda: running(window))
    press(qtbot, window, Key.Key_Space)
    assert window.live.bridge.session is None
    menu = window.live.welcome.findChild(QMenu)
    assert [action.text() for action in menu.actions()] == ["clip.mp4"]
    menu.actions()[0].trigger()
    wait(qtbot, lambda: running(window))


def test_an_address_that_is_dropped_shows_no_password(qtbot, window, monkeypatch, faked):
    opened = []
    monkeypatch.setattr(sources, "open_source", lambda spec, **_: opened.append(spec) or FakeCamera())
    data = QMimeData()
    data.setText(" rtsp://me:secret@host/stream?key=secret ")
    drop(window.live, data)
    wait(qtbot, lambda: running(window))
    assert opened == ["rtsp://me:secret@host/stream?key=secret"]
    assert window.live.bar.source.currentText() == "rtsp://host/stream"
    everything = [each.text() for each in window.findChildren(QLabel)]
    everything += [each.accessibleDescription() + each.toolTip() for each in window.findChildren(QWidget)]
    assert not [each for each in everything if "secret" in each]


def test_words_are_no_source(qtbot, window):
    data = QMimeData()
    data.setText("hello")
    assert not drop(window.live, data)
    assert window.live.bridge.session is None


def test_another_source_is_shown_without_a_stop(qtbot, window, clip, monkeypatch, faked):
    window.live.open(clip)
    wait(qtbot, lambda: running(window))
    session = window.live.bridge.session
    serve(monkeypatch, FakeCamera)
    window.live.open("0")
    wait(qtbot, lambda: session.status().source == "fake camera")
    wait(qtbot, lambda: drawn(window) > 200)
    assert window.live.bridge.session is session


def test_another_runtime_is_built_behind_the_picture(qtbot, window, monkeypatch, faked):
    serve(monkeypatch, FakeCamera)
    window.live.open("0")
    wait(qtbot, lambda: window.live.bar.badge.text() == "auto fp32")
    ready = threading.Event()

    class Slow(FakeEngine):
        def __init__(self):
            ready.wait(10)
            super().__init__()

    faked.make = Slow
    window.live.bar.badge.menu().actions()[-1].trigger()
    wait(qtbot, lambda: window.live.bar.badge.text() == "auto fp32 · building …")
    before = window.live.bridge.session.status().processed
    wait(qtbot, lambda: window.live.bridge.session.status().processed > before + 10)
    ready.set()
    wait(qtbot, lambda: window.live.bar.badge.text() == "eager fp32")


def test_without_a_model_it_says_so_and_asks_for_one(qtbot, tmp_path, clip, model, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (model, ""))
    with open_window(qtbot, tmp_path, model="nothing") as window:
        assert window.models.currentText() == ""
        assert window.banner.text.startswith("No model is installed")
        window.live.open(clip)
        assert "no model 'nothing'" in window.banner.text
        press_action(window)
        wait(qtbot, lambda: running(window))
        assert window.models.currentText() == "tiny"
        assert window.banner.text == ""


@pytest.mark.parametrize("name", ["0", "Logitech"])
def test_another_size_is_asked_of_a_camera(qtbot, window, monkeypatch, faked, name):
    opened = []

    def open_source(spec, camera, **_):
        opened.append((spec, camera))
        return FakeCamera()

    monkeypatch.setattr(sources, "open_source", open_source)
    window.live.open(name)
    wait(qtbot, lambda: running(window))
    choose(window, "Camera size", "1280 x 720")
    wait(qtbot, lambda: len(opened) == 2)
    choose(window, "Camera rate", "15 a second")
    wait(qtbot, lambda: len(opened) == 3)
    assert opened[1:] == [(name, CameraRequest((1280, 720))), (name, CameraRequest((1280, 720), 15))]


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_size_for_cameras_leaves_a_clip_alone(qtbot, window, clip, monkeypatch, faked, form):
    opened = []
    monkeypatch.setattr(sources, "open_source", lambda spec, **_: opened.append(spec) or FakeCamera())
    window.live.open(form.format(clip))
    wait(qtbot, lambda: running(window))
    choose(window, "Camera size", "1280 x 720")
    wait(qtbot, lambda: running(window, 20))
    assert len(opened) == 1


def test_many_changes_leave_nothing_behind(qtbot, window, clip, monkeypatch, faked):
    window.live.open(clip)
    wait(qtbot, lambda: running(window))
    for number in range(12):
        if number % 3 == 0:
            window.live.open(clip)
        if number % 3 == 1:
            window.live.bar.badge.menu().actions()[-1 - number % 2].trigger()
        if number % 3 == 2:
            press(qtbot, window, Key.Key_Space)
            press(qtbot, window, Key.Key_Space)
        qtbot.wait(30)
    wait(qtbot, lambda: running(window))
    # ``open_window`` checks that no thread is left.


def test_a_camera_is_given_back_before_it_is_opened_again(qtbot, window, monkeypatch, faked):
    opened, early = [], []

    def make():
        early.extend(each for each in opened if not each.closed)
        opened.append(FakeCamera(every_s=0.1))
        return opened[-1]

    serve(monkeypatch, make)
    window.live.open("0")
    wait(qtbot, lambda: running(window))
    press(qtbot, window, Key.Key_Space)
    press(qtbot, window, Key.Key_Space)
    wait(qtbot, lambda: len(opened) == 2 and running(window))
    assert not early


# Keeping.


def test_recording_and_snapshots(qtbot, window, clip, tmp_path):
    window.live.apply(replace(window.live._settings, record_data=True))
    window.live.open(clip)
    wait(qtbot, lambda: running(window))
    press(qtbot, window, Key.Key_R)
    assert window.live.bar.record.isChecked()
    wait(qtbot, lambda: window.live.bridge.session.status().recording.frames >= 5)
    press(qtbot, window, Key.Key_R)
    wait(qtbot, lambda: window.banner.text.startswith("Saved kptrack"))
    assert not window.live.bar.record.isChecked()
    assert {".mp4", ".parquet"} == set(saved(tmp_path))
    assert frames_of(saved(tmp_path)[".mp4"]) >= 5
    press(qtbot, window, Key.Key_S)
    assert window.banner.text == f"Saved {saved(tmp_path)['.png'].name}"
    assert cv2.imread(str(saved(tmp_path)[".png"])).shape == (120, 160, 3)


def test_closing_while_recording_finishes_the_file(qtbot, window, clip, tmp_path):
    window.live.open(clip)
    wait(qtbot, lambda: running(window))
    press(qtbot, window, Key.Key_R)
    wait(qtbot, lambda: window.live.bridge.session.status().recording.frames >= 5)
    close(qtbot, window)
    assert [path.suffixes[-1] for path in (tmp_path / "saved").iterdir()] == [".mp4"]
    assert ".part" not in str(saved(tmp_path))
    assert frames_of(saved(tmp_path)[".mp4"]) >= 5


def test_the_end_of_a_clip_ends_its_recording(qtbot, window, tmp_path):
    window.live.open(str(write_clip(tmp_path / "short.mp4", count=40)))
    wait(qtbot, lambda: running(window))
    press(qtbot, window, Key.Key_R)
    wait(qtbot, lambda: window.banner.text.startswith("Saved kptrack"))
    assert frames_of(saved(tmp_path)[".mp4"]) > 3


def test_what_the_command_line_asks_for_is_recorded(qtbot, tmp_path, clip, model):
    options = LiveOptions(record=tmp_path / "asked.mp4", data=tmp_path / "asked.csv")
    with open_window(qtbot, tmp_path, options, model=model) as window:
        window.live.open(clip)
        wait(qtbot, lambda: window.live.bridge.session.status().recording.frames >= 5)
    assert frames_of(tmp_path / "asked.mp4") >= 5
    assert (tmp_path / "asked.csv").exists()


def test_a_recording_that_cannot_be_is_said(qtbot, window, clip, tmp_path):
    (tmp_path / "saved").write_text("not a folder")
    window.live.open(clip)
    wait(qtbot, lambda: running(window))
    press(qtbot, window, Key.Key_R)
    wait(qtbot, lambda: "recording stopped" in window.banner.text)
    wait(qtbot, lambda: not window.live.bar.record.isChecked())
    press(qtbot, window, Key.Key_S)
    assert "cannot be written" in window.banner.text
    assert running(window)


# Controls.


def test_settings_are_followed_and_remembered(qtbot, tmp_path, model, clip):
    with open_window(qtbot, tmp_path, model=model) as window:
        window.live.open(clip)
        slider = next(each for each in window.findChildren(QSlider) if each.accessibleName() == "Threshold")
        slider.setFocus()
        before = slider.value()
        press(qtbot, window, Key.Key_Left)
        assert slider.value() < before
        press(qtbot, window, Key.Key_M)
        press(qtbot, window, Key.Key_Plus)
        press(qtbot, window, Key.Key_Plus)
        press(qtbot, window, Key.Key_Minus)
        press(qtbot, window, Key.Key_H)
        assert not slider.isVisible()
    remembered = load_settings(tmp_path / "window.json")
    assert remembered.tracking.min_score == pytest.approx((before - 5) / 100)
    assert remembered.mirror
    assert remembered.overlay.scale == pytest.approx(1.25)
    assert not remembered.panel
    assert remembered.recent == (clip,)
    assert remembered.geometry
    with open_window(qtbot, tmp_path, **vars(remembered)) as window:
        assert window.live.bar.mirror.isChecked()
        assert not window.live.controls.isVisible()


def test_the_mirror_turns_the_picture(qtbot, window, monkeypatch, faked):
    serve(monkeypatch, FakeCamera)
    window.live.open("0")
    wait(qtbot, lambda: drawn(window) > 200)

    def centre() -> float:
        image = pixels(window.live.canvas).astype(int)
        return float(np.nonzero((image[..., 1] > 200) & (image[..., 0] < 190))[1].mean()) / image.shape[1]

    assert centre() < 0.47
    press(qtbot, window, Key.Key_M)
    wait(qtbot, lambda: centre() > 0.53)


def test_the_full_screen_shows_nothing_but_the_picture(qtbot, window):
    press(qtbot, window, Key.Key_F11)
    wait(qtbot, window.isFullScreen)
    live_page = window.live
    for part in (live_page.bar, live_page.controls, live_page.strip, window.tabs.tabBar(), window.models):
        assert not part.isVisible()
    press(qtbot, window, Key.Key_M)  # a change of settings must not bring them back
    assert not live_page.controls.isVisible()
    press(qtbot, window, Key.Key_Escape)
    wait(qtbot, lambda: not window.isFullScreen())
    for part in (live_page.bar, live_page.controls, live_page.strip, window.tabs.tabBar(), window.models):
        assert part.isVisible()


@pytest.mark.parametrize("maximised", [True, False])
def test_after_the_full_screen_the_window_is_as_before(qtbot, window, maximised):
    if maximised:
        window.showMaximized()
        wait(qtbot, window.isMaximized)
    press(qtbot, window, Key.Key_F11)
    wait(qtbot, window.isFullScreen)
    press(qtbot, window, Key.Key_F11)
    wait(qtbot, lambda: not window.isFullScreen())
    assert window.isMaximized() == maximised


def test_space_presses_the_button_that_has_the_focus(qtbot, window, clip):
    window.live.open(clip)
    wait(qtbot, lambda: running(window))
    box = next(each for each in window.findChildren(QCheckBox) if each.text() == "Boxes")
    box.setFocus()
    press(qtbot, window, Key.Key_Space)
    assert box.isChecked()
    assert window.live.bridge.session is not None


def test_keys_of_the_live_tab_rest_in_the_others(qtbot, window, clip):
    window.live.open(clip)
    wait(qtbot, lambda: running(window))
    window.tabs.setCurrentIndex(1)
    window.batch.findChild(EntryTable).setFocus()
    press(qtbot, window, Key.Key_Space)
    press(qtbot, window, Key.Key_M)
    assert window.live.bridge.session is not None
    assert not window.live.bar.mirror.isChecked()


def test_everything_that_can_be_used_has_a_name_and_a_hint(window):
    kinds = (QAbstractButton, QComboBox, QAbstractSpinBox, QSlider)
    for page in range(window.tabs.count()):
        window.tabs.setCurrentIndex(page)
        used = [
            each
            for kind in kinds
            for each in window.findChildren(kind)
            if each.isVisible() and not each.objectName().startswith("qt_")
        ]
        assert len(used) > 3
        for each in used:
            assert each.accessibleName() or getattr(each, "text", str)(), each
            assert each.toolTip(), each


def test_the_tab_key_goes_through_the_controls_in_order(qtbot, window):
    window.live.bar.source.setFocus()
    seen = []
    for _ in range(12):
        qtbot.keyClick(window.focusWidget(), Key.Key_Tab)
        seen.append(window.focusWidget().accessibleName() or window.focusWidget().text())
    wanted = ["Start", "Mirror", "Runtime", "Panels", "Threshold", "Subjects", "Search every"]
    assert [each for each in seen if each in wanted] == wanted
