"""The table of the Batch tab: one file a row."""

from __future__ import annotations

from PyQt6.QtCore import QAbstractTableModel, QModelIndex, QRect, Qt
from PyQt6.QtGui import QPainter, QPalette
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QLabel,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
)

from tracker import shown_name
from ui.window.backlog import Entry

_COLUMNS = {"File": 260, "State": 90, "Progress": 150, "Frames/s": 80, "Result": 300}
_PROGRESS = list(_COLUMNS).index("Progress")
_ROOT = QModelIndex()
_SHARE = Qt.ItemDataRole.UserRole


class _Rows(QAbstractTableModel):
    """The entries as Qt wants them."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []

    def show_entries(self, entries: list[Entry]) -> None:
        """Show these; as long as they are the same files, the selection stays."""
        if [each.number for each in entries] != [each.number for each in self.entries]:
            self.beginResetModel()
            self.entries = entries
            self.endResetModel()
            return
        for row, entry in enumerate(entries):
            if entry != self.entries[row]:
                self.entries[row] = entry
                self.dataChanged.emit(self.index(row, 0), self.index(row, len(_COLUMNS) - 1))

    def rowCount(self, parent: QModelIndex = _ROOT) -> int:
        """Number of entries."""
        return 0 if parent.isValid() else len(self.entries)

    def columnCount(self, parent: QModelIndex = _ROOT) -> int:
        """Number of columns."""
        return 0 if parent.isValid() else len(_COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """Names of the columns."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return list(_COLUMNS)[section]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Text, tool tip and, for the progress, the share that is done: 0 to 1."""
        entry = self.entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            speed = f"{entry.fps:.1f}" if entry.fps else ""
            cells = (shown_name(entry.source), entry.state, _progress(entry), speed, entry.note)
            return cells[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return entry.note or entry.source if index.column() else entry.source
        if role == _SHARE and index.column() == _PROGRESS and entry.frames:
            return 1.0 if entry.state == "done" else min(1.0, entry.done / entry.frames)
        return None


def _progress(entry: Entry) -> str:
    if entry.frames and entry.state != "done":
        return f"{entry.done} of {entry.frames}"
    return str(entry.done or "")


class _Bar(QStyledItemDelegate):
    """Text with a line below it, as long as the share that is done."""

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw one cell."""
        super().paint(painter, option, index)
        share = index.data(_SHARE)
        if painter is None or share is None:
            return
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        role = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Highlight
        line = QRect(option.rect.left() + 5, option.rect.bottom() - 4, option.rect.width() - 10, 3)
        painter.fillRect(line, option.palette.color(QPalette.ColorRole.Mid))
        line.setWidth(round(line.width() * share))
        painter.fillRect(line, option.palette.color(role))


class EntryTable(QTableView):
    """Shows entries; says where to drop files while there are none."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = _Rows()
        self.setModel(self._rows)
        self.setAccessibleName("Files to process")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setTabKeyNavigation(False)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setItemDelegateForColumn(_PROGRESS, _Bar(self))
        side, top = self.verticalHeader(), self.horizontalHeader()
        assert side is not None
        assert top is not None
        side.hide()
        side.setDefaultSectionSize(32)
        top.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        top.setHighlightSections(False)
        top.setStretchLastSection(True)
        for column, width in enumerate(_COLUMNS.values()):
            self.setColumnWidth(column, width)
        self._hint = QLabel("Drop videos, pictures or folders here")
        self._hint.setProperty("dim", True)
        middle = QVBoxLayout(self.viewport())
        middle.addWidget(self._hint, 0, Qt.AlignmentFlag.AlignCenter)

    def show_entries(self, entries: list[Entry]) -> None:
        """Show these from now on."""
        self._rows.show_entries(entries)
        self._hint.setVisible(not entries)

    def chosen(self) -> list[int]:
        """Numbers of the selected entries."""
        selection = self.selectionModel()
        assert selection is not None
        return [self._rows.entries[each.row()].number for each in selection.selectedRows()]
