"""An engine is built behind the picture: how far it is, a way to give it up, and the change at its end."""

from __future__ import annotations

import threading

import pytest
import torch
from commands import write_model
from fake_trt import GPU, export_once, tensorrt_fixture  # noqa: F401
from fakes import FakeCamera, FakeEngine
from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QProgressBar, QPushButton
from windows import open_window, press, running, serve, wait

from engines import BuildCancelled, load_model, open_engine
from engines.buckets import BatchProfile
from engines.engine import BuildError
from engines.store import Store
from ui import live
from ui.live import LiveOptions
from ui.window.livepage import LivePage
from ui.window.settings import load_settings


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors"))


class Build:
    """Engines of every kind; one of TensorRT goes on when it is told to, and ends when it is cancelled."""

    def __init__(self):
        self.failure: Exception | None = None
        self.ended = threading.Event()
        self._go = threading.Semaphore(0)

    def go_on(self):
        self._go.release()

    def open_engine(self, model, runtime, precision, device, report=None):
        engine = FakeEngine()
        engine.runtime = runtime
        if runtime == "tensorrt":
            try:
                self._build(report)
            finally:
                self.ended.set()
        return engine

    def _build(self, report):
        for share in (None, 0.0, 0.45):
            going_on = report("exporting" if share is None else "Timing", share)
            while going_on and not self._go.acquire(timeout=0.01):
                going_on = report("exporting" if share is None else "Timing", share)
            if not going_on:
                raise BuildCancelled
        if self.failure:
            raise self.failure


@pytest.fixture
def build(monkeypatch):
    found = Build()
    monkeypatch.setattr(live, "open_engine", found.open_engine)
    serve(monkeypatch, FakeCamera)
    return found


@pytest.fixture
def window(qtbot, tmp_path, model, build):
    """A window in which an engine is being built."""
    with open_window(qtbot, tmp_path, model=model, runtime="tensorrt") as opened:
        opened.live.open("0")
        wait(qtbot, lambda: opened.live.build.text)
        yield opened


def share(page: LivePage) -> QProgressBar:
    return page.build.findChild(QProgressBar)


def goes_on(qtbot, window) -> None:
    """Wait for more pictures with landmarks."""
    before = window.live.bridge.session.status().processed
    wait(qtbot, lambda: window.live.bridge.session.status().processed > before + 5)


def test_phase_and_share_are_shown_and_the_engine_takes_over(qtbot, window, build):
    page = window.live
    assert page.build.text == "Building a TensorRT engine: exporting"
    assert share(page).maximum() == 0  # nobody knows how much
    assert page.bar.badge.text() == "auto fp32 · building …"
    goes_on(qtbot, window)
    build.go_on()
    wait(qtbot, lambda: page.build.text == "Building a TensorRT engine: Timing, 0%")
    build.go_on()
    wait(qtbot, lambda: page.build.text == "Building a TensorRT engine: Timing, 45%")
    assert (share(page).value(), share(page).maximum()) == (45, 100)
    goes_on(qtbot, window)
    build.go_on()
    wait(qtbot, lambda: page.bar.badge.text() == "TensorRT fp32")
    assert not page.build.isVisible()
    goes_on(qtbot, window)
    assert window.banner.text == ""


def test_a_click_gives_the_build_up(qtbot, window, build, tmp_path):
    page = window.live
    qtbot.mouseClick(page.build.findChild(QPushButton), Qt.MouseButton.LeftButton)
    assert not page.build.isVisible()
    assert build.ended.wait(5)
    goes_on(qtbot, window)
    assert page.bar.badge.text() == "auto fp32"
    assert window.banner.text == "The build was cancelled. The runtime is auto again."
    chosen = [each.text() for each in page.bar.badge.menu().actions() if each.isChecked()]
    assert [each.partition(":")[0] for each in chosen] == ["auto"]
    wait(qtbot, lambda: load_settings(tmp_path / "window.json").runtime == "auto")
    page.bar.badge.menu().actions()[1].trigger()  # and it can be asked for again
    wait(qtbot, lambda: page.build.text == "Building a TensorRT engine: exporting")


def test_a_build_that_fails_is_said(qtbot, window, build):
    build.failure = BuildError("TensorRT builds no engine: no kernel")
    for _ in range(3):
        build.go_on()
    wait(qtbot, lambda: window.banner.text == "TensorRT builds no engine: no kernel")
    assert not window.live.build.isVisible()
    goes_on(qtbot, window)


@pytest.mark.parametrize("how", ["another runtime", "stop", "close"])
def test_a_build_ends_when_it_is_not_wanted_any_more(qtbot, window, build, how):
    if how == "another runtime":
        window.live.bar.badge.menu().actions()[-1].trigger()
    elif how == "stop":
        press(qtbot, window, Qt.Key.Key_Space)
    else:
        window.close()
    wait(qtbot, build.ended.is_set)
    wait(qtbot, lambda: not window.live.build.isVisible())
    assert window.banner.text in ("", "Closing: files are being finished …")


def test_the_full_screen_shows_no_build(qtbot, window, build):
    press(qtbot, window, Qt.Key.Key_F11)
    wait(qtbot, window.isFullScreen)
    assert not window.live.build.isVisible()
    press(qtbot, window, Qt.Key.Key_F11)
    wait(qtbot, window.live.build.isVisible)


def test_torch_tensorrt_is_followed_through_its_phases(qtbot, tmp_path, model, tensorrt, monkeypatch):
    """All is real but TensorRT itself, which waits in the middle of its work."""
    go_on = threading.Event()
    # The slow part of it on a processor, which is not what is looked at.
    export_once(load_model(model), "fp32", BatchProfile(), torch.device("cpu"))

    def open_slowly(model, runtime, precision, device, report=lambda phase, share: True):
        def waits(phase: str, share: float | None) -> bool:
            answer = report(phase, share)
            return answer and (share != 0.5 or go_on.wait(10))

        return open_engine(model, runtime, precision, device, waits)

    monkeypatch.setattr(live, "open_engine", open_slowly)
    serve(monkeypatch, FakeCamera)
    options = LiveOptions(precision="fp32")
    with open_window(qtbot, tmp_path, options, model=model, runtime="tensorrt") as window:
        window.live.open("0")
        qtbot.wait(5000)
        print("XX", window.live.build.text, window.banner.text, window.live.bridge.session.status().engine)
        wait(qtbot, lambda: window.live.build.text == "Building a TensorRT engine: Timing, 50%")
        assert window.live.bar.badge.text() == "eager fp32 · building …"
        goes_on(qtbot, window)
        go_on.set()
        wait(qtbot, lambda: window.live.bar.badge.text() == "TensorRT fp32")
        assert GPU.name in window.live.bar.badge.toolTip()
        wait(qtbot, lambda: running(window, 10))
        goes_on(qtbot, window)
    assert len(Store().entries()) == 1
