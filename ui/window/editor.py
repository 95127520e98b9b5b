"""The window of ``kptrack edit``: a picture with its landmarks, and beside it the picture they make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import QRect, QTimer, QUrl
from PyQt6.QtGui import QCloseEvent, QDesktopServices
from PyQt6.QtWidgets import QApplication, QDialog

from tracker import shown_name
from ui.easel import Easel
from ui.edit import EditOptions, Opened, name_beside
from ui.failures import explain
from ui.window.banner import Action, Banner
from ui.window.dialogs import PictureName, Unsaved, ask_file
from ui.window.editbar import EditBar
from ui.window.editpanes import Pane, lay_out, state_label, surroundings
from ui.window.editwork import EditWork, Redrawn, Saved
from ui.window.errands import Done
from ui.window.jointpanel import JointPanel
from ui.window.pictures import PictureView
from ui.window.pose import PoseView
from ui.window.running import AppWindow

_SIZE = 1280, 760
_LOOK_EVERY_MS = 15
_TITLE = "kptrack edit"
_EMPTY = "Drop a picture or video here, or open one."
_EMPTY_BESIDE = "The redrawn picture comes here. Drop another picture here to take its appearance."
_HINT = "Drag a landmark; double-click takes all of its part; arrow keys move what is selected."


class EditWindow(AppWindow):
    """Edits one picture at a time.

    What takes time is done by threads; what was there stays until then. Before changes are lost that were
    not saved, a person is asked.
    """

    def __init__(self, options: EditOptions) -> None:
        super().__init__()
        self._work = EditWork(options)
        self.easel = Easel(options.result)
        self._asking: QDialog | None = None  # what a person has to answer first
        self._then: Callable[[], object] | None = None  # what waits for a save or an answer
        self.setWindowTitle(_TITLE)
        self.resize(*_SIZE)
        self.banner, self.bar = Banner(), EditBar()
        self.pose, self.redrawn = PoseView(), PictureView("Redrawn picture")
        self.joints = JointPanel()
        self.state = state_label(_HINT)
        self.panes = Pane("Picture", self.pose, self.open), Pane("Redrawn", self.redrawn, self.set_style)
        self.setCentralWidget(lay_out((self.banner, self.bar), self.panes, self.joints, self.state))
        self._connect()
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)
        self.pose.set_notice(_EMPTY)
        self.redrawn.set_notice(_EMPTY_BESIDE)
        self._show()

    def _connect(self) -> None:
        bar, pose, joints, easel = self.bar, self.pose, self.joints, self.easel
        bar.open.triggered.connect(self._ask_picture)
        bar.style_.triggered.connect(self._ask_style)
        bar.plain.triggered.connect(lambda: self._step(easel.dress, None))
        bar.undo.triggered.connect(lambda: self._step(easel.undo))
        bar.redo.triggered.connect(lambda: self._step(easel.redo))
        bar.whole.triggered.connect(self._show)
        bar.save.triggered.connect(self._ask_name)
        bar.result_chosen.connect(lambda name: self._do(easel.choose, name))
        bar.frame_chosen.connect(self._choose_frame)
        pose.chosen.connect(joints.set_selected)
        pose.dragged.connect(lambda wanted: self._do(easel.drag, wanted))
        pose.dropped.connect(lambda wanted: self._do(easel.place, wanted))
        pose.nudged.connect(lambda wanted, held: self._step(easel.place, wanted, held))
        joints.chosen.connect(pose.set_selected)
        joints.placed.connect(lambda wanted: self._step(easel.place, wanted))
        joints.reset.connect(lambda: self._step(easel.put_back, joints.selected))

    # What a person does.

    def open(self, source: str, frame: int | None = None) -> None:
        """Edit another picture, or a frame of a video."""
        self._work.open("open", source, frame)
        self._timer.start()
        if self.easel.opened is None:
            self.pose.set_notice(f"Opening {shown_name(source)} …")

    def set_style(self, source: str) -> None:
        """Redraw in the appearance of this one."""
        self._work.open("style", source)
        self._timer.start()

    def save(self, path: Path) -> None:
        """Write what is shown at the right, as it is by now."""
        easel = self.easel
        if easel.opened is None:
            return
        self._let_go()
        inputs = [each.source for each in (easel.opened, easel.style) if each is not None]
        self._work.save(path, inputs, easel.drafts, easel.drawing())
        self._timer.start()

    def _do(self, step: Callable[..., None], *how: object) -> None:
        step(*how)
        self._show()

    def _step(self, step: Callable[..., None], *how: object) -> None:
        """Do what is no part of a drag: one under way ends, or it would place its landmarks again."""
        self.pose.let_go()
        self._do(step, *how)

    def _ask_picture(self) -> None:
        if source := ask_file(self, "Open a picture or video"):
            self.open(source)

    def _ask_style(self) -> None:
        if source := ask_file(self, "Give it the appearance of"):
            self.set_style(source)

    def _ask_name(self) -> None:
        if self.easel.opened is not None:
            self._ask_name_and(lambda: None, self.easel.opened)

    def _choose_frame(self, frame: int) -> None:
        opened = self.easel.opened
        if opened is not None and frame == opened.frame:
            self._work.end_opening("open")  # back to what is there
        elif opened is not None:
            self.open(opened.source, frame)

    # Before changes are lost.

    def _detained(self, then: Callable[[], object], before: str) -> bool:
        """Whether something has to come ``before`` that; if so, it is begun, and ``then`` called after it."""
        if self._work.pending("save"):
            self._wait_to(then)
            return True
        self._let_go()
        easel = self.easel
        if easel.opened is None or not easel.unsettled:
            return False
        opened, dialog = easel.opened, Unsaved(self, easel.opened.shown, before)

        def answer() -> None:
            if dialog.clickedButton() is dialog.save:
                self._ask_name_and(then, opened)
            elif dialog.clickedButton() is dialog.discard:
                easel.drafts.settle(easel.drafts.present)
                then()
            else:
                self._stay()

        self._ask_person(dialog, answer)
        return True

    def _ask_name_and(self, then: Callable[[], object], opened: Opened) -> None:
        """Save under a name that a person chooses, and ``then`` go on."""
        dialog = PictureName(self, "Save the redrawn picture", name_beside(opened.source))

        def answer() -> None:
            if dialog.path is None:
                self._stay()
            else:
                self.save(dialog.path)
                self._wait_to(then)

        self._ask_person(dialog, answer)

    def _wait_to(self, then: Callable[[], object]) -> None:
        """Call ``then`` when nothing is being saved or asked; closing goes before anything else."""
        if self._then != self.close:
            self._then = then
        self._timer.start()

    def _ask_person(self, dialog: QDialog, answer: Callable[[], None]) -> None:
        """Show it, and call ``answer`` when it is gone; until then nothing else happens in the window."""

        def finish() -> None:
            self._asking = None
            dialog.deleteLater()
            answer()

        self._asking = dialog
        dialog.finished.connect(finish)
        dialog.open()

    def _let_go(self) -> None:
        """End a drag where it is."""
        self.pose.let_go()
        if self.easel.dragging:
            self._do(self.easel.let_go)

    def _stay(self) -> None:
        """Go on with the picture that is there."""
        if self.easel.opened is not None:
            self.bar.show_frames(self.easel.opened.frame, self.easel.opened.frames)
        if self._then is None:
            self.stayed.emit()

    # What is shown.

    def _begin(self, opened: Opened) -> None:
        """Another picture, once the one before may go."""
        if self._detained(lambda: self._begin(opened), f"{opened.shown} is opened"):
            return
        first, skeleton = self.easel.opened is None, opened.portrait.skeleton
        self.easel.put(opened)
        self.joints.show_skeleton(skeleton)
        self.pose.set_notice("")
        self.pose.setFocus()
        self.bar.show_frames(opened.frame, opened.frames)
        self._show()
        if first and self._work.note:
            self.banner.problem(self._work.note)

    def _show(self) -> None:
        """Show what the picture is becoming, and have it redrawn."""
        easel, opened = self.easel, self.easel.opened
        self.bar.plain.setEnabled(easel.style is not None)
        self.bar.undo.setEnabled(easel.drafts.can_undo)
        self.bar.redo.setEnabled(easel.drafts.can_redo)
        self.bar.show_result(easel.result, easel.style is not None)
        for part in (self.bar.save, self.bar.whole, self.joints):
            part.setEnabled(opened is not None)
        of_whom = f" in the appearance of {easel.style.shown}" if easel.style else ""
        self.panes[1].set_title(f"Redrawn{of_whom}")
        if opened is None:
            return
        xy, portrait = easel.landmarks, opened.portrait
        self.setWindowTitle(f"{_TITLE}: {opened.shown}[*]")
        self.setWindowModified(easel.unsettled)
        self.panes[0].set_title(opened.shown)
        self.pose.show_picture(portrait.image, self._part)
        self.pose.show_pose(portrait.skeleton, xy, portrait.corners)
        self.joints.show_pose(xy, portrait.xy)
        self.state.setText(f"{easel.said} {_HINT}")
        self._work.redraw(portrait, easel.drawing(), alone=easel.result == "square")
        self._timer.start()

    @property
    def busy(self) -> bool:
        """Whether something that was asked for is not shown yet."""
        return self._work.pending()

    @property
    def _part(self) -> QRect | None:
        """What of the picture is shown; None for all of it."""
        if self.bar.whole.isChecked() or self.easel.opened is None:
            return None
        return surroundings(self.easel.opened.portrait)

    # What the threads have done.

    def _look(self) -> None:
        """Take it; while a person is asked something, all stays as it is."""
        while self._asking is None and (done := self._work.done()) is not None:
            if done.error is not None:
                self._fail(done)
            else:
                self._take(done)
        if self._then is not None and self._asking is None and not self._work.pending("save"):
            then, self._then = self._then, None
            then()
        elif self._then is None and not self.busy:
            self._timer.stop()

    def _take(self, done: Done) -> None:
        match done.found:
            case Opened() as opened if done.kind == "open":
                self._begin(opened)
            case Opened() as opened:
                self._step(self.easel.dress, opened)
            case Saved(path, drafts, draft):
                drafts.settle(draft)
                self.setWindowModified(self.easel.unsettled)
                folder = QUrl.fromLocalFile(str(path.parent))
                action = Action("Open folder", lambda: QDesktopServices.openUrl(folder))
                self.banner.note(f"Saved {path.name}", action)
            case Redrawn() as redrawn if self.easel.opened and redrawn.portrait is self.easel.opened.portrait:
                self.redrawn.set_notice("")
                self.redrawn.show_picture(redrawn.picture, None if redrawn.alone else self._part)

    def _fail(self, done: Done) -> None:
        """Say it; what was there stays, also if it was to make room for something else."""
        assert done.error is not None
        said, opened = explain(done.error)[0], self.easel.opened
        if done.kind == "open" and opened and opened.frames and self.bar.frame.value() != opened.frame:
            # The number stays: it is from there that the arrows of the box go on.
            said += f" ({opened.shown} is still shown)"
        self.banner.problem(said)
        if opened is None:
            self.pose.set_notice(_EMPTY)
        if done.kind == "save" and self._then is not None:
            self._then = None
            self._stay()

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Close when changes are saved or given up; at once where that is being asked already."""
        assert event is not None
        if isinstance(self._asking, PictureName):
            # Asked for a name is not yet asked about the changes. Where it has a question of its own open,
            # whether to replace a file, that has to be answered first.
            event.ignore()
            self._wait_to(self.close)
            if QApplication.activeModalWidget() is self._asking:
                self._asking.reject()
            return
        if self._asking is None and self._detained(self.close, "the window closes"):
            event.ignore()
            return
        self._timer.stop()
        self._work.close()
        if self._asking is not None:
            self._asking.close()
        event.accept()
