"""The Compare tab: the ways of running a model side by side, on the same pictures, in time and in pixels."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import QTimer, pyqtSignal
from PyQt6.QtGui import QGuiApplication
from PyQt6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from tracker import shown_name
from tracker.feed import is_url
from ui.bench import Figures, measure
from ui.failures import explain
from ui.interrupt import Cancel
from ui.race import Row
from ui.window.bars import Bars
from ui.window.dialogs import ask_file
from ui.window.drops import DropTarget
from ui.window.figures import FigureTable
from ui.window.notice import Notice

_LOOK_EVERY_MS = 200
_ABOUT = (
    "Runs the model in eager PyTorch, compiled, as CUDA graphs and in TensorRT on the same pictures: the "
    "faces of a clip and the demo's portrait. Says how long each takes, and by how many pixels its "
    "landmarks differ from those of plain eager fp32, or why it does not run here."
)
_NO_CLIP = "no clip: the demo's portrait alone"
# Those of ``kptrack bench``, in the precision that is fastest here; plain eager fp32, the reference, is
# measured in any case.
_RUNTIMES = ("eager", "compile", "cudagraph", "tensorrt")


class _Measurement:
    """One comparison in a thread of its own; ``line`` says what it does at the moment."""

    def __init__(self, model: str, clip: Path | None) -> None:
        self.line = "loading the model …"
        self.figures: Figures | None = None
        self.failure = ""
        self.cancel = Cancel()
        self._model, self._clip = model, clip
        self._thread = threading.Thread(target=self._work, name="kptrack compare", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    def _work(self) -> None:
        try:
            self.figures = measure(
                self._model, _RUNTIMES, ("auto",), (1,), self._clip, self._say, self.cancel
            )
        except Exception as error:  # noqa: BLE001 (the guard of this thread)
            self.failure = explain(error)[0]

    def _say(self, line: str) -> None:
        self.line = line


class CompareTab(DropTarget):
    """The ways of running a model on the same pictures; ``problem`` is one line for the person."""

    problem = pyqtSignal(str)

    def __init__(self, model: Callable[[], str]) -> None:
        """``model`` is the name or file of the model chosen at this moment."""
        super().__init__()
        self._model = model
        self._clip: Path | None = None
        self._run: _Measurement | None = None
        self._text = ""
        self._state = QLabel()
        self._state.setProperty("dim", True)
        self._state.setWordWrap(True)
        self._busy = QProgressBar()
        self._busy.setRange(0, 0)
        self._busy.setTextVisible(False)
        self._busy.setFixedHeight(4)
        self._busy.setAccessibleName("Measuring")
        self._table = FigureTable()
        heading = QLabel("One pass, milliseconds (shorter is better)")
        heading.setProperty("heading", True)
        self._bars = Bars()
        self._results = QWidget()
        results = QVBoxLayout(self._results)
        results.setContentsMargins(0, 0, 0, 0)
        results.setSpacing(10)
        results.addWidget(self._table)
        results.addSpacing(12)
        results.addWidget(heading)
        results.addWidget(self._bars)
        results.addStretch()
        self._stack = QStackedWidget()
        self._stack.addWidget(Notice("Which way is faster?", _ABOUT))
        self._stack.addWidget(self._results)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(10)
        column.addLayout(self._make_bar())
        column.addWidget(self._state)
        column.addWidget(self._busy)
        column.addWidget(self._stack, 1)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._state.hide()
        self._busy.hide()

    def _make_bar(self) -> QHBoxLayout:
        self._clip_button = QPushButton("Choose a clip…")
        self._clip_button.setToolTip(
            "The clip whose faces are measured; without one, only the demo's portrait"
        )
        self._clip_button.setAccessibleName("Clip")
        self._clip_button.clicked.connect(self._choose_clip)
        self._clip_name = QLabel(_NO_CLIP)
        self._clip_name.setProperty("dim", True)
        self._no_clip = QPushButton("No clip")
        self._no_clip.setToolTip("Measure on the demo's portrait alone")
        self._no_clip.setAccessibleName("No clip")
        self._no_clip.clicked.connect(lambda: self.set_clip(""))
        self._no_clip.hide()
        self._copy = QPushButton("Copy as Markdown")
        self._copy.setToolTip("Copy the tables, with the machine they belong to")
        self._copy.setAccessibleName("Copy as Markdown")
        self._copy.setEnabled(False)
        self._copy.clicked.connect(self._copy_text)
        self._start = QPushButton()
        self._start.setProperty("primary", True)
        self._start.clicked.connect(lambda: self.cancel() if self._timer.isActive() else self.start())
        self._show_running(False)
        bar = QHBoxLayout()
        bar.setSpacing(8)
        bar.addWidget(self._clip_button)
        bar.addWidget(self._clip_name)
        bar.addWidget(self._no_clip)
        bar.addStretch()
        bar.addWidget(self._copy)
        bar.addWidget(self._start)
        return bar

    @property
    def running(self) -> bool:
        """Whether a comparison is at work."""
        return self._run is not None and self._run.running

    def take(self, names: list[str]) -> None:
        """Compare on the clip that was dropped."""
        if is_url(names[0]):
            self.problem.emit(f"{shown_name(names[0])}: an address; choose a clip that is a file")
        else:
            self.set_clip(names[0])

    def set_clip(self, clip: str) -> None:
        """Measure on the faces of this clip; "" for the portrait."""
        self._clip = Path(clip) if clip else None
        self._clip_name.setText(self._clip.name if self._clip else _NO_CLIP)
        self._no_clip.setVisible(self._clip is not None)

    def start(self) -> None:
        """Begin to measure."""
        self._run = _Measurement(self._model(), self._clip)
        self._show_running(True)
        self._busy.show()
        self._state.show()
        self._timer.start(_LOOK_EVERY_MS)
        self._look()

    def cancel(self) -> None:
        """End early, with the figures of what has been measured."""
        if self._run is not None and self._timer.isActive():
            self._run.cancel.asked = True
            self._start.setEnabled(False)
            self._look()

    def _show_running(self, running: bool) -> None:
        """The button that begins becomes the one that ends."""
        word = "Cancel" if running else "Compare"
        self._start.setText(word)
        self._start.setAccessibleName(word)
        self._start.setToolTip("End early, with what has been measured" if running else "Measure now")
        self._start.setEnabled(True)
        self._clip_button.setEnabled(not running)
        self._no_clip.setEnabled(not running)
        self.setAcceptDrops(not running)

    def _look(self) -> None:
        """Show what the measurement does, and its figures when it is done."""
        run = self._run
        assert run is not None
        if run.running:
            line = run.line[:1].upper() + run.line[1:]
            self._state.setText(f"Cancelling, after this: {run.line}" if run.cancel.asked else line)
            return
        self._timer.stop()
        self._busy.hide()
        self._show_running(False)
        if run.figures is None:
            self._state.hide()
            self.problem.emit(run.failure)
            return
        self._text = run.figures.markdown
        self._copy.setEnabled(True)
        end_to_end = run.figures.found["end_to_end_fps"]
        speed = (
            f" The whole clip, all stages overlapping: {end_to_end} frames a second." if end_to_end else ""
        )
        cancelled = "Cancelled. " if run.cancel.asked else ""
        self._state.setText(
            f"{cancelled}Pictures are measured one at a time; pixels are those of the crop.{speed}"
        )
        self._show_rows(run.figures.rows)

    def _show_rows(self, rows: tuple[Row, ...]) -> None:
        self._stack.setCurrentWidget(self._results)
        self._table.show_rows(rows)
        measured = [(row, row.median_ms) for row in rows if row.median_ms is not None]
        self._bars.show_bars(
            [(f"{row.runtime} {row.precision}", ms, f"{ms:.1f} ms, {row.fps:.0f}/s") for row, ms in measured]
        )

    def _choose_clip(self) -> None:
        if clip := ask_file(self, "Clip to compare on"):
            self.set_clip(clip)

    def _copy_text(self) -> None:
        clipboard = QGuiApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self._text)
