"""A still picture, or a part of it, as large as there is room."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from PyQt6.QtCore import QPointF, QRect, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from ui.window.theme import CANVAS, CANVAS_TEXT

_MARGIN = 10  # px of the screen around it


class PictureView(QWidget):
    """Shows ``picture`` ``(H, W, 3)`` uint8 RGB in its aspect; ``notice`` is a line on it about its state."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 240)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.picture: np.ndarray | None = None
        self._part = QRect()
        self._image: QImage | None = None  # what of it is shown, in the pixels of the screen
        self.notice = ""

    def sizeHint(self) -> QSize:
        """A picture of common size."""
        return QSize(520, 520)

    def show_picture(self, picture: np.ndarray | None, part: QRect | None = None) -> None:
        """Display this, or ``part`` of it, from now on."""
        self.picture, self._image = picture, None
        if picture is not None:
            whole = QRect(0, 0, picture.shape[1], picture.shape[0])
            self._part = whole if part is None else part.intersected(whole)
        self.update()

    def set_notice(self, text: str) -> None:
        """Say this on the picture; "" for nothing."""
        self.notice = text
        self.setAccessibleDescription(text)
        self.update()

    @property
    def scale(self) -> float:
        """Pixels of the screen to one of the picture."""
        room = self.width() - 2 * _MARGIN, self.height() - 2 * _MARGIN
        across, down = max(1, self._part.width()), max(1, self._part.height())
        return max(0.01, min(room[0] / across, room[1] / down))

    @property
    def _frame(self) -> QRectF:
        """Where the picture lies in the widget."""
        across, down = self.scale * self._part.width(), self.scale * self._part.height()
        return QRectF((self.width() - across) / 2, (self.height() - down) / 2, across, down)

    def to_screen(self, xy: np.ndarray) -> np.ndarray:
        """Points ``(..., 2)`` of the picture, whose pixel centres are whole numbers, in the widget."""
        frame = self._frame
        shift = np.array([frame.left(), frame.top()])
        return (xy + 0.5 - (self._part.left(), self._part.top())) * self.scale + shift

    def to_picture(self, point: QPointF) -> np.ndarray:
        """The inverse, for one point."""
        frame = self._frame
        on_it = np.array([point.x() - frame.left(), point.y() - frame.top()]) / self.scale
        return on_it + np.array([self._part.left(), self._part.top()]) - 0.5

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Picture, what belongs on it, and notice."""
        painter = QPainter(self)
        try:
            painter.fillRect(self.rect(), QColor(CANVAS))
            if self.picture is not None:
                self._paint_picture(painter, self.picture)
                self.paint_over(painter)
            if self.notice:
                self._paint_notice(painter)
        finally:
            painter.end()  # one that outlives an exception would take the process with it

    def paint_over(self, painter: QPainter) -> None:
        """Draw what belongs on the picture; by default nothing."""

    def _paint_picture(self, painter: QPainter, picture: np.ndarray) -> None:
        frame, ratio = self._frame, self.devicePixelRatioF()
        size = max(1, round(frame.width() * ratio)), max(1, round(frame.height() * ratio))
        if self._image is None or (self._image.width(), self._image.height()) != size:
            part = self._part
            shown = picture[part.top() : part.top() + part.height(), part.left() : part.left() + part.width()]
            # Averaged where pixels would be skipped.
            how = cv2.INTER_AREA if size[0] < shown.shape[1] else cv2.INTER_CUBIC
            self._image = _image(cv2.resize(shown, size, interpolation=how))
            self._image.setDevicePixelRatio(ratio)
        painter.drawImage(frame.topLeft(), self._image)

    def _paint_notice(self, painter: QPainter) -> None:
        painter.setPen(QColor(CANVAS_TEXT))
        inside = self.rect().adjusted(24, 24, -24, -24)
        painter.drawText(inside, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.notice)


def _image(rgb: np.ndarray) -> QImage:
    rgb = np.ascontiguousarray(rgb)
    rows, columns = rgb.shape[:2]
    shared = QImage(cast(bytes, rgb.data), columns, rows, rgb.strides[0], QImage.Format.Format_RGB888)
    return shared.convertToFormat(QImage.Format.Format_RGB32)
