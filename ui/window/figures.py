"""The table of the Compare tab: one way of running a row, with its figures or why there are none."""

from __future__ import annotations

from collections.abc import Sequence

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem

from ui.race import CANCELLED, Row

_ROW = 32  # pixels high
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
# What ``Row.skipped`` says in a word.
_REASONS = {
    "gpu": "it needs an NVIDIA GPU",
    "compiler": "it needs a C++ compiler, such as g++",
    "tensorrt": "Torch-TensorRT is not installed",
    "memory": "the memory is too small",
    "parity": "its landmarks differ too much from eager PyTorch",
    "failed": "it fails",
}


class FigureTable(QTableWidget):
    """As high as its rows."""

    def __init__(self) -> None:
        super().__init__(0, len(_COLUMNS))
        self.setHorizontalHeaderLabels(_COLUMNS)
        self.setAccessibleName("Speed and difference of each runtime")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        side, top = self.verticalHeader(), self.horizontalHeader()
        assert side is not None
        assert top is not None
        side.hide()
        side.setDefaultSectionSize(_ROW)
        top.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        top.setHighlightSections(False)
        top.setSectionResizeMode(top.ResizeMode.Stretch)
        top.setSectionResizeMode(_DIFFERENCE, top.ResizeMode.ResizeToContents)

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show these from now on."""
        self.clearSpans()
        self.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate(_cells(row)):
                self.setItem(number, column, QTableWidgetItem(text))
            if row.skipped:
                self.setSpan(number, 2, 1, len(_COLUMNS) - 2)
        top = self.horizontalHeader()
        assert top is not None
        self.setFixedHeight(top.sizeHint().height() + _ROW * len(rows) + 4)


def _cells(row: Row) -> tuple[str, ...]:
    """A row of the table, in words."""
    if row.skipped or row.px_mean is None:
        if row.skipped == CANCELLED:
            return row.runtime, row.precision, "not measured: cancelled"
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
