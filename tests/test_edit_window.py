"""The window of ``kptrack edit``: landmarks are dragged, nudged and typed, and the picture follows."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from commands import write_model
from PyQt6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from PyQt6.QtGui import QMouseEvent
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QLineEdit,
    QMessageBox,
)
from redrawing import write_pair, write_scene
from windows import drop, pixels, threads, wait

import ui.edit
from engines.skeleton import FACE68
from tracker import Frame, TrackerSettings
from tracker.redraw import NoSubjectError, Redrawer
from tracker.stills import read_picture
from ui.edit import EditOptions
from ui.failures import Exit
from ui.window import editing, running
from ui.window.dialogs import PictureName, Unsaved
from ui.window.editor import EditWindow
from ui.window.errands import Done, Errands

LEFT = Qt.MouseButton.LeftButton
NONE, CTRL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return str(write_pair(tmp_path_factory.mktemp("pair")))


@pytest.fixture
def make(qtbot, pair):
    """Opens windows, and at the end closes them; no thread is left."""
    opened = []

    def make(**options) -> EditWindow:
        options = {"model": pair, "settings": TrackerSettings(detector="center"), **options}
        window = EditWindow(EditOptions(**options))
        opened.append(window)
        with qtbot.waitActive(window):
            window.show()
        return window

    yield make
    for window in opened:
        window.close()
        if window.isVisible():  # there are changes
            asked(qtbot, window).discard.click()
        qtbot.waitUntil(lambda window=window: not window.isVisible(), timeout=10_000)
    qtbot.waitUntil(lambda: not threads(), timeout=10_000)
    for window in opened:
        window.deleteLater()


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "scene.png"
    write_scene(path)
    return str(path)


@pytest.fixture
def window(qtbot, make, scene):
    """A window with a picture open."""
    window = make()
    window.open(scene)
    settle(qtbot, window)
    return window


def settle(qtbot, window: EditWindow) -> None:
    """Wait until all that was asked for has been done and shown."""
    wait(qtbot, lambda: not window.busy)


def asked(qtbot, window, kind=Unsaved):
    """The dialog that is shown."""
    shown = []

    def look():
        shown[:] = [each for each in window.findChildren(kind) if each.isVisible()]
        return bool(shown)

    wait(qtbot, look)
    return shown[0]


def gone(qtbot, window):
    wait(qtbot, lambda: not any(each.isVisible() for each in window.findChildren(QDialog)))


def nudge(window):
    """Move every landmark by a pixel; where they are then."""
    QTest.keyClick(window.pose, Qt.Key.Key_A, CTRL)
    QTest.keyClick(window.pose, Qt.Key.Key_Left)
    return xy(window)


def enter(dialog, name):
    """Type a name and press Enter."""
    line = dialog.findChild(QLineEdit)
    line.selectAll()
    QTest.keyClicks(line, name)
    QTest.keyClick(line, Qt.Key.Key_Return)


def xy(window: EditWindow) -> np.ndarray:
    return window.easel.landmarks.copy()


def at(window: EditWindow, joint: int, by=(0, 0)) -> QPoint:
    """Where a joint is on the screen, ``by`` pixels of the picture off."""
    x, y = window.pose.to_screen(xy(window)[joint] + by)
    return QPoint(round(x), round(y))


def picture_of(window: EditWindow) -> np.ndarray:
    assert window.easel.opened is not None
    return window.easel.opened.portrait.image


def lonely(window: EditWindow) -> int:
    """The joint that is farthest from any other: it can be hit."""
    apart = np.linalg.norm(xy(window)[:, None] - xy(window)[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    return int(apart.min(1).argmax())


def drag(window, start, end):
    """Press, move by way of the middle, release."""
    pose = window.pose
    QTest.mousePress(pose, LEFT, NONE, start)
    for point in ((start + end) / 2, end):
        move_to(window, point)
    QTest.mouseRelease(pose, LEFT, NONE, end)


def move_to(window, point):
    """Move the mouse, with its button down."""
    event = QMouseEvent(QEvent.Type.MouseMove, QPointF(point), QPointF(point), LEFT, LEFT, NONE)
    QApplication.sendEvent(window.pose, event)


def dropped(path) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    return data


def test_an_empty_window_asks_for_a_picture(qtbot, make, scene):
    window = make()
    assert "Drop a picture or video here" in window.pose.notice
    assert not window.bar.save.isEnabled()
    assert not window.joints.isEnabled()
    QTest.keyClick(window.pose, Qt.Key.Key_Left)  # nothing to move
    QTest.mouseClick(window.pose, LEFT, NONE, QPoint(50, 50))
    assert drop(window.panes[0], dropped(scene))
    settle(qtbot, window)
    assert window.pose.notice == ""
    assert window.panes[0].title.text() == "scene.png"
    assert window.bar.save.isEnabled()


def test_a_picture_shows_its_landmarks_and_as_yet_itself(qtbot, window):
    assert xy(window).shape == (68, 2)
    joint = lonely(window)
    point = at(window, joint)
    shown = pixels(window.pose)[point.y(), point.x()]
    assert shown.min() > 240  # a white dot
    assert np.array_equal(window.redrawn.picture, picture_of(window))
    assert window.state.text().startswith("0 of 68 moved")


def test_a_joint_is_dragged_and_the_picture_follows(qtbot, window):
    before, joint = xy(window), lonely(window)
    drag(window, at(window, joint), at(window, joint, (6, -5)))
    settle(qtbot, window)
    assert xy(window)[joint] == pytest.approx(before[joint] + (6, -5), abs=1)
    others = np.arange(68) != joint
    assert np.array_equal(xy(window)[others], before[others])
    assert (window.redrawn.picture != picture_of(window)).any()
    assert window.state.text().startswith("1 of 68 moved")
    assert window.joints.selected == [joint]


def test_the_picture_follows_while_the_mouse_is_down(qtbot, window):
    joint = lonely(window)
    start, end = at(window, joint), at(window, joint, (8, 8))
    QTest.mousePress(window.pose, LEFT, NONE, start)
    event = QMouseEvent(QEvent.Type.MouseMove, QPointF(end), QPointF(end), LEFT, LEFT, NONE)
    QApplication.sendEvent(window.pose, event)
    settle(qtbot, window)
    assert (window.redrawn.picture != picture_of(window)).any()
    assert not window.bar.undo.isEnabled()  # not before it is let go
    QTest.mouseRelease(window.pose, LEFT, NONE, end)
    assert window.bar.undo.isEnabled()


def test_steps_are_undone_and_redone_with_the_keys(qtbot, window):
    before, joint = xy(window), lonely(window)
    drag(window, at(window, joint), at(window, joint, (6, 0)))
    once = xy(window)
    drag(window, at(window, joint), at(window, joint, (0, 6)))
    twice = xy(window)
    QTest.keyClick(window.pose, Qt.Key.Key_Z, CTRL)
    assert np.array_equal(xy(window), once)
    QTest.keyClick(window.pose, Qt.Key.Key_Z, CTRL)
    assert np.array_equal(xy(window), before)
    assert not window.bar.undo.isEnabled()
    QTest.keyClick(window.pose, Qt.Key.Key_Z, CTRL | SHIFT)
    QTest.keyClick(window.pose, Qt.Key.Key_Y, CTRL)
    assert np.array_equal(xy(window), twice)
    assert not window.bar.redo.isEnabled()
    settle(qtbot, window)
    assert (window.redrawn.picture != picture_of(window)).any()


def arrow(window):
    QTest.keyClick(window.pose, Qt.Key.Key_Left)


@pytest.mark.parametrize(
    ("step", "left"),
    [
        (lambda window: window.bar.undo.trigger(), 0),
        (lambda window: window.bar.redo.trigger(), 2),
        (arrow, 14),
        (lambda window: window.joints.back.click(), 0),
        (lambda window: window._take(Done("style", window.easel.opened)), 15),
    ],
)
def test_what_is_done_during_a_drag_ends_it(window, step, left):
    joint = lonely(window)
    start = xy(window)[joint, 0]
    window.pose.set_selected([joint])
    window.joints.set_selected([joint])
    for _ in range(2):
        QTest.keyClick(window.pose, Qt.Key.Key_Right)
    window.bar.undo.trigger()
    end = at(window, joint, (14, 0))
    QTest.mousePress(window.pose, LEFT, NONE, at(window, joint))
    move_to(window, end)
    step(window)
    assert xy(window)[joint, 0] == pytest.approx(start + left, abs=1)
    then, redo = xy(window), window.bar.redo.isEnabled()
    move_to(window, end)
    QTest.mouseRelease(window.pose, LEFT, NONE, end)
    assert np.array_equal(xy(window), then)
    assert window.bar.redo.isEnabled() == redo
    assert redo == (left == 0 and not window.easel.drafts.can_undo)


def test_several_joints_are_chosen_and_moved_together(qtbot, window):
    before = xy(window)
    QTest.keyClick(window.pose, Qt.Key.Key_A, CTRL)
    assert len(window.joints.selected) == 68
    QTest.keyClick(window.pose, Qt.Key.Key_Right)
    QTest.keyClick(window.pose, Qt.Key.Key_Up, SHIFT)
    inside = window.easel.opened.portrait.keep_inside(before + np.array([1, -10]))[0]
    assert xy(window) == pytest.approx(inside, abs=1e-3)
    QTest.keyClick(window.pose, Qt.Key.Key_Escape)
    assert window.joints.selected == []
    joint = lonely(window)
    QTest.mouseClick(window.pose, LEFT, NONE, at(window, joint))
    QTest.mouseClick(window.pose, LEFT, CTRL, at(window, joint))
    assert window.joints.selected == []


def test_a_held_key_is_one_step(window):
    before = xy(window)
    window.joints.set_selected([30])
    window.pose.set_selected([30])
    QTest.keyClick(window.pose, Qt.Key.Key_Down)
    for _ in range(3):
        window.pose.nudged.emit(
            window.easel.landmarks + np.eye(68, dtype=np.float32)[30][:, None] * (0, 1), True
        )
    assert xy(window)[30, 1] == pytest.approx(before[30, 1] + 4)
    window.bar.undo.trigger()
    assert np.array_equal(xy(window), before)


def test_a_frame_is_drawn_around_joints_and_a_double_click_takes_the_part(window):
    points = window.pose.to_screen(xy(window))
    low, high = points.min(0) - 20, points.max(0) + 20
    drag(window, QPoint(*low.astype(int)), QPoint(*high.astype(int)))
    assert len(window.joints.selected) == 68
    joint = lonely(window)
    QTest.mouseDClick(window.pose, LEFT, NONE, at(window, joint))
    part = FACE68.joints[joint].rpartition("_")[0]
    assert {FACE68.joints[each].rpartition("_")[0] for each in window.joints.selected} == {part}


def test_joints_are_chosen_by_name_and_their_place_is_typed(qtbot, window):
    before, tree = xy(window), window.joints.tree
    part = tree.findItems("left_eye", Qt.MatchFlag.MatchExactly)[0]
    assert part.childCount() == 6
    tree.setCurrentItem(part)
    assert window.joints.selected == [36, 37, 38, 39, 40, 41]
    middle = before[36:42].mean(0)
    assert window.joints.across.value() == pytest.approx(middle[0], abs=0.06)
    window.joints.across.setValue(middle[0] + 3)
    moved = window.easel.opened.portrait.keep_inside(before + np.array([3, 0]))[0][36:42]
    assert xy(window)[36:42] == pytest.approx(moved, abs=0.1)
    assert np.array_equal(xy(window)[:36], before[:36])
    assert part.child(0).text(1).startswith("+")
    window.joints.back.click()
    assert xy(window) == pytest.approx(before)
    assert part.child(0).text(1) == ""


def test_everything_has_a_name_for_those_who_do_not_see_it(window):
    for kind in (QAbstractButton, QComboBox, QAbstractSpinBox):
        for widget in window.centralWidget().findChildren(kind):
            if widget.isVisible() and not widget.objectName().startswith("qt_"):
                assert widget.accessibleName() or getattr(widget, "text", str)(), widget
    assert window.pose.accessibleName()
    assert window.redrawn.accessibleName()
    assert window.joints.tree.accessibleName()
    window.pose._choose([36])
    assert "left_eye_0" in window.pose.accessibleDescription()


def test_a_joint_dragged_out_is_kept_inside_and_said(window):
    joint = lonely(window)
    drag(window, at(window, joint), at(window, joint, (2000, 0)))
    assert FACE68.joints[joint] in window.state.text()
    assert "kept inside" in window.state.text()
    assert xy(window)[joint, 0] <= 319
    assert window.easel.opened.portrait.keep_inside(xy(window))[1].sum() == 0
    window.bar.undo.trigger()
    assert "kept inside" not in window.state.text()


def test_a_style_is_dropped_undone_and_taken_off(qtbot, window, tmp_path):
    write_scene(tmp_path / "style.png", seed=9)
    own = window.redrawn.picture
    assert drop(window.panes[1], dropped(tmp_path / "style.png"))
    settle(qtbot, window)
    assert "in the appearance of style.png" in window.panes[1].title.text()
    assert window.bar.result.currentData() == "square"
    square = window.redrawn.picture
    assert square.shape[0] == square.shape[1]
    row = window.bar.result.findData("redrawn")
    window.bar.result.setCurrentIndex(row)
    window.bar.result.activated.emit(row)
    settle(qtbot, window)
    assert window.redrawn.picture.shape == own.shape
    window.bar.undo.trigger()
    settle(qtbot, window)
    assert np.array_equal(window.redrawn.picture, own)
    assert window.bar.result.currentData() == "detailed"
    window.bar.redo.trigger()
    window.bar.plain.trigger()
    settle(qtbot, window)
    assert np.array_equal(window.redrawn.picture, own)
    assert not window.bar.plain.isEnabled()


def test_the_result_is_saved(qtbot, window, tmp_path):
    window.pose._choose(range(0, 17))
    QTest.keyClick(window.pose, Qt.Key.Key_Down, SHIFT)
    assert window.isWindowModified()
    QTest.keyClick(window.pose, Qt.Key.Key_S, CTRL)
    dialog = asked(qtbot, window, PictureName)
    assert Path(dialog.selectedFiles()[0]) == tmp_path / "scene.edited.png"
    enter(dialog, "result")
    gone(qtbot, window)
    settle(qtbot, window)
    assert window.banner.text == "Saved result.png"
    assert np.array_equal(read_picture(tmp_path / "result.png"), window.redrawn.picture)
    assert not window.isWindowModified()


def test_a_name_that_is_taken_is_asked_about_also_where_its_ending_was_left_out(qtbot, window, tmp_path):
    (tmp_path / "taken.png").write_bytes(b"mine")
    QTest.keyClick(window.pose, Qt.Key.Key_S, CTRL)
    dialog, said = asked(qtbot, window, PictureName), []

    def refuse():
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            said.append(box.text())
            box.button(QMessageBox.StandardButton.No).click()

    timer = QTimer()
    timer.timeout.connect(refuse)
    timer.start(20)
    enter(dialog, "taken")
    timer.stop()
    assert "already exists" in said[0]
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    gone(qtbot, window)
    settle(qtbot, window)
    assert (tmp_path / "taken.png").read_bytes() == b"mine"


def test_two_pictures_saved_in_a_row_are_both_written(qtbot, window, tmp_path, monkeypatch):
    go, real = threading.Event(), Redrawer.redraw

    def slow(self, *arguments):
        assert go.wait(10)
        return real(self, *arguments)

    monkeypatch.setattr(Redrawer, "redraw", slow)
    nudge(window)  # the thread draws it
    window.save(tmp_path / "one.png")
    window.save(tmp_path / "two.png")
    go.set()
    settle(qtbot, window)
    assert (tmp_path / "one.png").is_file()
    assert (tmp_path / "two.png").is_file()


def test_what_cannot_be_saved_is_said_and_nothing_is_lost(qtbot, window, scene, tmp_path):
    edited = nudge(window)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    for path, said in (
        (tmp_path / "file" / "a.png", "cannot be written"),
        (tmp_path / "a.gif", "choose a name that ends in"),
        (tmp_path / "scene.png", "is an input: choose another name"),
        (tmp_path / "folder.png", "is a folder: choose another name"),
        (tmp_path / f"{'long' * 200}.png", "File name too long"),
    ):
        window.save(path)
        settle(qtbot, window)
        assert said in window.banner.text
        assert "\n" not in window.banner.text
        assert window.minimumSizeHint().width() < 1280
    assert np.array_equal(xy(window), edited)
    assert np.array_equal(read_picture(tmp_path / "scene.png"), picture_of(window))


def test_what_cannot_be_opened_leaves_the_session(qtbot, window, tmp_path, monkeypatch):
    edited, picture = nudge(window), window.redrawn.picture
    (tmp_path / "broken.png").write_bytes(b"no picture")
    write_scene(tmp_path / "nobody.png")
    real = Redrawer.find

    def find(self, image, name="picture"):
        if name == "nobody.png":
            raise NoSubjectError(f"{name}: no subject was found")
        return real(self, image, name)

    monkeypatch.setattr(Redrawer, "find", find)
    for take in (window.open, window.set_style):
        for name in ("gone.png", "broken.png", "nobody.png"):
            take(str(tmp_path / name))
            settle(qtbot, window)
            assert window.banner.text.startswith(f"{name}: ")
            window.banner.dismiss()
    settle(qtbot, window)
    assert np.array_equal(xy(window), edited)
    assert window.panes[0].title.text() == "scene.png"
    assert window.panes[1].title.text() == "Redrawn"
    assert window.redrawn.picture.shape == picture.shape
    window.bar.undo.trigger()
    assert not np.array_equal(xy(window), edited)


def test_another_picture_begins_anew_and_keeps_the_style(qtbot, window, tmp_path):
    write_scene(tmp_path / "other.png", seed=3)
    write_scene(tmp_path / "style.png", seed=9)
    window.set_style(str(tmp_path / "style.png"))
    settle(qtbot, window)
    window.open(str(tmp_path / "other.png"))
    asked(qtbot, window).discard.click()
    settle(qtbot, window)
    assert window.panes[0].title.text() == "other.png"
    assert "style.png" in window.panes[1].title.text()
    assert not window.bar.undo.isEnabled()


def test_the_frames_of_a_video_are_chosen(qtbot, make, tmp_path):
    window = make()
    assert not window.bar.frame.isVisible()
    window.open(str(write_clip(tmp_path / "clip.mp4", size=(160, 120), count=12)))
    settle(qtbot, window)
    assert window.panes[0].title.text() == "clip.mp4, frame 0"
    assert window.bar.frame.isVisible()
    assert window.bar.frame.maximum() == 11
    window.bar.frame.setValue(7)
    settle(qtbot, window)
    assert window.panes[0].title.text() == "clip.mp4, frame 7"
    assert picture_of(window)[-1, 0, 2] == pytest.approx(8 * 7, abs=16)


def test_the_arrows_get_past_a_frame_that_shows_nobody(qtbot, make, tmp_path, monkeypatch):
    window = make()
    window.open(str(write_clip(tmp_path / "clip.mp4", size=(160, 120), count=12)))
    settle(qtbot, window)
    real = Redrawer.find

    def find(self, image, name="picture"):
        if name == "clip.mp4, frame 1":
            raise NoSubjectError(f"{name}: no subject was found")
        return real(self, image, name)

    monkeypatch.setattr(Redrawer, "find", find)
    edited = nudge(window)
    window.bar.frame.stepUp()
    settle(qtbot, window)
    assert window.banner.text == (
        "clip.mp4, frame 1: no subject was found (clip.mp4, frame 0 is still shown)"
    )
    assert window.bar.frame.value() == 1
    assert window.panes[0].title.text() == "clip.mp4, frame 0"
    window.bar.frame.stepDown()  # back to what is there, with its changes
    settle(qtbot, window)
    assert np.array_equal(xy(window), edited)
    window.bar.undo.trigger()
    window.bar.frame.setValue(1)
    settle(qtbot, window)
    window.bar.frame.stepUp()
    settle(qtbot, window)
    assert window.panes[0].title.text() == "clip.mp4, frame 2"


@pytest.fixture
def endless(monkeypatch):
    """A video that always has another frame, "endless.mp4", and how many threads read it."""
    real, reading = ui.edit.open_source, []

    class Endless:
        still, frames, name = False, 10**6, "endless.mp4"

        def __enter__(self):
            reading.append(self)
            return self

        def __exit__(self, *_):
            reading.remove(self)

        def __iter__(self):
            for index in range(self.frames):
                time.sleep(0.01)
                yield Frame(np.zeros((240, 320, 3), np.uint8), index, index / 25, 0)

    monkeypatch.setattr(
        ui.edit, "open_source", lambda source: Endless() if source == "endless.mp4" else real(source)
    )
    return reading


def test_while_a_late_frame_is_looked_for_the_picture_is_redrawn_and_saved(qtbot, window, endless, tmp_path):
    before = window.redrawn.picture
    window.open("endless.mp4", 10**5)
    wait(qtbot, lambda: endless)
    nudge(window)
    wait(qtbot, lambda: (window.redrawn.picture != before).any())
    window.save(tmp_path / "saved.png")
    wait(qtbot, (tmp_path / "saved.png").exists)
    assert endless
    assert window.busy
    window.close()
    wait(qtbot, lambda: not window.isVisible())
    wait(qtbot, lambda: not endless)


def test_another_picture_is_opened_instead_of_a_late_frame(qtbot, window, endless, tmp_path):
    write_scene(tmp_path / "other.png", seed=3)
    window.open("endless.mp4", 10**5)
    wait(qtbot, lambda: endless)
    window.set_style(str(tmp_path / "other.png"))  # is still wanted
    window.open(str(tmp_path / "other.png"))
    asked(qtbot, window).discard.click()
    settle(qtbot, window)
    assert not endless
    assert window.banner.text == ""
    assert window.panes[0].title.text() == "other.png"
    assert "other.png" in window.panes[1].title.text()


def test_who_goes_back_to_the_frame_that_is_there_ends_the_search(qtbot, make, endless):
    window = make()
    window.open("endless.mp4", 0)
    settle(qtbot, window)
    window.bar.frame.setValue(10**5)
    wait(qtbot, lambda: endless)
    window.bar.frame.setValue(0)
    settle(qtbot, window)
    assert not endless
    assert window.panes[0].title.text() == "endless.mp4, frame 0"
    assert window.banner.text == ""


def test_all_of_the_picture_or_what_is_around_the_subject(window):
    near = window.pose.scale
    window.bar.whole.trigger()
    assert window.pose.scale < near
    window.bar.whole.trigger()
    assert window.pose.scale == near


def test_a_model_without_a_decoder_is_said_and_nothing_breaks(qtbot, make, scene, tmp_path):
    window = make(model=str(write_model(tmp_path / "bare.safetensors")))
    window.open(scene)
    settle(qtbot, window)
    assert "model bare has no decoder" in window.banner.text
    assert "bare.decoder.safetensors" in window.banner.text
    assert "Drop a picture" in window.pose.notice


def test_a_decoder_of_another_model_is_said(qtbot, make, pair, scene, tmp_path):
    other = write_model(tmp_path / "other.safetensors")
    window = make(model=str(other), decoder=Path(pair).with_name("tiny.decoder.safetensors"))
    window.open(scene)
    settle(qtbot, window)
    assert "was trained with the landmark model tiny" in window.banner.text


def test_a_picture_is_saved_before_the_window_closes(qtbot, window, tmp_path, monkeypatch):
    going, go = threading.Event(), threading.Event()
    real = Redrawer.redraw

    def slow(self, *arguments):
        going.set()
        assert go.wait(10)
        return real(self, *arguments)

    monkeypatch.setattr(Redrawer, "redraw", slow)
    window.save(tmp_path / "late.png")
    assert going.wait(10)
    window.close()
    assert window.isVisible()
    go.set()
    qtbot.waitUntil(lambda: not window.isVisible(), timeout=10_000)
    assert read_picture(tmp_path / "late.png").shape == (240, 320, 3)


def test_before_changes_are_lost_it_asks_and_esc_keeps_them(qtbot, window):
    edited = nudge(window)
    window.close()
    question = asked(qtbot, window)
    assert window.isVisible()
    assert question.text() == "Save the changes to scene.png before the window closes?"
    assert question.focusWidget() is question.save  # Enter saves
    for button in (question.discard, question.cancel):
        QTest.keyClick(question.focusWidget(), Qt.Key.Key_Tab)
        assert question.focusWidget() is button
    for button in (question.save, question.discard, question.cancel):
        assert "&" in button.text()
    QTest.keyClick(question, Qt.Key.Key_Escape)
    gone(qtbot, window)
    assert window.isVisible()
    assert np.array_equal(xy(window), edited)


def test_changes_that_are_given_up_are_not_asked_about_again(qtbot, window, tmp_path):
    nudge(window)
    window.close()
    question = asked(qtbot, window)
    wait(qtbot, question.isActiveWindow)
    QTest.keyClick(question, Qt.Key.Key_D, Qt.KeyboardModifier.AltModifier)
    wait(qtbot, lambda: not window.isVisible())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scene.png"]


def test_changes_are_saved_before_the_window_closes(qtbot, window, tmp_path):
    nudge(window)
    settle(qtbot, window)
    shown = window.redrawn.picture
    window.close()
    QTest.keyClick(asked(qtbot, window), Qt.Key.Key_Return)
    enter(asked(qtbot, window, PictureName), "kept.png")
    wait(qtbot, lambda: not window.isVisible())
    assert np.array_equal(read_picture(tmp_path / "kept.png"), shown)


def test_who_thinks_better_of_the_name_stays(qtbot, window):
    edited = nudge(window)
    window.close()
    asked(qtbot, window).save.click()
    QTest.keyClick(asked(qtbot, window, PictureName), Qt.Key.Key_Escape)
    gone(qtbot, window)
    settle(qtbot, window)
    assert window.isVisible()
    assert np.array_equal(xy(window), edited)


def test_a_window_whose_changes_cannot_be_saved_stays_and_says_why(qtbot, window, tmp_path):
    edited = nudge(window)
    window.close()
    asked(qtbot, window).save.click()
    enter(asked(qtbot, window, PictureName), "a.gif")
    gone(qtbot, window)
    settle(qtbot, window)
    assert window.isVisible()
    assert "choose a name that ends in" in window.banner.text
    assert np.array_equal(xy(window), edited)
    # Also when it is closed while the picture is being written.
    window.save(tmp_path / "scene.png")
    window.close()
    settle(qtbot, window)
    assert window.isVisible()
    assert "is an input" in window.banner.text
    assert np.array_equal(xy(window), edited)


def test_another_picture_is_opened_when_that_is_answered(qtbot, window, tmp_path):
    write_scene(tmp_path / "other.png", seed=3)
    edited = nudge(window)
    window.open(str(tmp_path / "other.png"))
    question = asked(qtbot, window)
    assert question.text() == "Save the changes to scene.png before other.png is opened?"
    question.cancel.click()
    settle(qtbot, window)
    assert window.panes[0].title.text() == "scene.png"
    assert np.array_equal(xy(window), edited)
    window.open(str(tmp_path / "other.png"))
    asked(qtbot, window).save.click()
    enter(asked(qtbot, window, PictureName), "first.png")
    wait(qtbot, lambda: window.panes[0].title.text() == "other.png")
    assert (tmp_path / "first.png").is_file()
    nudge(window)
    window.open(str(tmp_path / "scene.png"))
    asked(qtbot, window).discard.click()
    settle(qtbot, window)
    assert window.panes[0].title.text() == "scene.png"


def test_another_frame_is_another_picture(qtbot, make, tmp_path):
    window = make()
    window.open(str(write_clip(tmp_path / "clip.mp4", size=(160, 120), count=12)))
    settle(qtbot, window)
    nudge(window)
    window.bar.frame.setValue(7)
    question = asked(qtbot, window)
    assert "clip.mp4, frame 7 is opened" in question.text()
    question.cancel.click()
    settle(qtbot, window)
    assert window.bar.frame.value() == 0
    assert window.panes[0].title.text() == "clip.mp4, frame 0"


def test_where_nothing_is_lost_nothing_is_asked(qtbot, window, tmp_path):
    write_scene(tmp_path / "other.png", seed=3)
    nudge(window)
    window.bar.undo.trigger()
    window.open(str(tmp_path / "other.png"))  # undone
    settle(qtbot, window)
    assert window.panes[0].title.text() == "other.png"
    nudge(window)
    window.save(tmp_path / "saved.png")
    window.open(str(tmp_path / "scene.png"))  # saved, or about to be
    wait(qtbot, lambda: window.panes[0].title.text() == "scene.png")
    window.set_style(str(tmp_path / "other.png"))
    settle(qtbot, window)
    window.bar.plain.trigger()
    window.close()  # there and back
    assert not window.isVisible()


def test_who_closes_a_window_that_asks_means_it(qtbot, window):
    nudge(window)
    window.close()
    asked(qtbot, window)
    window.close()  # as Ctrl-C in the terminal does, a second time
    assert not window.isVisible()


def test_who_closes_a_window_that_asks_for_a_name_is_asked_about_the_changes(qtbot, window):
    nudge(window)
    window.bar.save.trigger()
    asked(qtbot, window, PictureName)
    window.close()
    question = asked(qtbot, window)
    assert window.isVisible()
    assert question.text() == "Save the changes to scene.png before the window closes?"
    question.discard.click()
    wait(qtbot, lambda: not window.isVisible())


def test_a_name_that_is_taken_is_decided_on_before_the_window_closes(qtbot, window, tmp_path):
    """Ctrl-C while the dialog for the name has a question of its own."""
    nudge(window)
    (tmp_path / "taken.png").write_bytes(b"mine")
    window.bar.save.trigger()
    dialog = asked(qtbot, window, PictureName)

    def close_and_replace():
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox) and not isinstance(box, Unsaved):
            timer.stop()
            window.close()
            assert window.isVisible()
            assert dialog.isVisible()
            box.button(QMessageBox.StandardButton.Yes).click()

    timer = QTimer()
    timer.timeout.connect(close_and_replace)
    timer.start(20)
    enter(dialog, "taken")
    wait(qtbot, lambda: not window.isVisible())
    assert read_picture(tmp_path / "taken.png").shape == (240, 320, 3)


@pytest.fixture
def run(qtbot, monkeypatch, pair, scene):
    """The exit code of a window with changes, after ``drive``."""
    monkeypatch.setattr(running, "QApplication", lambda _: QApplication.instance())
    monkeypatch.setattr(running.theme, "follow_system", lambda _: None)
    for name in ("drop_opencv_plugins", "check_display", "leave_if_stuck"):
        monkeypatch.setattr(running, name, lambda *_: None)

    def run(drive):
        def begin(window):
            window.open(scene)
            settle(qtbot, window)
            nudge(window)
            drive(window)

        options = EditOptions(model=pair, settings=TrackerSettings(detector="center"))
        code = running.run(lambda _: EditWindow(options), begin, "")
        wait(qtbot, lambda: not threads())
        return code

    return run


def close_unchanged(window):
    """Close it, soon, when nothing is to be asked any more."""
    window.bar.undo.trigger()
    QTimer.singleShot(0, window.close)


def test_ctrl_c_ends_with_its_code_if_the_window_closes(qtbot, run):
    def drive(window):
        signal.raise_signal(signal.SIGINT)
        QTimer.singleShot(0, asked(qtbot, window).discard.click)

    assert run(drive) == Exit.INTERRUPTED


def test_ctrl_c_while_a_name_is_asked_for_ends_with_its_code(qtbot, run):
    def drive(window):
        window.bar.save.trigger()
        asked(qtbot, window, PictureName)
        signal.raise_signal(signal.SIGINT)
        QTimer.singleShot(0, asked(qtbot, window).discard.click)

    assert run(drive) == Exit.INTERRUPTED


def test_ctrl_c_that_had_to_wait_ends_with_its_code(qtbot, run, tmp_path):
    (tmp_path / "taken.png").write_bytes(b"mine")

    def drive(window):
        window.bar.save.trigger()
        dialog = asked(qtbot, window, PictureName)

        def interrupt():
            box = QApplication.activeModalWidget()
            if isinstance(box, QMessageBox):
                timer.stop()
                signal.raise_signal(signal.SIGINT)
                box.button(QMessageBox.StandardButton.No).click()

        timer = QTimer()
        timer.timeout.connect(interrupt)
        timer.start(20)
        enter(dialog, "taken")
        QTest.keyClick(dialog, Qt.Key.Key_Escape)
        QTimer.singleShot(0, asked(qtbot, window).discard.click)

    assert run(drive) == Exit.INTERRUPTED
    assert (tmp_path / "taken.png").read_bytes() == b"mine"


def test_ctrl_c_twice_ends_with_its_code(qtbot, run):
    def drive(window):
        signal.raise_signal(signal.SIGINT)
        asked(qtbot, window)
        QTimer.singleShot(0, lambda: signal.raise_signal(signal.SIGINT))

    assert run(drive) == Exit.INTERRUPTED


def test_who_stays_after_ctrl_c_ends_well_later(qtbot, run, tmp_path):
    def stay(window):
        signal.raise_signal(signal.SIGINT)
        asked(qtbot, window).cancel.click()
        gone(qtbot, window)
        close_unchanged(window)

    def fail_to_save(window):
        signal.raise_signal(signal.SIGINT)
        asked(qtbot, window).save.click()
        enter(asked(qtbot, window, PictureName), "a.gif")
        gone(qtbot, window)
        settle(qtbot, window)
        close_unchanged(window)

    assert run(stay) == Exit.FINE
    assert run(fail_to_save) == Exit.FINE


def test_a_drag_under_way_is_a_change_and_does_not_reach_the_next_picture(qtbot, window, tmp_path):
    write_scene(tmp_path / "other.png", seed=3)
    joint = lonely(window)
    start, end = at(window, joint), at(window, joint, (8, 8))
    QTest.mousePress(window.pose, LEFT, NONE, start)
    event = QMouseEvent(QEvent.Type.MouseMove, QPointF(end), QPointF(end), LEFT, LEFT, NONE)
    QApplication.sendEvent(window.pose, event)
    window.open(str(tmp_path / "other.png"))
    asked(qtbot, window).discard.click()
    settle(qtbot, window)
    found = xy(window)
    QTest.mouseRelease(window.pose, LEFT, NONE, start)
    assert np.array_equal(xy(window), found)
    assert not window.bar.undo.isEnabled()


def test_what_changes_nothing_is_no_step(window):
    window.joints.back.click()
    QTest.mouseClick(window.pose, LEFT, NONE, at(window, lonely(window)))
    assert not window.bar.undo.isEnabled()
    joint = lonely(window)
    start = at(window, joint)
    drag(window, start, at(window, joint, (500, 0)))
    QTest.mousePress(window.pose, LEFT, NONE, at(window, joint))
    QTest.mouseRelease(window.pose, LEFT, NONE, at(window, joint))
    window.bar.undo.trigger()
    assert not window.bar.undo.isEnabled()


def test_long_names_do_not_widen_the_window(qtbot, make, tmp_path):
    window, name = make(), f"{'long name ' * 20}.png"
    write_scene(tmp_path / name)
    window.open(str(tmp_path / name))
    settle(qtbot, window)
    window.set_style(str(tmp_path / name))
    settle(qtbot, window)
    assert window.panes[0].title.toolTip() == name
    assert name in window.panes[1].title.text()
    assert window.minimumSizeHint().width() < 1280


def test_a_style_is_an_input_too(qtbot, window, tmp_path):
    style = tmp_path / "style.png"
    image = write_scene(style, seed=9)
    window.set_style(str(style))
    settle(qtbot, window)
    window.save(style)
    settle(qtbot, window)
    assert "style.png is an input" in window.banner.text
    assert np.array_equal(read_picture(style), image)


def test_of_errands_of_a_kind_only_the_newest_waits(qtbot):
    errands, go, ran = Errands("test"), threading.Event(), []
    errands.ask("first", lambda: go.wait(10))
    for number in range(5):
        errands.ask("draw", lambda number=number: ran.append(number))
    errands.ask("fail", lambda: 1 / 0)
    for number in (7, 8):
        errands.ask("save", lambda number=number: ran.append(number), every=True)
    go.set()
    done = []

    def take():
        while (each := errands.done()) is not None:
            done.append(each)
        return not errands.pending()

    qtbot.waitUntil(take)
    assert [each.kind for each in done] == ["first", "draw", "fail", "save", "save"]
    assert ran == [4, 7, 8]
    assert isinstance(done[2].error, ZeroDivisionError)
    errands.close()
    qtbot.waitUntil(lambda: not threads(), timeout=10_000)


def test_the_command_opens_the_window_with_what_was_typed(qtbot, monkeypatch, pair, scene, tmp_path):
    write_scene(tmp_path / "style.png", seed=9)

    def run(make, begin, otherwise):
        window = make(running.ErrorHooks())
        qtbot.addWidget(window)
        window.show()
        begin(window)
        settle(qtbot, window)
        assert "--out" in otherwise
        assert window.panes[0].title.text() == "scene.png"
        assert "style.png" in window.panes[1].title.text()
        window.close()
        return 0

    monkeypatch.setattr(editing.running, "run", run)
    options = EditOptions(model=pair, settings=TrackerSettings(detector="center"))
    assert editing.run_editor(scene, str(tmp_path / "style.png"), options) == 0
