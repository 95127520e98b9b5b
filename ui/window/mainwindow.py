"""The main window: a message, three tabs, and an end that loses nothing."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

from PyQt6.QtCore import QByteArray, Qt, QTimer
from PyQt6.QtGui import QCloseEvent, QKeyEvent
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QTabWidget, QVBoxLayout, QWidget

from tracker.live import LiveStatus
from ui.live import LiveOptions
from ui.window.banner import Action, Banner
from ui.window.batch import BatchTab
from ui.window.cameras import CameraWatch
from ui.window.compare import CompareTab
from ui.window.livepage import LivePage
from ui.window.options import batch_request
from ui.window.pickers import ModelPicker
from ui.window.running import AppWindow
from ui.window.settings import Settings, save_settings

_SIZE = 1280, 800
_SAVE_AFTER_MS = 500
_LOOK_EVERY_MS = 50
# A file being closed on a disk that does not answer; there is nothing to be gained by waiting longer.
_MOST_PATIENCE_S = 90.0


class Window(AppWindow):
    """Live, Batch and Compare. Settings are written to ``file`` when they change."""

    def __init__(self, settings: Settings, options: LiveOptions, file: Path) -> None:
        """``options`` are what the settings do not know."""
        super().__init__()
        self._settings, self._file = settings, file
        self.setWindowTitle("kptrack")
        self.resize(*_SIZE)
        self.restoreGeometry(QByteArray.fromBase64(settings.geometry.encode()))
        self.banner = Banner()
        self.models = ModelPicker(settings.model)
        self.live = LivePage(settings, options, self.banner)
        self.batch = BatchTab(lambda: batch_request(self._settings, options))
        self.compare = CompareTab(lambda: self._settings.model)
        self.tabs = QTabWidget()
        tab_bar = self.tabs.tabBar()
        assert tab_bar is not None
        self._tab_bar = tab_bar
        self.tabs.setDocumentMode(True)
        self._tab_bar.setDrawBase(False)
        for page, name in ((self.live, "Live"), (self.batch, "Batch"), (self.compare, "Compare")):
            self.tabs.addTab(page, name)
        self._corner = self._make_corner()
        self.tabs.setCornerWidget(self._corner)
        self._lay_out()
        self._cameras = CameraWatch()
        self._connect()
        self._maximised = False  # before it filled the screen
        self._saving = QTimer(self)
        self._saving.setSingleShot(True)
        self._saving.setInterval(_SAVE_AFTER_MS)
        self._saving.timeout.connect(self._save)
        self._closing_since_s: float | None = None
        self._closing = QTimer(self)
        self._closing.setInterval(_LOOK_EVERY_MS)
        self._closing.timeout.connect(self.close)
        self._cameras.start()
        if self.models.currentIndex() < 0:
            self.banner.problem(
                "No model is installed; without one there are no landmarks.",
                Action("Choose a model…", self.models.ask_file),
            )

    def _make_corner(self) -> QWidget:
        corner = QWidget()
        row = QHBoxLayout(corner)
        row.setContentsMargins(0, 3, 12, 3)
        label = QLabel("Model")
        label.setProperty("dim", True)
        label.setBuddy(self.models)
        row.addWidget(label)
        row.addWidget(self.models)
        return corner

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.banner)
        column.addWidget(self.tabs)
        self.setCentralWidget(inside)

    def _connect(self) -> None:
        self._cameras.changed.connect(self.live.bar.source.set_cameras)
        self._cameras.changed.connect(lambda found: self.live.welcome.set_camera(bool(found)))
        self.models.chosen.connect(self.live.use_model)
        self.live.edited.connect(self._keep)
        self.live.model_wanted.connect(self.models.ask_file)
        self.live.bridge.finished.connect(self._tell_late)
        self.live.bar.full_screen.triggered.connect(self._fill_screen)
        self.batch.problem.connect(self.banner.problem)
        self.compare.problem.connect(self.banner.problem)

    def _tell_late(self, status: LiveStatus) -> None:
        """While the window closes nobody reads its messages."""
        if self._closing_since_s is not None and status.recording.message:
            print(f"kptrack: {status.recording.message}", file=sys.stderr, flush=True)

    def _keep(self, settings: Settings) -> None:
        self._settings = settings
        self._saving.start()

    def _save(self) -> None:
        if not self.isFullScreen():
            geometry = bytes(self.saveGeometry().toBase64().data()).decode()
            self._settings = replace(self._settings, geometry=geometry)
        try:
            save_settings(self._settings, self._file)
        except OSError as error:
            self.banner.problem(f"the settings are not remembered: {self._file}: {error.strerror}")

    def _fill_screen(self, on: bool) -> None:
        """Nothing but the picture; F11 or Esc brings the rest back."""
        self.live.fill(on)
        self._tab_bar.setVisible(not on)
        self._corner.setVisible(not on)
        if on:
            self._maximised = self.isMaximized()
            self.showFullScreen()
        elif self._maximised:
            self.showMaximized()
        else:
            self.showNormal()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Esc leaves the full screen."""
        if event is not None and event.key() == Qt.Key.Key_Escape and self.isFullScreen():
            self.live.bar.full_screen.trigger()
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Close when recordings and results are written; until then say so, and try again."""
        assert event is not None
        now_s = time.monotonic()
        if self._closing_since_s is None:
            self._closing_since_s = now_s
            self._save()
            self._cameras.stop()
            self.live.stop()
            self.batch.backlog.cancel()
            self.compare.cancel()
        working = not self.live.bridge.quiet or self.batch.backlog.running
        if working and now_s - self._closing_since_s < _MOST_PATIENCE_S:
            event.ignore()
            self.tabs.setEnabled(False)
            self.banner.note("Closing: files are being finished …")
            self._closing.start()
            return
        self._closing.stop()
        event.accept()
