"""A bar a way of running: how long one pass takes."""

from __future__ import annotations

from collections.abc import Sequence

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QPainter, QPaintEvent, QPalette
from PyQt6.QtWidgets import QSizePolicy, QWidget

_BAR, _GAP = 20, 12
_NAME_WIDTH, _VALUE_WIDTH = 150, 190


class Bars(QWidget):
    """Horizontal bars of milliseconds: the shorter the better."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Milliseconds of one pass, as bars")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._bars: list[tuple[str, float, str]] = []

    def show_bars(self, bars: Sequence[tuple[str, float, str]]) -> None:
        """Name, length and the words at its end, for each bar."""
        self._bars = list(bars)
        self.setAccessibleDescription("; ".join(f"{name}: {words}" for name, _, words in bars))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """As high as the bars need."""
        return QSize(600, len(self._bars) * (_BAR + _GAP))

    def minimumSizeHint(self) -> QSize:
        """All bars are always seen."""
        return QSize(_NAME_WIDTH + _VALUE_WIDTH + 60, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """The bars, from above."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        longest = max((length for _, length, _ in self._bars), default=1.0)
        room = self.width() - _NAME_WIDTH - _VALUE_WIDTH
        text = self.palette().color(QPalette.ColorRole.WindowText)
        for row, (name, length, words) in enumerate(self._bars):
            top = _GAP / 2 + row * (_BAR + _GAP)
            bar = QRectF(_NAME_WIDTH, top, max(2.0, room * length / longest), _BAR)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.palette().color(QPalette.ColorRole.Highlight))
            painter.drawRoundedRect(bar, 3, 3)
            painter.setPen(text)
            middle = Qt.AlignmentFlag.AlignVCenter
            painter.drawText(
                QRectF(0, top, _NAME_WIDTH - 12, _BAR), middle | Qt.AlignmentFlag.AlignRight, name
            )
            painter.drawText(QRectF(bar.right() + 10, top, _VALUE_WIDTH, _BAR), middle, words)
        painter.end()
