"""The window of ``kptrack edit``: a picture with its landmarks, and beside it the picture they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PyQt6.QtCore import QRect, QTimer, QUrl
from PyQt6.QtGui import QCloseEvent, QDesktopServices
from PyQt6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QMainWindow, QVBoxLayout, QWidget

from tracker import shown_name
from tracker.redraw import Portrait, default_result
from tracker.stills import PICTURES
from ui.drafts import Draft, Drafts
from ui.edit import EditOptions, Opened, Studio, check_output, kept_inside, said_inside, write_picture
from ui.failures import explain
from ui.window.banner import Action, Banner
from ui.window.dialogs import ask_file
from ui.window.drops import DropTarget
from ui.window.editbar import EditBar
from ui.window.errands import Done, Errands
from ui.window.jointpanel import JointPanel
from ui.window.pictures import PictureView
from ui.window.pose import PoseView

_SIZE = 1280, 760
_LOOK_EVERY_MS = 15
_AROUND = 0.12  # of the square's side: what is shown around it
_EMPTY = "Drop a picture or video here, or open one."
_EMPTY_BESIDE = "The redrawn picture comes here. Drop another picture here to take its appearance."
_HINT = "Drag a landmark; double-click takes all of its part; arrow keys move what is selected."


class _Pane(DropTarget):
    """A picture under its title; ``taken`` is told what was dropped on it."""

    def __init__(self, title: str, view: PictureView, taken: Callable[[str], object]) -> None:
        super().__init__()
        self._taken = taken
        self.title = QLabel(title)
        self.title.setProperty("heading", True)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 0, 0, 12)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(view, 1)

    def take(self, names: list[str]) -> None:
        """The first of several."""
        self._taken(names[0])


@dataclass(frozen=True, eq=False)
class _Redrawn:
    """What the thread drew, of which portrait; ``alone``: only the square."""

    portrait: Portrait
    picture: np.ndarray
    alone: bool


class EditWindow(QMainWindow):
    """Edits one picture at a time, ``opened``.

    What takes time is done by a thread; what was there stays until then.
    """

    def __init__(self, options: EditOptions) -> None:
        super().__init__()
        self._options = options
        self._errands = Errands("edit")
        self._studio: Studio | None = None  # the thread's
        self.opened: Opened | None = None
        self._drafts = Drafts(Draft(np.empty((0, 2), np.float32)))
        self._dragged: np.ndarray | None = None
        self._closing = False
        self._kept: list[str] = []
        self._results = {False: options.result or default_result(False), True: default_result(True)}
        if options.result not in (None, "detailed"):
            self._results[True] = options.result
        self.setWindowTitle("kptrack edit")
        self.resize(*_SIZE)
        self.banner, self.bar = Banner(), EditBar()
        self.pose, self.redrawn = PoseView(), PictureView("Redrawn picture")
        self.joints = JointPanel()
        self.state = QLabel(_HINT)
        self.panes = (
            _Pane("Picture", self.pose, self.open),
            _Pane("Redrawn", self.redrawn, self.set_style),
        )
        self._lay_out()
        self._connect()
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)
        self.pose.set_notice(_EMPTY)
        self.redrawn.set_notice(_EMPTY_BESIDE)
        self._show()

    def _lay_out(self) -> None:
        middle = QHBoxLayout()
        middle.setSpacing(0)
        for pane in self.panes:
            middle.addWidget(pane, 1)
        middle.addWidget(self.joints)
        self.state.setProperty("dim", True)
        self.state.setWordWrap(True)
        self.state.setContentsMargins(12, 0, 12, 10)
        self.state.setAccessibleName("State")
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.banner)
        column.addWidget(self.bar)
        column.addLayout(middle, 1)
        column.addWidget(self.state)
        self.setCentralWidget(inside)

    def _connect(self) -> None:
        bar, pose, joints = self.bar, self.pose, self.joints
        bar.open.triggered.connect(self._ask_picture)
        bar.style_.triggered.connect(self._ask_style)
        bar.plain.triggered.connect(lambda: self._keep(Draft(self._drafts.present.xy)))
        bar.undo.triggered.connect(lambda: self._go(self._drafts.undo))
        bar.redo.triggered.connect(lambda: self._go(self._drafts.redo))
        bar.whole.triggered.connect(self._show)
        bar.save.triggered.connect(self._ask_name)
        bar.result_chosen.connect(self._choose_result)
        bar.frame_chosen.connect(self._choose_frame)
        pose.chosen.connect(joints.set_selected)
        pose.dragged.connect(self._drag)
        pose.dropped.connect(self._place)
        pose.nudged.connect(self._place)
        joints.chosen.connect(pose.set_selected)
        joints.placed.connect(self._place)
        joints.reset.connect(self._put_back)

    # What a person does.

    def open(self, source: str, frame: int | None = None) -> None:
        """Edit another picture, or a frame of a video."""
        self._ask("open", lambda: self._work().open(source, frame))
        if self.opened is None:
            self.pose.set_notice(f"Opening {shown_name(source)} …")

    def set_style(self, source: str) -> None:
        """Redraw in the appearance of this one."""
        self._ask("style", lambda: self._work().open(source))

    def save(self, path: Path) -> None:
        """Write what is shown at the right, as it is by now."""
        if self.opened is None:
            return
        draw, source = self._draw(), self.opened.source

        def write() -> Path:
            check_output(path, [source], overwrite=True)
            write_picture(path, draw())
            return path

        self._ask("save", write)

    def _ask_picture(self) -> None:
        if source := ask_file(self, "Open a picture or video"):
            self.open(source)

    def _ask_style(self) -> None:
        if source := ask_file(self, "Give it the appearance of"):
            self.set_style(source)

    def _ask_name(self) -> None:
        if self.opened is None:
            return
        source = Path(self.opened.source)
        kinds = f"Pictures ({' '.join('*' + suffix for suffix in PICTURES)})"
        begin = source.with_name(f"{source.stem}.edited.png")
        name, _ = QFileDialog.getSaveFileName(self, "Save the redrawn picture", str(begin), kinds)
        if name:
            path = Path(name)
            self.save(path if path.suffix else path.with_suffix(".png"))

    def _drag(self, wanted: np.ndarray) -> None:
        if self.opened is not None:
            self._dragged = self._inside(wanted)
            self._show()

    def _place(self, wanted: np.ndarray, onward: bool = False) -> None:
        if self.opened is not None:
            self._keep(Draft(self._inside(wanted), self._drafts.present.style), onward)

    def _put_back(self) -> None:
        """What is selected, or else everything."""
        if self.opened is None:
            return
        xy = self._drafts.present.xy.copy()
        joints = sorted(self.joints.selected) or list(range(len(xy)))
        xy[joints] = self.opened.portrait.xy[joints]
        self._place(xy)

    def _choose_result(self, name: str) -> None:
        self._results[self._styled] = name
        self._show()

    def _choose_frame(self, frame: int) -> None:
        if self.opened is not None:
            self.open(self.opened.source, frame)

    # What becomes of it.

    @property
    def _styled(self) -> bool:
        return self._drafts.present.style is not None

    def _inside(self, wanted: np.ndarray) -> np.ndarray:
        """As far as that can be redrawn; remembers what had to be kept back."""
        assert self.opened is not None
        xy, self._kept = kept_inside(self.opened.portrait, wanted)
        return xy

    def _keep(self, draft: Draft, onward: bool = False) -> None:
        self._dragged = None
        self._drafts.keep(draft, onward)
        self._show()

    def _go(self, way: Callable[[], None]) -> None:
        self._dragged, self._kept = None, []
        way()
        self._show()

    def _begin(self, opened: Opened) -> None:
        """Another picture; the style stays."""
        same = self.opened is not None and self.opened.portrait.skeleton == opened.portrait.skeleton
        self.opened, self._dragged, self._kept = opened, None, []
        self._drafts = Drafts(Draft(opened.portrait.xy, self._drafts.present.style))
        self.joints.show_skeleton(opened.portrait.skeleton)
        self.pose.set_notice("")
        self.pose.setFocus()
        self.bar.show_frames(opened.frame, opened.frames)
        if not same:
            self.joints.set_selected(())
            self.pose.set_selected(())
        self._show()
        if self._studio is not None and self._studio.note:
            self.banner.problem(self._studio.note)

    def _show(self) -> None:
        """Show the present draft, or what it is becoming, and have it redrawn."""
        draft, opened = self._drafts.present, self.opened
        self.bar.plain.setEnabled(self._styled)
        self.bar.undo.setEnabled(self._drafts.can_undo)
        self.bar.redo.setEnabled(self._drafts.can_redo)
        self.bar.show_result(self._result, self._styled)
        for part in (self.bar.save, self.bar.whole, self.joints):
            part.setEnabled(opened is not None)
        of_whom = f" in the appearance of {draft.style.shown}" if draft.style else ""
        self.panes[1].title.setText(f"Redrawn{of_whom}")
        if opened is None:
            return
        xy, portrait = self.landmarks, opened.portrait
        self.panes[0].title.setText(opened.shown)
        self.pose.show_picture(portrait.image, self._part)
        self.pose.show_pose(portrait.skeleton, xy, portrait.corners)
        self.joints.show_pose(xy, portrait.xy)
        moved = int((np.abs(xy - portrait.xy) >= 0.05).any(axis=1).sum())
        self.state.setText(said_inside(self._kept) if self._kept else f"{moved} of {len(xy)} moved. {_HINT}")
        draw, alone = self._draw(), self._result == "square"
        self._ask("redraw", lambda: _Redrawn(portrait, draw(), alone))

    @property
    def busy(self) -> bool:
        """Whether something that was asked for is not shown yet."""
        return self._errands.pending()

    @property
    def landmarks(self) -> np.ndarray:
        """Where they are wanted by now ``(K, 2)``, in pixels of the picture."""
        return self._drafts.present.xy if self._dragged is None else self._dragged

    @property
    def _result(self) -> str:
        return self._results[self._styled]

    @property
    def _part(self) -> QRect | None:
        """What of the picture is shown; None for all of it."""
        if self.bar.whole.isChecked() or self.opened is None:
            return None
        portrait = self.opened.portrait
        margin = _AROUND * float(portrait.box[2])
        left, top = np.floor(portrait.corners.min(0) - margin).astype(int)
        right, bottom = np.ceil(portrait.corners.max(0) + margin).astype(int)
        return QRect(left, top, right - left + 1, bottom - top + 1)

    # The thread.

    def _ask(self, kind: str, errand: Callable[[], object]) -> None:
        self._errands.ask(kind, errand)
        self._timer.start()

    def _work(self) -> Studio:
        """The model and its decoder, opened when they are needed first; for the thread alone."""
        if self._studio is None:
            self._studio = Studio(self._options)
        return self._studio

    def _draw(self) -> Callable[[], np.ndarray]:
        """What draws the picture as it is wanted now, whatever is wanted later."""
        assert self.opened is not None
        style = self._drafts.present.style
        portrait, xy, result = self.opened.portrait, self.landmarks, self._result
        dressed = None if style is None else style.portrait
        return lambda: self._work().redrawer.redraw(portrait, xy, dressed, result)

    def _look(self) -> None:
        """Take what the thread has done."""
        for done in self._errands.done():
            if done.error is not None:
                self._fail(done)
            else:
                self._take(done)
        if self._closing:
            self.close()
        elif not self._errands.pending():
            self._timer.stop()

    def _take(self, done: Done) -> None:
        match done.found:
            case Opened() as opened if done.kind == "open":
                self._begin(opened)
            case Opened() as opened:
                self._keep(Draft(self._drafts.present.xy, opened))
            case Path() as path:
                folder = QUrl.fromLocalFile(str(path.parent))
                action = Action("Open folder", lambda: QDesktopServices.openUrl(folder))
                self.banner.note(f"Saved {path.name}", action)
            case _Redrawn() as redrawn if self.opened and redrawn.portrait is self.opened.portrait:
                self.redrawn.set_notice("")
                self.redrawn.show_picture(redrawn.picture, None if redrawn.alone else self._part)

    def _fail(self, done: Done) -> None:
        """Say it; what was there stays."""
        assert done.error is not None
        self.banner.problem(explain(done.error)[0])
        if self.opened is None:
            self.pose.set_notice(_EMPTY)
        else:
            self.bar.show_frames(self.opened.frame, self.opened.frames)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Close when a picture that is being saved is written."""
        assert event is not None
        self._closing = self._errands.pending("save")
        if self._closing:
            event.ignore()
            return
        self._timer.stop()
        self._errands.close()
        event.accept()
