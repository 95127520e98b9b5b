"""The window's pictograms, drawn in the colour of the text beside them: sharp at any size, in any theme."""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PyQt6.QtGui import (
    QColor,
    QGuiApplication,
    QIcon,
    QIconEngine,
    QPainter,
    QPainterPath,
    QPalette,
    QPen,
    QPixmap,
    QPolygonF,
)

from ui.window.theme import RECORD

# Each draws into a square of 16 by 16 with the pen and brush it is given.
Drawing = Callable[[QPainter], None]
_FADED = 0.4  # opacity of what cannot be used now


def _polygon(painter: QPainter, *points: tuple[float, float]) -> None:
    painter.drawPolygon(QPolygonF([QPointF(*point) for point in points]))


def _filled(painter: QPainter) -> None:
    painter.setBrush(painter.pen().color())


def start(painter: QPainter) -> None:
    """A triangle: begin to play."""
    _filled(painter)
    _polygon(painter, (4.5, 3), (13, 8), (4.5, 13))


def stop(painter: QPainter) -> None:
    """A square."""
    _filled(painter)
    painter.drawRect(QRectF(4, 4, 8, 8))


def record(painter: QPainter) -> None:
    """A red dot."""
    painter.setPen(QColor(RECORD))
    _filled(painter)
    painter.drawEllipse(QRectF(3.5, 3.5, 9, 9))


def snapshot(painter: QPainter) -> None:
    """A photo camera."""
    painter.drawRoundedRect(QRectF(1.5, 4.5, 13, 9), 1.5, 1.5)
    painter.drawEllipse(QRectF(5.5, 6.5, 5, 5))
    _polygon(painter, (5.5, 4.5), (6.5, 2.5), (9.5, 2.5), (10.5, 4.5))


def mirror(painter: QPainter) -> None:
    """Two halves that face each other."""
    for y in (2, 5, 8, 11):
        painter.drawLine(QPointF(8, y), QPointF(8, y + 1.5))
    _polygon(painter, (1.5, 12.5), (6, 12.5), (6, 4))
    _filled(painter)
    _polygon(painter, (14.5, 12.5), (10, 12.5), (10, 4))


def panel(painter: QPainter) -> None:
    """A window with a side panel."""
    painter.drawRoundedRect(QRectF(1.5, 2.5, 13, 11), 1.5, 1.5)
    _filled(painter)
    painter.drawRect(QRectF(10, 2.5, 4.5, 11))


def full_screen(painter: QPainter) -> None:
    """Four corners."""
    for x, y in ((2, 2), (14, 2), (14, 14), (2, 14)):
        inward = QPointF(4 if x == 2 else -4, 0), QPointF(0, 4 if y == 2 else -4)
        for way in inward:
            painter.drawLine(QPointF(x, y), QPointF(x, y) + way)


def open_file(painter: QPainter) -> None:
    """A folder."""
    path = QPainterPath(QPointF(1.5, 13))
    for x, y in ((1.5, 3.5), (6, 3.5), (7.5, 5.5), (14.5, 5.5), (14.5, 13)):
        path.lineTo(x, y)
    path.closeSubpath()
    painter.drawPath(path)


def close(painter: QPainter) -> None:
    """A cross."""
    painter.drawLine(QPointF(4, 4), QPointF(12, 12))
    painter.drawLine(QPointF(12, 4), QPointF(4, 12))


def camera(painter: QPainter) -> None:
    """A video camera."""
    painter.drawRoundedRect(QRectF(1.5, 4, 9, 8), 1.5, 1.5)
    _polygon(painter, (10.5, 7), (14.5, 4.5), (14.5, 11.5), (10.5, 9))


class _Pictogram(QIconEngine):
    """Draws with the palette of the moment."""

    def __init__(self, drawing: Drawing, alone: bool) -> None:
        super().__init__()
        self._drawing, self._alone = drawing, alone

    def paint(self, painter: QPainter | None, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        """Draw into the left of ``rect``, whose rest is the distance to a text, or into its middle."""
        assert painter is not None
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        side = min(rect.width(), rect.height())
        painter.translate(rect.left() + (rect.width() - side) / 2 * self._alone, rect.top())
        painter.scale(side / 16, side / 16)
        colour = QGuiApplication.palette().color(QPalette.ColorRole.ButtonText)
        painter.setPen(QPen(colour, 1.3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.setOpacity(_FADED if mode == QIcon.Mode.Disabled else 1.0)
        self._drawing(painter)
        painter.restore()

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        """The same as a picture."""
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, QRect(0, 0, size.width(), size.height()), mode, state)
        painter.end()
        return pixmap

    def clone(self) -> QIconEngine:
        """Another of the kind, for Qt to keep."""
        return _Pictogram(self._drawing, self._alone)


def icon(drawing: Drawing, alone: bool = False) -> QIcon:
    """An icon of one of the drawings above, beside a text or ``alone``."""
    return QIcon(_Pictogram(drawing, alone))
