"""The joints by name: which are selected, how far they were moved, and where they are, to be typed."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QDoubleSpinBox,
    QGridLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from engines import Skeleton
from tracker.joints import parts

_WIDTH = 250
_JOINT = Qt.ItemDataRole.UserRole
_FAR = 100_000
_ROW = QSize(0, 24)


class JointPanel(QWidget):
    """Lists joints; ``selected`` are some of them.

    ``chosen`` has those that a person selected here, ``placed`` where landmarks are wanted; ``reset`` wants
    them back.
    """

    chosen = pyqtSignal(object)
    placed = pyqtSignal(object)
    reset = pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self.setFixedWidth(_WIDTH)
        self._skeleton: Skeleton | None = None
        self._xy = np.empty((0, 2), np.float32)
        self.selected: list[int] = []
        self._items: dict[int, QTreeWidgetItem] = {}
        self._showing = False
        self.tree = _tree()
        self.tree.itemSelectionChanged.connect(self._choose)
        self.across = _coordinate("x", "Pixels from the left edge of the picture", lambda: self._place(0))
        self.down = _coordinate("y", "Pixels from the upper edge of the picture", lambda: self._place(1))
        self.back = QPushButton("Put back")
        self.back.setAccessibleName("Put back")
        self.back.setToolTip("Put what is selected, or everything, back where it was found")
        self.back.clicked.connect(self.reset)
        place = QGridLayout()
        for row, (word, spin) in enumerate((("x", self.across), ("y", self.down))):
            label = QLabel(word)
            label.setProperty("dim", True)
            label.setBuddy(spin)
            place.addWidget(label, row, 0)
            place.addWidget(spin, row, 1)
        place.setColumnStretch(1, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 0, 12, 12)
        column.setSpacing(8)
        title = QLabel("Landmarks")
        title.setProperty("heading", True)
        column.addWidget(title)
        column.addWidget(self.tree, 1)
        column.addLayout(place)
        column.addWidget(self.back)
        self.setEnabled(False)

    def show_skeleton(self, skeleton: Skeleton) -> None:
        """List these joints, part by part."""
        if skeleton == self._skeleton:
            return
        self._skeleton = skeleton
        self._items.clear()
        self.tree.clear()
        for part, joints in parts(skeleton).items():
            above: QTreeWidget | QTreeWidgetItem = self.tree
            if len(joints) > 1:
                above = QTreeWidgetItem(self.tree, [part, ""])
                above.setData(0, _JOINT, joints)
            for joint in joints:
                self._items[joint] = item = QTreeWidgetItem(above, [skeleton.joints[joint], ""])
                item.setData(0, _JOINT, [joint])
        first = self.tree.topLevelItem(0)
        assert first is not None
        first.setSizeHint(0, _ROW)

    def show_pose(self, xy: np.ndarray, found: np.ndarray) -> None:
        """Landmarks ``(K, 2)`` as they are and as they were found."""
        self._xy = xy
        for joint, item in self._items.items():
            right, down = xy[joint] - found[joint]
            item.setText(1, f"{right:+.1f}, {down:+.1f}" if max(abs(right), abs(down)) >= 0.05 else "")
        self._show_place()

    def set_selected(self, joints: Collection[int]) -> None:
        """Show these as selected."""
        self.selected = sorted(joints)
        self._showing = True
        self.tree.clearSelection()
        for joint in self.selected:
            item = self._items[joint]
            item.setSelected(True)
            self.tree.scrollToItem(item)
        self._showing = False
        self._show_place()

    def _choose(self) -> None:
        if self._showing:
            return
        rows = self.tree.selectedItems()
        self.selected = sorted({joint for row in rows for joint in row.data(0, _JOINT)})
        self._show_place()
        self.chosen.emit(frozenset(self.selected))

    def _show_place(self) -> None:
        """The middle of what is selected."""
        self._showing = True
        for axis, spin in enumerate((self.across, self.down)):
            spin.setEnabled(bool(self.selected))
            spin.setValue(float(self._xy[self.selected, axis].mean()) if self.selected else 0.0)
        self._showing = False

    def _place(self, axis: int) -> None:
        """Move what is selected so that its middle is where it was typed."""
        if self._showing or not self.selected:
            return
        wanted = self._xy.copy()
        spin = (self.across, self.down)[axis]
        wanted[self.selected, axis] += spin.value() - float(self._xy[self.selected, axis].mean())
        self.placed.emit(wanted)


def _tree() -> QTreeWidget:
    tree = QTreeWidget()
    tree.setAccessibleName("Landmarks")
    tree.setToolTip("Select with Ctrl or Shift to move several together")
    tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
    tree.setUniformRowHeights(True)
    tree.setHeaderLabels(["Joint", "Moved"])
    header = tree.header()
    assert header is not None
    header.setStretchLastSection(False)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
    return tree


def _coordinate(word: str, tip: str, do: Callable[[], object]) -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    spin.setRange(-_FAR, _FAR)
    spin.setDecimals(1)
    spin.setSuffix(" px")
    spin.setKeyboardTracking(False)
    spin.setAccessibleName(word)
    spin.setToolTip(tip)
    spin.setEnabled(False)
    spin.valueChanged.connect(lambda _: do())
    return spin
