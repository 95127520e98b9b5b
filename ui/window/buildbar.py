"""How far an engine is that is built behind the picture, and a way to give it up."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton

from tracker.live import EngineStatus

_WIDTH = 220
_WORDS = {"tensorrt": "Building a TensorRT engine", "compile": "Building a compiled engine"}


class BuildBar(QFrame):
    """Seen while an engine says what its build is at; ``cancelled`` is a person's wish."""

    cancelled = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("build")
        self.setAccessibleName("Build of an engine")
        self._text = QLabel()
        self._share = QProgressBar()
        self._share.setTextVisible(False)
        self._share.setFixedSize(_WIDTH, 6)
        self._share.setAccessibleName("Share of this phase that is done")
        cancel = QPushButton("Cancel")
        cancel.setAccessibleName("Cancel the build")
        cancel.setToolTip("Give the build up, and go on with what runs now")
        cancel.clicked.connect(self.cancelled)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 6, 12, 6)
        row.setSpacing(12)
        row.addWidget(self._text, 1)
        row.addWidget(self._share)
        row.addWidget(cancel)
        self.hide()

    @property
    def text(self) -> str:
        """What it says; empty while nothing is built."""
        return "" if self.isHidden() else self._text.text()

    def show_engine(self, engine: EngineStatus | None, runtime: str) -> None:
        """Show the build of an engine, of this runtime, if there is one; None while nothing runs."""
        if engine is None or not engine.building or not engine.phase:
            self.hide()
            return
        done = "" if engine.share is None else f", {engine.share:.0%}"
        self._text.setText(f"{_WORDS.get(runtime, 'Building an engine')}: {engine.phase}{done}")
        self._share.setRange(0, 0 if engine.share is None else 100)
        self._share.setValue(round(100 * (engine.share or 0)))
        self.show()
