"""The Compare tab: the ways of running a model side by side, on the same pictures, in time and in pixels."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ui.bars import Bars
from ui.bench import Figures, Row, measure
from ui.dialogs import ask_file
from ui.drops import dropped
from ui.failures import explain
from ui.notice import Notice

_LOOK_EVERY_MS = 200
_ABOUT = (
    "Runs the model in eager PyTorch, compiled, and in TensorRT where that is, on the same pictures: the "
    "faces of a clip and the demo's portrait. Says how long each takes, and by how many pixels its "
    "landmarks differ from those of plain eager fp32. Compiling takes half a minute and more."
)
_NO_CLIP = "no clip: the demo's portrait alone"
_COLUMNS = (
    "Runtime",
    "Precision",
    "Median ms",
    "p95 ms",
    "Crops/s",
    "Speed-up",
    "Difference, px",
    "Build s",
)
_DIFFERENCE = _COLUMNS.index("Difference, px")
# In the precision that is fastest here; plain eager fp32, the reference, is measured in any case.
_RUNTIMES = ("eager", "compile", "tensorrt")
# What ``Row.skipped`` says in a word.
_REASONS = {
    "gpu": "it needs an NVIDIA GPU",
    "compiler": "it needs a C++ compiler, such as g++",
    "tensorrt": "Torch-TensorRT is not installed",
    "memory": "the memory is too small",
    "parity": "its landmarks differ too much from eager PyTorch",
}


class _Measurement:
    """One comparison in a thread of its own; ``line`` says what it does at the moment."""

    def __init__(self, model: str, clip: Path | None) -> None:
        self.line = "loading the model …"
        self.figures: Figures | None = None
        self.failure = ""
        self._model, self._clip = model, clip
        self._thread = threading.Thread(target=self._work, name="kptrack compare", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    def _work(self) -> None:
        try:
            self.figures = measure(self._model, _RUNTIMES, ("auto",), (1,), self._clip, self._say)
        except Exception as error:  # noqa: BLE001 (the guard of this thread)
            self.failure = explain(error)[0]

    def _say(self, line: str) -> None:
        self.line = line


class CompareTab(QWidget):
    """Eager PyTorch, compiled and TensorRT on the same pictures; ``problem`` is one line for the person."""

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
        self._table = self._make_table()
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
        self.setAcceptDrops(True)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._state.hide()
        self._busy.hide()

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, len(_COLUMNS))
        table.setHorizontalHeaderLabels(_COLUMNS)
        table.setAccessibleName("Speed and difference of each runtime")
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        table.setTabKeyNavigation(False)
        table.setShowGrid(False)
        side, top = table.verticalHeader(), table.horizontalHeader()
        assert side is not None
        assert top is not None
        side.hide()
        side.setDefaultSectionSize(32)
        top.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        top.setHighlightSections(False)
        top.setSectionResizeMode(top.ResizeMode.Stretch)
        top.setSectionResizeMode(_DIFFERENCE, top.ResizeMode.ResizeToContents)
        return table

    def _make_bar(self) -> QHBoxLayout:
        self._clip_button = QPushButton("Choose a clip…")
        self._clip_button.setToolTip(
            "The clip whose faces are measured; without one, only the demo's portrait"
        )
        self._clip_button.setAccessibleName("Clip")
        self._clip_button.clicked.connect(self._choose_clip)
        self._clip_name = QLabel(_NO_CLIP)
        self._clip_name.setProperty("dim", True)
        self._copy = QPushButton("Copy as Markdown")
        self._copy.setToolTip("Copy the tables, with the machine they belong to")
        self._copy.setAccessibleName("Copy as Markdown")
        self._copy.setEnabled(False)
        self._copy.clicked.connect(self._copy_text)
        self._start = QPushButton("Compare")
        self._start.setProperty("primary", True)
        self._start.setToolTip("Measure now")
        self._start.setAccessibleName("Compare")
        self._start.clicked.connect(self.start)
        bar = QHBoxLayout()
        bar.setSpacing(8)
        bar.addWidget(self._clip_button)
        bar.addWidget(self._clip_name)
        bar.addStretch()
        bar.addWidget(self._copy)
        bar.addWidget(self._start)
        return bar

    @property
    def running(self) -> bool:
        """Whether a comparison is at work."""
        return self._run is not None and self._run.running

    def set_clip(self, clip: str) -> None:
        """Measure on the faces of this clip; "" for the portrait."""
        self._clip = Path(clip) if clip else None
        self._clip_name.setText(self._clip.name if self._clip else _NO_CLIP)

    def start(self) -> None:
        """Begin to measure."""
        self._run = _Measurement(self._model(), self._clip)
        self._start.setEnabled(False)
        self._clip_button.setEnabled(False)
        self._busy.show()
        self._state.show()
        self._timer.start(_LOOK_EVERY_MS)
        self._look()

    def _look(self) -> None:
        """Show what the measurement does, and its figures when it is done."""
        run = self._run
        assert run is not None
        self._state.setText(run.line)
        if run.running:
            return
        self._timer.stop()
        self._busy.hide()
        self._start.setEnabled(True)
        self._clip_button.setEnabled(True)
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
        self._state.setText(f"Pictures are measured one at a time; pixels are those of the crop.{speed}")
        self._show_rows(run.figures.rows)

    def _show_rows(self, rows: tuple[Row, ...]) -> None:
        self._stack.setCurrentWidget(self._results)
        self._table.clearSpans()
        self._table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate(_cells(row)):
                self._table.setItem(number, column, QTableWidgetItem(text))
            if row.skipped:
                self._table.setSpan(number, 2, 1, len(_COLUMNS) - 2)
        header = self._table.horizontalHeader()
        assert header is not None
        self._table.setFixedHeight(header.sizeHint().height() + 32 * len(rows) + 4)
        measured = [(row, row.median_ms) for row in rows if row.median_ms is not None]
        self._bars.show_bars(
            [(f"{row.runtime} {row.precision}", ms, f"{ms:.1f} ms, {row.fps:.0f}/s") for row, ms in measured]
        )

    def _choose_clip(self) -> None:
        self.set_clip(ask_file(self, "Clip to compare on"))

    def _copy_text(self) -> None:
        clipboard = QGuiApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(self._text)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take a clip."""
        if event is not None and dropped(event) and not self.running:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Compare on what was dropped."""
        if event is not None:
            event.acceptProposedAction()
            self.set_clip(dropped(event)[0])


def _cells(row: Row) -> tuple[str, ...]:
    """A row of the table, in words."""
    if row.skipped or row.px_mean is None:
        reason = _REASONS.get(row.skipped or "", row.skipped)
        return row.runtime, row.precision, f"not available here: {reason}"
    return (
        row.runtime,
        row.precision,
        f"{row.median_ms:.2f}",
        f"{row.p95_ms:.2f}",
        f"{row.fps:.0f}",
        f"{row.ratio_to_eager:.2f}x",
        f"{row.px_mean:.3f} mean, {row.px_max:.2f} max",
        f"{row.build_s:.1f}",
    )
