"""The Batch tab: a queue of real files on the code of ``kptrack process``."""

from __future__ import annotations

import time

import pytest
from clips import truncate, write_clip
from commands import write_model
from PyQt6.QtCore import QMimeData, Qt, QUrl
from PyQt6.QtWidgets import QCheckBox, QComboBox, QFileDialog, QPushButton, QTableView
from windows import PATIENCE_MS, TRACKING, close, drop, open_window

from tracker import Tracker
from ui.process import Request
from ui.window.batch import BatchTab


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors"))


@pytest.fixture
def tab(qtbot, model):
    widget = BatchTab(lambda: Request(model=model, settings=TRACKING))
    widget.problems = []
    widget.problem.connect(widget.problems.append)
    qtbot.addWidget(widget)
    widget.show()
    yield widget
    widget.backlog.cancel()
    assert widget.backlog.join(10)


@pytest.fixture
def slow(monkeypatch):
    """Tracking takes a while, so that there is something to look at."""
    real = Tracker.step
    monkeypatch.setattr(Tracker, "step", lambda self, frame: time.sleep(0.02) or real(self, frame))


def button(tab: BatchTab, word: str) -> QPushButton:
    return next(each for each in tab.findChildren(QPushButton) if each.text() == word)


def column(tab: BatchTab, name: str) -> list[str]:
    """What the table shows in the column of that name."""
    table = tab.findChild(QTableView).model()
    assert table is not None
    names = [table.headerData(each, Qt.Orientation.Horizontal) for each in range(table.columnCount())]
    number = names.index(name)
    return [str(table.index(row, number).data() or "") for row in range(table.rowCount())]


def choose(box: QComboBox, row: int) -> None:
    """As a person does."""
    box.setCurrentIndex(row)
    box.activated.emit(row)


def finish(qtbot, tab: BatchTab) -> None:
    qtbot.waitUntil(tab.findChild(QComboBox).isEnabled, timeout=PATIENCE_MS)


def test_files_and_folders_become_results(qtbot, tab, tmp_path):
    first = write_clip(tmp_path / "first.mp4", count=12)
    (tmp_path / "more").mkdir()
    write_clip(tmp_path / "more" / "second.mp4", count=8)
    (tmp_path / "more" / "broken.mp4").write_bytes(b"no video")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(each)) for each in (first, tmp_path / "more")])
    assert drop(tab, data)
    assert column(tab, "File") == ["first.mp4", "broken.mp4", "second.mp4"]
    assert column(tab, "State") == ["waiting"] * 3
    button(tab, "Start").click()
    finish(qtbot, tab)
    assert column(tab, "State") == ["done", "failed", "done"]
    assert column(tab, "Progress") == ["12", "", "8"]
    assert column(tab, "Result")[0] == "12 of 12 frames with a subject"
    assert column(tab, "Result")[1].startswith("broken.mp4: not a video")
    for name in ("first.kptrack.mp4", "first.kptrack.parquet", "more/second.kptrack.mp4"):
        assert (tmp_path / name).stat().st_size > 0
    assert tab.problems == []


def test_progress_is_shown_and_cancelling_keeps_what_is_done(qtbot, tab, tmp_path, slow):
    for name in ("a.mp4", "b.mp4"):
        tab.add([str(write_clip(tmp_path / name, count=200))])
    button(tab, "Start").click()
    qtbot.waitUntil(lambda: column(tab, "Progress")[0].endswith(" of 200"), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: int(column(tab, "Progress")[0].split()[0]) > 3, timeout=PATIENCE_MS)
    assert column(tab, "State") == ["running", "waiting"]
    assert not button(tab, "Start").isEnabled()
    button(tab, "Cancel").click()
    finish(qtbot, tab)
    assert column(tab, "State") == ["cancelled", "waiting"]
    assert 3 < int(column(tab, "Progress")[0].split()[0]) < 200
    assert {each.name for each in tmp_path.glob("*.kptrack.*")} == {
        "a.kptrack.part.mp4",
        "a.kptrack.part.parquet",
    }


def test_what_exists_is_skipped_or_replaced(qtbot, tab, tmp_path):
    clip = str(write_clip(tmp_path / "clip.mp4", count=5))
    results = [tmp_path / "clip.kptrack.mp4", tmp_path / "clip.kptrack.parquet"]
    for each in results:
        each.write_text("mine")
    tab.add([clip])
    tab.start()
    finish(qtbot, tab)
    assert column(tab, "State") == ["skipped"]
    assert [each.read_text() for each in results] == ["mine", "mine"]
    tab.add([clip])
    tab.findChild(QCheckBox).setChecked(True)
    tab.start()
    finish(qtbot, tab)
    assert column(tab, "State") == ["skipped", "done"]
    assert all(each.stat().st_size > 100 for each in results)


def test_results_go_into_a_folder(qtbot, tab, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "out"))
    tab.add([str(write_clip(tmp_path / "clip.mp4", count=5))])
    tab.findChild(QComboBox).activated.emit(1)
    assert tab.findChild(QComboBox).currentText() == "In out…"
    tab.start()
    finish(qtbot, tab)
    assert (tmp_path / "out" / "clip.kptrack.mp4").exists()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    choose(tab.findChild(QComboBox), 1)  # and thinks better of it
    assert tab.findChild(QComboBox).currentText() == "In out…"
    assert tab._output == tmp_path / "out"
    choose(tab.findChild(QComboBox), 0)
    choose(tab.findChild(QComboBox), 1)
    assert tab.findChild(QComboBox).currentText() == "Beside each file"
    assert tab._output is None


def test_two_inputs_of_one_result_are_refused(tab, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        tab.add([str(write_clip(tmp_path / folder / "clip.mp4", count=3))])
    tab._output = tmp_path / "out"
    tab.start()
    assert "would be the result of 2 inputs" in tab.problems[0]
    assert not tab.backlog.running


def test_files_are_taken_out(tab, tmp_path):
    tab.add([str(write_clip(tmp_path / name, count=3)) for name in ("a.mp4", "b.mp4", "c.mp4")])
    tab.add([str(tmp_path / "a.mp4")])  # waits already
    assert column(tab, "File") == ["a.mp4", "b.mp4", "c.mp4"]
    tab.findChild(QTableView).selectRow(1)
    button(tab, "Remove").click()
    assert column(tab, "File") == ["a.mp4", "c.mp4"]


def test_the_list_changes_while_it_is_worked_on(qtbot, tab, tmp_path, slow):
    tab.add([str(write_clip(tmp_path / name, count=40)) for name in ("a.mp4", "b.mp4")])
    tab.start()
    qtbot.waitUntil(lambda: column(tab, "State") == ["running", "waiting"], timeout=PATIENCE_MS)
    tab.add([str(write_clip(tmp_path / "c.mp4", count=3))])
    tab.findChild(QTableView).selectRow(0)
    button(tab, "Remove").click()
    assert column(tab, "File") == ["a.mp4", "b.mp4", "c.mp4"]  # what runs stays
    tab.findChild(QTableView).selectRow(1)
    button(tab, "Remove").click()
    finish(qtbot, tab)
    assert column(tab, "File") == ["a.mp4", "c.mp4"]
    assert column(tab, "State") == ["done", "waiting"]  # what is added waits for the next start
    tab.start()
    finish(qtbot, tab)
    assert column(tab, "State") == ["done", "done"]
    assert not (tmp_path / "b.kptrack.mp4").exists()


def test_a_damaged_file_is_failed_and_its_rest_kept(qtbot, tab, tmp_path):
    clip = truncate(write_clip(tmp_path / "cut.mp4", size=(320, 240), count=50, faststart=True), 0.6)
    tab.add([str(clip)])
    tab.start()
    finish(qtbot, tab)
    assert column(tab, "State") == ["failed"]
    assert "could not be decoded" in column(tab, "Result")[0]
    assert (tmp_path / "cut.kptrack.mp4").exists()


def test_an_empty_folder_and_a_missing_model_are_said(qtbot, tab, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    tab.add([str(tmp_path / "empty")])
    assert "no picture or video in this folder" in tab.problems[0]
    monkeypatch.setattr(tab, "_request", lambda: Request(model="nothing"))
    tab.add([str(write_clip(tmp_path / "clip.mp4", count=3))])
    tab.start()
    assert "no model 'nothing'" in tab.problems[1]
    assert column(tab, "State") == ["waiting"]


def test_a_run_without_an_engine_is_said_once(qtbot, tab, tmp_path, model, monkeypatch):
    monkeypatch.setattr(tab, "_request", lambda: Request(model=model, device="cuda:9"))
    tab.add([str(write_clip(tmp_path / name, count=3)) for name in ("a.mp4", "b.mp4")])
    tab.start()
    finish(qtbot, tab)
    assert len(tab.problems) == 1
    assert "cuda:9" in tab.problems[0]
    assert column(tab, "State") == ["failed", "waiting"]


def test_closing_the_window_finishes_the_file_in_hand(qtbot, tmp_path, model, slow):
    with open_window(qtbot, tmp_path, model=model) as window:
        window.batch.add([str(write_clip(tmp_path / "clip.mp4", count=200))])
        window.batch.start()
        qtbot.waitUntil(
            lambda: column(window.batch, "Progress")[0] not in ("", "0 of 200"), timeout=PATIENCE_MS
        )
        close(qtbot, window)
    assert (tmp_path / "clip.kptrack.part.parquet").exists()
    assert not list(tmp_path.glob("clip.kptrack.mp4"))
