"""The picture: newest result, kept aspect, landmarks drawn for the pixels of this screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import cv2
import numpy as np
from PyQt6.QtCore import QPointF, QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from tracker import Frame, Landmarks, Overlay, Result, Track, draw
from tracker.live import Shown
from ui.window.theme import CANVAS, CANVAS_TEXT


def fit(result: Result, width: int, height: int) -> Result:
    """A result as it is on a picture of ``width`` by ``height`` pixels: picture, landmarks and boxes.

    The overlay is drawn after this, so that its lines are as sharp as the screen.
    """
    image = result.frame.image
    before = np.array([image.shape[1], image.shape[0]], np.float32)
    scale = np.array([width, height], np.float32) / before
    if (width, height) == tuple(before):
        return result
    # Averaging costs four times as much, and is worth it only where pixels would be skipped.
    how = cv2.INTER_AREA if scale.min() < 0.6 else cv2.INTER_LINEAR
    picture = cv2.resize(image, (width, height), interpolation=how)

    def place(xy: np.ndarray) -> np.ndarray:
        # Pixel centres are whole numbers, so the corner of the picture is at -0.5.
        return np.asarray((xy + 0.5) * scale - 0.5, np.float32)

    tracks = tuple(
        Track(
            each.id,
            place(each.box.reshape(2, 2)).reshape(4),
            Landmarks(place(each.landmarks.xy), place(each.landmarks.xy_raw), each.landmarks.score),
            each.subject_score,
        )
        for each in result.tracks
    )
    frame = Frame(picture, result.frame.index, result.frame.time_s, result.frame.pts)
    return replace(result, frame=frame, tracks=tracks)


class Canvas(QWidget):
    """Shows the newest picture; ``painted`` is told when one is on the screen."""

    def __init__(self, painted: Callable[[Shown], None]) -> None:
        super().__init__()
        self.setAccessibleName("Picture")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(320, 200)
        # The whole of it is painted each time.
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._painted = painted
        self._overlay = Overlay()
        self._shown: Shown | None = None
        self._image: QImage | None = None
        self._notice = ""

    def sizeHint(self) -> QSize:
        """A picture of common size."""
        return QSize(960, 540)

    def show_picture(self, shown: Shown) -> None:
        """Display this from now on."""
        self._shown, self._image = shown, None
        self.update()

    def set_overlay(self, overlay: Overlay) -> None:
        """Draw this way from now on, the present picture too."""
        self._overlay, self._image = overlay, None
        self.update()

    def set_notice(self, text: str) -> None:
        """A line on the picture, about its state; "" for none."""
        if text != self._notice:
            self._notice = text
            self.setAccessibleDescription(text)
            self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Picture and notice. What goes wrong in drawing leaves the canvas dark, and is said elsewhere."""
        painter = QPainter(self)
        try:
            painter.fillRect(self.rect(), QColor(CANVAS))
            if self._shown is not None:
                self._paint_picture(painter, self._shown)
            if self._notice:
                self._paint_notice(painter)
        finally:
            # A painter that outlives an exception would take the process with it.
            painter.end()
        if self._shown is not None:
            self._painted(self._shown)

    def _paint_picture(self, painter: QPainter, shown: Shown) -> None:
        ratio = self.devicePixelRatioF()
        rows, columns = shown.result.frame.image.shape[:2]
        size = QSize(columns, rows).scaled(self.size() * ratio, Qt.AspectRatioMode.KeepAspectRatio)
        width, height = max(1, size.width()), max(1, size.height())
        if self._image is None or (self._image.width(), self._image.height()) != (width, height):
            self._image = _image(draw(fit(shown.result, width, height), self._overlay))
            self._image.setDevicePixelRatio(ratio)
        # On a whole pixel of the screen: anything else would blur.
        left = round((self.width() * ratio - width) / 2) / ratio
        top = round((self.height() * ratio - height) / 2) / ratio
        painter.drawImage(QPointF(left, top), self._image)

    def _paint_notice(self, painter: QPainter) -> None:
        box = QRectF(painter.fontMetrics().boundingRect(self._notice))
        box.setSize(QSize(round(box.width()) + 28, round(box.height()) + 14).toSizeF())
        box.moveCenter(QPointF(self.width() / 2, self.height() - 16 - box.height() / 2))
        shade = QColor(CANVAS)
        shade.setAlpha(210)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shade)
        painter.drawRoundedRect(box, box.height() / 2, box.height() / 2)
        painter.setPen(QColor(CANVAS_TEXT))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, self._notice)


def _image(rgb: np.ndarray) -> QImage:
    """The picture ``(H, W, 3)`` uint8 RGB with memory of its own, in the format that paints fastest."""
    rgb = np.ascontiguousarray(rgb)
    rows, columns = rgb.shape[:2]
    shared = QImage(cast(bytes, rgb.data), columns, rows, rgb.strides[0], QImage.Format.Format_RGB888)
    return shared.convertToFormat(QImage.Format.Format_RGB32)
