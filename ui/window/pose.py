"""Landmarks on a picture, to take hold of: with the mouse, one or many, and with the arrow keys."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from PyQt6.QtCore import QEvent, QPointF, QRectF, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPen, QPolygonF

from engines import Skeleton
from tracker.joints import parts
from ui.window import theme
from ui.window.pictures import PictureView
from ui.window.theme import CANVAS, CANVAS_TEXT

_REACH = 12  # px of the screen within which a joint is taken hold of
# Radius of a joint: this share of the square's side on the screen, but never smaller or larger than this.
_SHARE, _SMALLEST, _LARGEST = 1 / 130, 1.2, 3.0
_STEP, _LONG_STEP = 1, 10  # px of the picture, for the arrow keys
_LINE, _JOINT, _SELECTED = "#40e0d0", "#ffffff", "#ffb03b"
_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}
_MORE = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


class PoseView(PictureView):
    """A picture with its landmarks.

    ``chosen`` has the joints that a person selected, ``dragged`` where landmarks are wanted while they are
    dragged, ``dropped`` where they were let go, ``nudged`` where a key wants them and whether it is held.
    """

    chosen = pyqtSignal(object)
    dragged = pyqtSignal(object)
    dropped = pyqtSignal(object)
    nudged = pyqtSignal(object, bool)

    def __init__(self) -> None:
        super().__init__("Picture with its landmarks")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self._skeleton: Skeleton | None = None
        self._xy = np.empty((0, 2), np.float32)
        self._corners = np.empty((0, 2), np.float32)
        self._selected: frozenset[int] = frozenset()
        self._hovered: int | None = None
        self._pressed: np.ndarray | None = None  # where, in the picture
        self._held = self._xy  # the landmarks at that moment
        self._band: QRectF | None = None
        self._band_adds: frozenset[int] = frozenset()

    def show_pose(self, skeleton: Skeleton, xy: np.ndarray, corners: np.ndarray) -> None:
        """Landmarks ``(K, 2)`` and the corners ``(4, 2)`` of the square that is redrawn, in its pixels."""
        self._skeleton, self._xy, self._corners = skeleton, xy, corners
        self.update()

    def set_selected(self, joints: Collection[int]) -> None:
        """Show these as selected."""
        self._selected = frozenset(joints)
        self._describe()
        self.update()

    def let_go(self) -> None:
        """Forget what the mouse holds: the landmarks, or the picture, are about to be others."""
        self._pressed = self._band = None
        self.update()

    def _describe(self) -> None:
        names = [] if self._skeleton is None else [self._skeleton.joints[each] for each in self._selected]
        self.setAccessibleDescription(f"selected: {', '.join(names) or 'nothing'}; arrow keys move it")

    def _choose(self, joints: Collection[int]) -> None:
        self.set_selected(joints)
        self.chosen.emit(self._selected)

    def _wanted(self, by: np.ndarray) -> np.ndarray:
        """The landmarks held, those that are selected moved."""
        wanted = self._held.copy()
        wanted[sorted(self._selected)] += by
        return wanted

    # The mouse.

    def _joint_at(self, point: QPointF) -> int | None:
        if not len(self._xy):
            return None
        distance = np.linalg.norm(self.to_screen(self._xy) - (point.x(), point.y()), axis=1)
        nearest = int(distance.argmin())
        return nearest if distance[nearest] <= _REACH else None

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take hold of a joint, or begin a frame around several."""
        if event is None or event.button() != Qt.MouseButton.LeftButton or self._skeleton is None:
            return
        more = bool(event.modifiers() & _MORE)
        joint = self._joint_at(event.position())
        if joint is None:
            self._band = QRectF(event.position(), event.position())
            self._band_adds = self._selected if more else frozenset()
            self._choose(self._band_adds)
        elif more:
            self._choose(self._selected ^ {joint})
        else:
            if joint not in self._selected:
                self._choose({joint})
            self._pressed, self._held = self.to_picture(event.position()), self._xy.copy()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Drag, or show what would be taken hold of."""
        if event is None:
            return
        if self._pressed is not None:
            self.dragged.emit(self._wanted(self.to_picture(event.position()) - self._pressed))
        elif self._band is not None:
            self._band.setBottomRight(event.position())
            inside = self.to_screen(self._xy)
            band = self._band.normalized()
            self._choose(
                self._band_adds | {each for each, (x, y) in enumerate(inside) if band.contains(QPointF(x, y))}
            )
        else:
            self._hover(self._joint_at(event.position()))

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Let go."""
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        if self._pressed is not None:
            by = self.to_picture(event.position()) - self._pressed
            self._pressed = None
            self.dropped.emit(self._wanted(by))
        self._band = None
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:
        """Select all of the part that the joint belongs to."""
        joint = None if event is None else self._joint_at(event.position())
        if joint is not None and self._skeleton is not None:
            self._choose(next(each for each in parts(self._skeleton).values() if joint in each))

    def leaveEvent(self, event: QEvent | None) -> None:
        """Nothing would be taken hold of."""
        self._hover(None)

    def _hover(self, joint: int | None) -> None:
        if joint != self._hovered:
            self._hovered = joint
            self.setCursor(Qt.CursorShape.ArrowCursor if joint is None else Qt.CursorShape.PointingHandCursor)
            self.update()

    # The keyboard.

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Arrows move what is selected, with Shift ten pixels; Ctrl+A selects all, Esc nothing."""
        if event is None:
            return
        arrow = _ARROWS.get(Qt.Key(event.key()))
        if arrow is not None and self._selected:
            step = _LONG_STEP if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else _STEP
            self._held = self._xy.copy()
            self.nudged.emit(self._wanted(step * np.array(arrow)), event.isAutoRepeat())
        elif event.key() == Qt.Key.Key_A and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._choose(range(len(self._xy)))
        elif event.key() == Qt.Key.Key_Escape:
            self._choose(())
        else:
            super().keyPressEvent(event)

    # The picture.

    def paint_over(self, painter: QPainter) -> None:
        """The square that is redrawn, edges, joints, the name of the one below the mouse."""
        if self._skeleton is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        faint = QColor(CANVAS_TEXT)
        faint.setAlpha(170)
        painter.setPen(QPen(faint, 1, Qt.PenStyle.DashLine))
        painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in self.to_screen(self._corners)]))
        points = [QPointF(x, y) for x, y in self.to_screen(self._xy)]
        line = QColor(_LINE)
        line.setAlpha(170)
        painter.setPen(QPen(line, 1.2))
        for start, end in self._skeleton.edges:
            painter.drawLine(points[start], points[end])
        side = self.scale * float(np.hypot(*(self._corners[1] - self._corners[0])))
        radius = min(_LARGEST, max(_SMALLEST, _SHARE * side))
        for joint, point in enumerate(points):
            selected = joint in self._selected
            larger = 1.5 if selected or joint == self._hovered else 1.0
            painter.setPen(QPen(QColor(CANVAS), 1))
            painter.setBrush(QColor(_SELECTED if selected else _JOINT))
            painter.drawEllipse(point, larger * radius, larger * radius)
        if self._band is not None:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(CANVAS_TEXT), 1, Qt.PenStyle.DotLine))
            painter.drawRect(self._band.normalized())
        if self._hovered is not None and self._hovered < len(points):
            self._paint_name(painter, self._skeleton.joints[self._hovered], points[self._hovered])
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QColor(theme.current().accent))
            painter.drawRect(self.rect().adjusted(1, 1, -2, -2))

    @staticmethod
    def _paint_name(painter: QPainter, name: str, point: QPointF) -> None:
        box = QRectF(painter.fontMetrics().boundingRect(name)).adjusted(-6, -3, 6, 3)
        box.moveBottomLeft(point + QPointF(10, -8))
        shade = QColor(CANVAS)
        shade.setAlpha(210)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(shade)
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(QColor(CANVAS_TEXT))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, name)
