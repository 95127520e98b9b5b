"""The bar of the window of ``kptrack edit``, and the keys that do the same."""

from __future__ import annotations

from PyQt6.QtCore import QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QAction, QKeySequence, QPainter, QPainterPath, QStandardItemModel
from PyQt6.QtWidgets import QComboBox, QLabel, QSizePolicy, QSpinBox, QToolBar, QToolButton, QWidget

from tracker.redraw import RESULTS
from ui.window import icons

_WORDS = {
    "detailed": "Redrawn, detail kept",
    "redrawn": "Redrawn",
    "square": "Redrawn, only the square",
}


class EditBar(QToolBar):
    """Open, style, undo, redo, save; at the right the frame of a video, and what the result shows."""

    result_chosen = pyqtSignal(str)
    frame_chosen = pyqtSignal(int)

    def __init__(self) -> None:
        super().__init__("Edit")
        self.setMovable(False)
        self.setIconSize(QSize(16, 16))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.open = _action("Open…", icons.open_file, "Open a picture or video", "Ctrl+O")
        self.style_ = _action("Style…", _drop_of_paint, "Give it the appearance of another picture", "Ctrl+T")
        self.plain = _action("No style", icons.close, "Back to its own appearance", "Ctrl+Shift+T")
        self.undo = _action("Undo", _back, "Take the last step back", "Ctrl+Z")
        self.redo = _action("Redo", _forth, "Do it again", "Ctrl+Shift+Z", "Ctrl+Y")
        self.whole = _action("Whole picture", icons.full_screen, "Show all of the picture", "Ctrl+0")
        self.whole.setCheckable(True)
        self.save = _action("Save…", _tray, "Save what is shown at the right", "Ctrl+S")
        for action in (self.open, self.style_, self.plain, self.undo, self.redo, self.whole, self.save):
            self._add(action)
        space = QWidget()
        space.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(space)
        self._frame_word = QLabel("Frame")
        self._frame_word.setProperty("dim", True)
        self.frame = QSpinBox()
        self.frame.setAccessibleName("Frame")
        self.frame.setToolTip("Which frame of the video is edited")
        self.frame.setKeyboardTracking(False)
        self.frame.valueChanged.connect(self.frame_chosen)
        self._frame_word.setBuddy(self.frame)
        self._frame_actions = [self.addWidget(self._frame_word), self.addWidget(self.frame)]
        self.result = QComboBox()
        self.result.setAccessibleName("Result")
        self.result.setToolTip("What is shown at the right, and saved")
        for name in RESULTS:
            self.result.addItem(_WORDS[name], name)
        self.result.activated.connect(lambda row: self.result_chosen.emit(RESULTS[row]))
        self.addWidget(self.result)
        self.show_frames(0, None)

    def show_frames(self, frame: int, frames: int | None) -> None:
        """Offer the frames of a video; None: it is none, or nobody knows."""
        for action in self._frame_actions:
            if action is not None:
                action.setVisible(frames is not None and frames > 1)
        self.frame.blockSignals(True)
        self.frame.setMaximum(max(0, (frames or 1) - 1))
        self.frame.setValue(frame)
        self.frame.blockSignals(False)

    def show_result(self, name: str, styled: bool) -> None:
        """Show this as the choice; the detail of the picture does not suit a style."""
        model = self.result.model()
        assert isinstance(model, QStandardItemModel)
        detailed = model.item(RESULTS.index("detailed"))
        assert detailed is not None
        detailed.setEnabled(not styled)
        self.result.setCurrentIndex(RESULTS.index(name))

    def _add(self, action: QAction) -> None:
        self.addAction(action)
        button = self.widgetForAction(action)
        assert isinstance(button, QToolButton)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setAccessibleName(action.text())


def _action(word: str, drawing: icons.Drawing | None, tip: str, *keys: str) -> QAction:
    action = QAction(word)
    if drawing is not None:
        action.setIcon(icons.icon(drawing))
    action.setToolTip(f"{tip} ({keys[0]})")
    action.setShortcuts([QKeySequence(each) for each in keys])
    return action


def _arrow(painter: QPainter, way: int) -> None:
    """An arrow that turns back, to the left with ``way`` 1 and to the right with -1."""
    x = [8 + way * each for each in (-5.5, 1, 5.5, -2.5)]
    path = QPainterPath(QPointF(x[0], 6))
    path.lineTo(x[1], 6)
    path.cubicTo(x[2], 6, x[2], 13, x[1], 13)
    path.lineTo(x[3], 13)
    painter.drawPath(path)
    for y in (2.5, 9.5):
        painter.drawLine(QPointF(x[0], 6), QPointF(x[0] + 3.5 * way, y))


def _back(painter: QPainter) -> None:
    _arrow(painter, 1)


def _forth(painter: QPainter) -> None:
    _arrow(painter, -1)


def _drop_of_paint(painter: QPainter) -> None:
    path = QPainterPath(QPointF(8, 1.5))
    path.cubicTo(10, 5, 13, 7.5, 13, 10)
    path.cubicTo(13, 16, 3, 16, 3, 10)
    path.cubicTo(3, 7.5, 6, 5, 8, 1.5)
    painter.drawPath(path)


def _tray(painter: QPainter) -> None:
    """An arrow down into a tray."""
    painter.drawLine(QPointF(8, 1.5), QPointF(8, 9.5))
    for x in (5, 11):
        painter.drawLine(QPointF(8, 9.5), QPointF(x, 6.5))
    tray = QRectF(2, 9, 12, 4.5)
    painter.drawPolyline(tray.topLeft(), tray.bottomLeft(), tray.bottomRight(), tray.topRight())
