"""How the window of ``kptrack edit`` is laid out: two pictures beside each other, the joints at the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PyQt6.QtCore import QRect
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from tracker.redraw import Portrait
from ui.window.drops import DropTarget
from ui.window.pictures import PictureView

_AROUND = 0.12  # of the square's side: what is shown around it


class Pane(DropTarget):
    """A picture under its title; ``taken`` is told what was dropped on it."""

    def __init__(self, title: str, view: PictureView, taken: Callable[[str], object]) -> None:
        super().__init__()
        self._taken = taken
        self.title = QLabel(title)
        self.title.setProperty("heading", True)
        # A long name would otherwise make the window wider than the screen.
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 0, 0, 12)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(view, 1)

    def set_title(self, text: str) -> None:
        """Show this above the picture, as much of it as there is room for."""
        self.title.setText(text)
        self.title.setToolTip(text)

    def take(self, names: list[str]) -> None:
        """The first of several."""
        self._taken(names[0])


def state_label(text: str) -> QLabel:
    """The line below the pictures."""
    label = QLabel(text)
    label.setProperty("dim", True)
    label.setWordWrap(True)
    label.setContentsMargins(12, 0, 12, 10)
    label.setAccessibleName("State")
    return label


def lay_out(above: Sequence[QWidget], beside: Sequence[QWidget], joints: QWidget, below: QWidget) -> QWidget:
    """All of it in one; what is ``beside`` each other shares the room that ``joints`` leaves."""
    middle = QHBoxLayout()
    middle.setSpacing(0)
    for each in beside:
        middle.addWidget(each, 1)
    middle.addWidget(joints)
    inside = QWidget()
    column = QVBoxLayout(inside)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    for each in above:
        column.addWidget(each)
    column.addLayout(middle, 1)
    column.addWidget(below)
    return inside


def surroundings(portrait: Portrait) -> QRect:
    """The part of a picture that shows its subject, in whole pixels."""
    margin = _AROUND * float(portrait.box[2])
    left, top = np.floor(portrait.corners.min(0) - margin).astype(int)
    right, bottom = np.ceil(portrait.corners.max(0) + margin).astype(int)
    return QRect(left, top, right - left + 1, bottom - top + 1)
