"""What is chosen from a list: the source, the model, the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QAction, QActionGroup
from PyQt6.QtWidgets import QComboBox, QFileDialog, QInputDialog, QMenu, QToolButton

from engines.engine import RUNTIMES
from engines.model import shipped_models
from tracker import shown_name
from tracker.camera import Camera
from tracker.live import EngineStatus
from ui.window.dialogs import ask_file

# Beside the sources themselves in a list's data: what asks for one. No source has such a name.
_FILE, _ADDRESS = "\0file", "\0address"
_WORDS = {
    "auto": "auto: what suits this machine",
    "tensorrt": "TensorRT: built in minutes, once",
    "cudagraph": "CUDA graphs",
    "compile": "compiled PyTorch: built in half a minute",
    "eager": "eager PyTorch",
}
_BADGES = {"tensorrt": "TensorRT", "cudagraph": "CUDA graph", "compile": "compiled"}


class SourcePicker(QComboBox):
    """Cameras by name, whatever else is open, and ways to open more; ``chosen`` has a source's name."""

    chosen = pyqtSignal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Source")
        self.setToolTip("Where the picture comes from")
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(22)
        self._cameras: list[Camera] = []
        self._source = ""
        self.activated.connect(self._choose)
        self._fill()

    @property
    def cameras(self) -> list[Camera]:
        """Those that are plugged in."""
        return self._cameras

    def set_cameras(self, cameras: Sequence[Camera]) -> None:
        """Offer these; the choice stays."""
        self._cameras = list(cameras)
        self._fill()

    def set_source(self, source: str) -> None:
        """Show this as the choice; a camera's index, a file or an address."""
        self._source = source
        self._fill()

    def ask_file(self) -> None:
        """Let a video or picture be chosen."""
        self._tell(ask_file(self, "Open a video or picture"))

    def ask_address(self) -> None:
        """Let a stream's address be typed."""
        text, _ = QInputDialog.getText(self, "Open a stream", "Address (rtsp://…, http://…, udp://…):")
        self._tell(text.strip())

    def _tell(self, source: str) -> None:
        if source:
            self.chosen.emit(source)

    def _fill(self) -> None:
        self.clear()
        for camera in self._cameras:
            self.addItem(f"{camera.name} ({camera.index})", str(camera.index))
        if self._source and self.findData(self._source) < 0:
            self.addItem(shown_name(self._source), self._source)
        self.insertSeparator(self.count())
        self.addItem("Open video or picture…", _FILE)
        self.addItem("Open stream address…", _ADDRESS)
        self._show_choice()

    def _show_choice(self) -> None:
        """The list shows what is chosen, not what was asked for last."""
        self.setCurrentIndex(self.findData(self._source) if self._source else -1)
        self.setPlaceholderText("Choose a source" if self._cameras else "No camera found")

    def _choose(self, row: int) -> None:
        source = self.itemData(row)
        self._show_choice()
        if source == _FILE:
            self.ask_file()
        elif source == _ADDRESS:
            self.ask_address()
        elif source:
            self.chosen.emit(source)


class ModelPicker(QComboBox):
    """The shipped models and a file of one's own; ``chosen`` has a name or a path."""

    chosen = pyqtSignal(str)

    def __init__(self, model: str) -> None:
        super().__init__()
        self.setAccessibleName("Model")
        self.setToolTip("The model that finds the landmarks")
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(14)
        self.setPlaceholderText("No model")
        self.activated.connect(self._choose)
        self.set_model(model)

    def set_model(self, model: str) -> None:
        """Show this as the choice; a shipped model that is not there shows as no model."""
        self._model = model
        self.clear()
        for name in shipped_models():
            self.addItem(name, name)
        if self.findData(model) < 0 and Path(model).is_file():
            self.addItem(Path(model).stem, model)
        self.insertSeparator(self.count())
        self.addItem("Open model file…", _FILE)
        self.setCurrentIndex(self.findData(model))

    def ask_file(self) -> None:
        """Let a model file be chosen."""
        name, _ = QFileDialog.getOpenFileName(self, "Open a model", "", "Models (*.safetensors)")
        if name:
            self.set_model(name)
            self.chosen.emit(name)

    def _choose(self, row: int) -> None:
        model = self.itemData(row)
        self.setCurrentIndex(self.findData(self._model))
        if model == _FILE:
            self.ask_file()
        elif model:
            self.set_model(model)
            self.chosen.emit(model)


class RuntimeBadge(QToolButton):
    """What the model runs on, such as ``eager bf16``; its menu asks for another; ``chosen`` has the name."""

    chosen = pyqtSignal(str)

    def __init__(self, runtime: str) -> None:
        super().__init__()
        self.setObjectName("badge")
        self.setAccessibleName("Runtime")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        menu = QMenu(self)
        group = QActionGroup(self)
        self._actions: dict[str, QAction] = {}
        for name in RUNTIMES:
            action = self._actions[name] = QAction(_WORDS[name], group)
            action.setCheckable(True)
            action.triggered.connect(lambda _, name=name: self.chosen.emit(name))
            menu.addAction(action)
        self.setMenu(menu)
        self.set_runtime(runtime)
        self.show_engine(None)

    def set_runtime(self, runtime: str) -> None:
        """Show this as what was asked for."""
        if runtime in self._actions:
            self._actions[runtime].setChecked(True)

    def show_engine(self, engine: EngineStatus | None) -> None:
        """Say what runs; None while nothing does."""
        if engine is None:
            text, tip = "not running", ""
        elif not engine.describe:
            text, tip = ("loading …", "") if engine.building else ("no model", engine.failure)
        else:
            text, tip = f"{_BADGES.get(engine.runtime, engine.runtime)} {engine.precision}", engine.describe
            if engine.building:
                text += " · building …"
        self.setText(text)
        self.setToolTip(f"{tip}\nClick to choose how the model runs".strip())
        self.setAccessibleDescription(text)
