"""The side panel: how subjects are followed and drawn, what is asked of cameras, what is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from tracker.config import DETECTORS
from tracker.overlay import PARTS
from ui.window.dialogs import ask_folder
from ui.window.settings import Settings

_WIDTH = 280
_NAME_WIDTH = 84
_SIZES = ((0, 0), (640, 480), (1280, 720), (1920, 1080))
_RATES = (0, 15, 24, 30, 60)
_ANY = "camera's choice"
LEAST_SCALE, MOST_SCALE = 0.5, 4.0


class _Slider(QWidget):
    """A slider over hundredths, with its value beside it."""

    moved = pyqtSignal(float)

    def __init__(self, name: str, tip: str, low: float, high: float) -> None:
        super().__init__()
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setRange(round(100 * low), round(100 * high))
        self._slider.setPageStep(10)
        self._slider.setSingleStep(5)
        self._slider.setAccessibleName(name)
        self._slider.setToolTip(tip)
        self._value = QLabel()
        self._value.setMinimumWidth(self._value.fontMetrics().horizontalAdvance("0.00"))
        self._value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider, 1)
        row.addWidget(self._value)
        self._slider.valueChanged.connect(self._tell)
        self.setFocusProxy(self._slider)

    def set_value(self, value: float) -> None:
        """Move it there."""
        self._slider.setValue(round(100 * value))
        self._value.setText(f"{value:.2f}")

    def _tell(self, value: int) -> None:
        self._value.setText(f"{value / 100:.2f}")
        self.moved.emit(value / 100)


class Controls(QScrollArea):
    """Edits ``Settings``: ``edited`` has the new ones whenever a person changes something."""

    edited = pyqtSignal(Settings)

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._showing = False
        self.setObjectName("panel")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFixedWidth(_WIDTH)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(8)
        for heading, rows in (
            ("Tracking", self._make_tracking()),
            ("Overlay", self._make_overlay()),
            ("Camera", self._make_camera()),
            ("Recording", self._make_recording()),
        ):
            if column.count():
                column.addSpacing(12)
            title = QLabel(heading)
            title.setProperty("heading", True)
            column.addWidget(title)
            column.addLayout(rows)
        column.addStretch()
        self.setWidget(inside)
        self.show_settings(settings)

    def _make_tracking(self) -> QGridLayout:
        self._threshold = _Slider("Threshold", "Subjects below this score are not followed", 0, 1)
        self._threshold.moved.connect(lambda value: self._track(min_score=value))
        self._subjects = _spin("Subjects", "At most so many at once", 1, 64)
        self._subjects.valueChanged.connect(lambda value: self._track(max_subjects=value))
        self._period = _spin("Search every", "Frames between two searches for more subjects", 1, 1000)
        self._period.setSuffix(" frames")
        self._period.valueChanged.connect(lambda value: self._track(detect_every=value))
        self._detector = _choice("Detector", "How subjects are found", DETECTORS)
        self._detector.activated.connect(lambda row: self._track(detector=DETECTORS[row]))
        self._smooth = QCheckBox("Smooth over time")
        self._smooth.setToolTip("Takes the jitter out (One-Euro filter); recorded data have both")
        self._smooth.toggled.connect(lambda on: self._track(smooth="one-euro" if on else "none"))
        return _grid(
            ("Threshold", self._threshold),
            ("Subjects", self._subjects),
            ("Search every", self._period),
            ("Detector", self._detector),
            (self._smooth,),
        )

    def _make_overlay(self) -> QGridLayout:
        self._parts: dict[str, QCheckBox] = {}
        for part in PARTS:
            box = QCheckBox(part.capitalize())
            box.setToolTip(f"Draw {part} (O hides and shows the whole overlay)")
            box.toggled.connect(self._draw_parts)
            self._parts[part] = box
        self._scale = _Slider(
            "Overlay size", "Size of dots, lines and ids (+ and -)", LEAST_SCALE, MOST_SCALE
        )
        self._scale.moved.connect(self._draw_scale)
        boxes = tuple(self._parts.values())
        return _grid(boxes[:2], boxes[2:], ("Size", self._scale))

    def _make_camera(self) -> QGridLayout:
        self._size = _choice(
            "Camera size", "What is asked of the camera; it gives what it can", map(_size_words, _SIZES)
        )
        self._size.activated.connect(self._ask_size)
        self._rate = _choice(
            "Camera rate",
            "What is asked of the camera; it gives what it can",
            (f"{rate} a second" if rate else _ANY for rate in _RATES),
        )
        self._rate.activated.connect(lambda row: self._edit(camera_fps=_RATES[row]))
        self._got = QLabel()
        self._got.setProperty("dim", True)
        self._got.setToolTip("What the source gives")
        self._got.setAccessibleName("What the source gives")
        self.show_source(0, 0, 0)
        return _grid(("Size", self._size), ("Rate", self._rate), ("Got", self._got))

    def _make_recording(self) -> QGridLayout:
        self._folder = QPushButton()
        self._folder.setAccessibleName("Folder of recordings and snapshots")
        self._folder.clicked.connect(self._choose_folder)
        self._data = QCheckBox("Landmarks as Parquet, too")
        self._data.setToolTip("Record a table of the landmarks beside the video")
        self._data.toggled.connect(lambda on: self._edit(record_data=on))
        return _grid(("Folder", self._folder), (self._data,))

    def show_settings(self, settings: Settings) -> None:
        """Show these without telling anybody."""
        self._settings, self._showing = settings, True
        tracking, overlay = settings.tracking, settings.overlay
        self._threshold.set_value(tracking.min_score)
        self._subjects.setValue(tracking.max_subjects)
        self._period.setValue(tracking.detect_every)
        self._detector.setCurrentIndex(DETECTORS.index(tracking.detector))
        self._smooth.setChecked(tracking.smooth != "none")
        for part, box in self._parts.items():
            box.setChecked(part in overlay.parts)
        self._scale.set_value(overlay.scale)
        size = (settings.camera_width, settings.camera_height)
        self._size.setCurrentIndex(_SIZES.index(size) if size in _SIZES else -1)
        self._rate.setCurrentIndex(_RATES.index(settings.camera_fps) if settings.camera_fps in _RATES else -1)
        folder = settings.saving_folder
        width = _WIDTH - 130
        self._folder.setText(
            self._folder.fontMetrics().elidedText(folder.name, Qt.TextElideMode.ElideMiddle, width)
        )
        self._folder.setToolTip(f"Recordings and snapshots go to {folder}")
        self._data.setChecked(settings.record_data)
        self._showing = False

    def show_source(self, width: int, height: int, fps: float) -> None:
        """Say what the source gives; zeros for nothing yet."""
        self._got.setText(f"{width} x {height}, {fps:.4g} a second" if width else "nothing yet")

    def _edit(self, **changes: object) -> None:
        if not self._showing:
            self._settings = replace(self._settings, **changes)  # type: ignore[arg-type]
            self.edited.emit(self._settings)

    def _track(self, **changes: object) -> None:
        self._edit(tracking=replace(self._settings.tracking, **changes))  # type: ignore[arg-type]

    def _draw_parts(self) -> None:
        parts = tuple(part for part, box in self._parts.items() if box.isChecked())
        self._edit(overlay=replace(self._settings.overlay, parts=parts))

    def _draw_scale(self, scale: float) -> None:
        self._edit(overlay=replace(self._settings.overlay, scale=scale))

    def _ask_size(self, row: int) -> None:
        width, height = _SIZES[row]
        self._edit(camera_width=width, camera_height=height)

    def _choose_folder(self) -> None:
        chosen = ask_folder(self, "Folder of recordings", str(self._settings.saving_folder))
        if chosen:
            self._edit(folder=str(Path(chosen)))
            self.show_settings(self._settings)


def _grid(*rows: tuple[str, QWidget] | tuple[QWidget, ...]) -> QGridLayout:
    """Rows of a name and its field, or of check boxes; fields begin at the same place in every group."""
    grid = QGridLayout()
    grid.setVerticalSpacing(8)
    grid.setColumnMinimumWidth(0, _NAME_WIDTH)
    grid.setColumnStretch(1, 1)
    for number, row in enumerate(rows):
        if isinstance(row[0], str):
            label, field = QLabel(row[0]), row[1]
            label.setBuddy(field)
            grid.addWidget(label, number, 0)
            grid.addWidget(field, number, 1)
            continue
        across = QHBoxLayout()
        for box in row:
            across.addWidget(box, 1)
        grid.addLayout(across, number, 0, 1, 2)
    return grid


def _spin(name: str, tip: str, low: int, high: int) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(low, high)
    spin.setAccessibleName(name)
    spin.setToolTip(tip)
    return spin


def _choice(name: str, tip: str, words: Iterable[str]) -> QComboBox:
    choice = QComboBox()
    choice.addItems(list(words))
    choice.setAccessibleName(name)
    choice.setToolTip(tip)
    return choice


def _size_words(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}" if size[0] else _ANY
