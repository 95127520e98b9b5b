"""What stands in a place that is empty still: a title and a sentence, in its middle."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QLayout, QVBoxLayout, QWidget

_WIDTH = 520


class Notice(QWidget):
    """A title, a sentence and, below them, what can be done."""

    def __init__(self, title: str, sentence: str, below: QLayout | None = None) -> None:
        super().__init__()
        head = QLabel(title)
        head.setProperty("heading", True)
        font = head.font()
        font.setPointSizeF(1.5 * font.pointSizeF())
        head.setFont(font)
        text = QLabel(sentence)
        text.setProperty("dim", True)
        text.setWordWrap(True)
        text.setFixedWidth(_WIDTH)
        column = QVBoxLayout(self)
        column.setSpacing(14)
        column.addStretch(2)
        for label in (head, text):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            # Not by alignment: that would give the wrapped lines the height of one.
            row = QHBoxLayout()
            row.addStretch()
            row.addWidget(label)
            row.addStretch()
            column.addLayout(row)
        if below is not None:
            column.addSpacing(6)
            column.addLayout(below)
        column.addStretch(3)
