"""The Compare tab: figures of ``kptrack bench`` as a table, bars and Markdown."""

from __future__ import annotations

import inspect
import threading
import time

import pytest
from clips import write_clip
from commands import write_model
from PyQt6.QtCore import QMimeData, Qt, QUrl
from PyQt6.QtGui import QGuiApplication
from PyQt6.QtWidgets import QFileDialog, QLabel, QPushButton, QTableWidget
from windows import drop, pixels

from engines import BuildCancelled, MissingCapability
from ui import race
from ui.commands.bench import bench as command
from ui.window import compare
from ui.window.bars import Bars
from ui.window.compare import CompareTab

pytest.importorskip("skimage", reason="the crops are of scikit-image's portrait: pip install 'kptrack[demo]'")

# What a run with a compiler takes half a minute for is tested with the benchmark.
RUNTIMES = ("eager", "tensorrt")
PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors"))


@pytest.fixture
def tab(qtbot, model, monkeypatch):
    monkeypatch.setattr(race, "_SECONDS_A_BATCH", 0.1)
    monkeypatch.setattr(compare, "_RUNTIMES", RUNTIMES)
    real = race.open_told

    def without_gpu(loaded, runtime, *others):
        if runtime == "tensorrt":
            raise MissingCapability("runtime tensorrt needs an NVIDIA GPU", lacks="gpu")
        return real(loaded, runtime, *others)

    monkeypatch.setattr(race, "open_told", without_gpu)
    widget = CompareTab(lambda: model)
    widget.problems = []
    widget.problem.connect(widget.problems.append)
    qtbot.addWidget(widget)
    widget.resize(1000, 700)
    widget.show()
    return widget


def button(tab: CompareTab, word: str) -> QPushButton:
    return next(each for each in tab.findChildren(QPushButton) if each.text() == word)


def measured(qtbot, tab: CompareTab) -> list[list[str]]:
    """Rows of the table after a run."""
    begin = button(tab, "Compare")
    begin.click()
    qtbot.waitUntil(lambda: begin.text() == "Compare", timeout=PATIENCE_MS)
    return rows(tab)


def rows(tab: CompareTab) -> list[list[str]]:
    """Rows of the table."""
    table = tab.findChild(QTableWidget)
    return [
        [item.text() for column in range(table.columnCount()) if (item := table.item(row, column))]
        for row in range(table.rowCount())
    ]


def test_runtimes_are_compared_in_time_and_pixels(qtbot, tab, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", count=8)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(clip))])
    assert drop(tab, data)
    assert "clip.mp4" in [each.text() for each in tab.findChildren(QLabel)]
    assert not button(tab, "Copy as Markdown").isEnabled()
    plain, fast, tensorrt = measured(qtbot, tab)
    assert plain[:2] == ["eager", "fp32"]
    assert plain[5:7] == ["1.00x", "0.000 mean, 0.00 max"]
    assert fast[0] == "eager"
    assert float(fast[2]) > 0
    assert tensorrt[0] == "tensorrt"
    assert tensorrt[2] == "not available here: it needs an NVIDIA GPU"
    assert any("The whole clip" in each.text() for each in tab.findChildren(QLabel))
    assert tab.problems == []


def test_the_figures_are_bars_and_markdown(qtbot, tab):
    rows = measured(qtbot, tab)
    bars = tab.findChild(Bars)
    assert [each.split(":")[0] for each in bars.accessibleDescription().split("; ")] == [
        f"{row[0]} {row[1]}" for row in rows[:2]
    ]
    qtbot.waitUntil(lambda: bars.height() >= bars.sizeHint().height())  # laid out an event later
    accent = bars.palette().highlight().color()
    lit = (pixels(bars) == (accent.red(), accent.green(), accent.blue())).all(axis=2)
    assert lit.any(axis=1).sum() > 30  # two bars, one above the other
    button(tab, "Copy as Markdown").click()
    text = QGuiApplication.clipboard().text()
    assert "| eager | fp32 | 1 |" in text
    assert "- machine: cpu" in text


def test_a_clip_that_cannot_be_read_is_said(qtbot, tab, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    tab.set_clip(str(tmp_path / "bad.mp4"))
    assert measured(qtbot, tab) == []
    assert tab.problems[0].startswith("bad.mp4: not a video")
    tab.set_clip("")
    assert len(measured(qtbot, tab)) == 3


def test_a_clip_is_kept_until_there_is_another_or_none(tab, tmp_path, monkeypatch):
    shown = [each.text() for each in tab.findChildren(QLabel)]
    none, chosen = button(tab, "No clip"), [str(tmp_path / "clip.mp4"), ""]
    assert not none.isVisible()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (chosen.pop(0), ""))
    for _ in range(2):  # the second time a person thinks better of it
        button(tab, "Choose a clip…").click()
        assert "clip.mp4" in [each.text() for each in tab.findChildren(QLabel)]
    assert chosen == []
    none.click()
    assert [each.text() for each in tab.findChildren(QLabel)] == shown
    assert not none.isVisible()


def test_an_address_is_no_clip(tab):
    tab.set_clip("clip.mp4")
    data = QMimeData()
    data.setUrls([QUrl("rtsp://me:secret@camera.local/stream")])
    assert drop(tab, data)
    assert tab.problems == ["rtsp://camera.local/stream: an address; choose a clip that is a file"]
    assert "clip.mp4" in [each.text() for each in tab.findChildren(QLabel)]


def test_the_window_lives_while_it_measures(qtbot, tab, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(compare, "measure", lambda *arguments: arguments[-2]("half way") or go_on.wait(10))
    button(tab, "Compare").click()
    qtbot.waitUntil(lambda: any(each.text() == "Half way" for each in tab.findChildren(QLabel)))
    assert tab.running
    assert not button(tab, "Choose a clip…").isEnabled()
    go_on.set()
    qtbot.waitUntil(lambda: not tab.running)


def test_a_run_that_is_cancelled_shows_what_it_measured(qtbot, tab, monkeypatch):
    """TensorRT is being built, which ends when it is told to."""
    real, building = race.open_told, threading.Event()

    def build(loaded, runtime, precision, device, say, asked):
        if runtime != "tensorrt":
            return real(loaded, runtime, precision, device, say, asked)
        say("building: Timing, 30%")
        building.set()
        while not asked():
            time.sleep(0.01)
        raise BuildCancelled

    monkeypatch.setattr(race, "open_told", build)
    begin = button(tab, "Compare")
    qtbot.mouseClick(begin, Qt.MouseButton.LeftButton)
    assert begin.text() == "Cancel"
    qtbot.waitUntil(lambda: any("30%" in each.text() for each in tab.findChildren(QLabel)))
    qtbot.mouseClick(begin, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: begin.text() == "Compare" and begin.isEnabled(), timeout=PATIENCE_MS)
    plain, fast, tensorrt = rows(tab)
    assert plain[:2] == ["eager", "fp32"]
    assert min(float(each[2]) for each in (plain, fast)) > 0
    assert tensorrt[2] == "not measured: cancelled"
    assert any(each.text().startswith("Cancelled. ") for each in tab.findChildren(QLabel))
    assert button(tab, "Copy as Markdown").isEnabled()
    assert tab.problems == []
    monkeypatch.setattr(race, "open_told", real)
    assert len(measured(qtbot, tab)) == 3  # and it can be begun again


def test_the_runtimes_are_those_of_the_benchmark(tab, monkeypatch):
    monkeypatch.undo()
    default = inspect.signature(command).parameters["runtimes"].default
    assert default.split(",") == list(compare._RUNTIMES)
