"""The Batch tab: a queue of files, how far each is, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QKeySequence, QShortcut
from PyQt6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from tracker import SourceError
from ui.failures import UsageError
from ui.process import Request
from ui.window.backlog import Backlog
from ui.window.dialogs import ask_files, ask_folder
from ui.window.drops import DropTarget
from ui.window.entries import EntryTable

_LOOK_EVERY_MS = 200


class BatchTab(DropTarget):
    """Files to process, on the same code as ``kptrack process``; ``problem`` is one line for the person."""

    problem = pyqtSignal(str)

    def __init__(self, request: Callable[[], Request]) -> None:
        """``request`` says how to process at this moment: model, runtime, settings, overlay."""
        super().__init__()
        self._request = request
        self.backlog = Backlog()
        self._output: Path | None = None
        self._table = EntryTable()
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(10)
        column.addLayout(self._make_bar())
        column.addWidget(self._table)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._look()

    def _make_bar(self) -> QHBoxLayout:
        add = _button("Add files…", "Add videos or pictures", self._add_files)
        add_folder = _button("Add folder…", "Add all videos and pictures of a folder", self._add_folder)
        remove = _button("Remove", "Take the selected files out of the list (Delete)", self._remove)
        delete = QShortcut(QKeySequence(QKeySequence.StandardKey.Delete), self._table, self._remove)
        delete.setContext(Qt.ShortcutContext.WidgetShortcut)
        self._where = QComboBox()
        self._where.addItems(["Beside each file", "Choose a folder…"])
        self._where.activated.connect(self._choose_output)
        self._where.setAccessibleName("Where the results go")
        self._where.setToolTip("Where the results go")
        self._replace = QCheckBox("Replace existing")
        self._replace.setToolTip("Files that have a result already are skipped otherwise")
        self._start = _button(
            "Start", "Process all that waits, with the model and settings of the Live tab", self.start
        )
        self._start.setProperty("primary", True)
        self._cancel = _button("Cancel", "End after the frame in hand; what is done is kept", self._stop)
        bar = QHBoxLayout()
        bar.setSpacing(8)
        for button in (add, add_folder, remove):
            bar.addWidget(button)
        bar.addStretch()
        for widget in (QLabel("Results:"), self._where, self._replace, self._start, self._cancel):
            bar.addWidget(widget)
        return bar

    def take(self, names: list[str]) -> None:
        """Append what was dropped."""
        self.add(names)

    def add(self, sources: list[str]) -> None:
        """Append files and folders."""
        try:
            self.backlog.add(sources)
        except SourceError as error:
            self.problem.emit(str(error))
        self._look()

    def start(self) -> None:
        """Begin with what waits."""
        try:
            self.backlog.start(self._request(), self._output, self._replace.isChecked())
        except (UsageError, ValueError) as error:
            self.problem.emit(str(error))
            return
        self._timer.start(_LOOK_EVERY_MS)
        self._look()

    def _stop(self) -> None:
        self.backlog.cancel()
        self._look()

    def _look(self) -> None:
        """Show how far it is."""
        running = self.backlog.running
        entries = self.backlog.entries()
        self._table.show_entries(entries)
        self._start.setEnabled(not running and any(each.state == "waiting" for each in entries))
        self._cancel.setEnabled(running and not self.backlog.cancelled)
        self._where.setEnabled(not running)
        self._replace.setEnabled(not running)
        if not running and self._timer.isActive():
            self._timer.stop()
            if self.backlog.failure:
                self.problem.emit(self.backlog.failure)

    def _add_files(self) -> None:
        self.add(ask_files(self, "Add files"))

    def _add_folder(self) -> None:
        folder = ask_folder(self, "Add a folder")
        if folder:
            self.add([folder])

    def _remove(self) -> None:
        self.backlog.remove(self._table.chosen())
        self._look()

    def _choose_output(self, index: int) -> None:
        if index == 0:
            self._output = None
        elif folder := ask_folder(self, "Where the results go"):
            self._output = Path(folder)
        self._where.setCurrentIndex(1 if self._output else 0)
        self._where.setItemText(1, f"In {self._output.name}…" if self._output else "Choose a folder…")
        self._where.setToolTip(str(self._output or "Where the results go"))


def _button(word: str, tip: str, do: Callable[[], object]) -> QPushButton:
    button = QPushButton(word)
    button.setToolTip(tip)
    button.setAccessibleName(word)
    button.clicked.connect(lambda: do())
    return button
