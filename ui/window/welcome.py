"""What the window shows before there is a picture: three ways to get one."""

from __future__ import annotations

from collections.abc import Sequence

from PyQt6.QtCore import QSize, pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QMenu, QPushButton

from tracker import shown_name
from ui.window import icons
from ui.window.notice import Notice


class Welcome(Notice):
    """Use camera, Open video, Open recent."""

    use_camera = pyqtSignal()
    open_video = pyqtSignal()
    open_recent = pyqtSignal(str)

    def __init__(self) -> None:
        buttons = QHBoxLayout()
        super().__init__(
            "No picture yet",
            "Choose a source, or drop a video, a picture or a stream's address here.",
            buttons,
        )
        self._camera = _button("Use camera", "The camera chosen above")
        self._camera.setIcon(icons.icon(icons.camera))
        self._camera.clicked.connect(self.use_camera)
        self._open = _button("Open video…", "A video, or a picture (Ctrl+O)")
        self._open.setIcon(icons.icon(icons.open_file))
        self._open.clicked.connect(self.open_video)
        self._recent = _button("Open recent", "What was opened before")
        self._menu = QMenu(self)
        self._recent.setMenu(self._menu)
        buttons.setSpacing(10)
        buttons.addStretch()
        for button in (self._camera, self._open, self._recent):
            buttons.addWidget(button)
        buttons.addStretch()

    def set_recent(self, sources: Sequence[str]) -> None:
        """What the third button offers, newest first."""
        self._menu.clear()
        for source in sources:
            action = self._menu.addAction(shown_name(source))
            assert action is not None
            action.setToolTip(source)
            action.triggered.connect(lambda _, source=source: self.open_recent.emit(source))
        self._recent.setEnabled(bool(sources))

    def set_camera(self, available: bool) -> None:
        """Whether there is a camera to use."""
        self._camera.setEnabled(available)
        self._camera.setToolTip("The camera chosen above" if available else "No camera is connected")


def _button(word: str, tip: str) -> QPushButton:
    button = QPushButton(word)
    button.setToolTip(tip)
    button.setAccessibleName(word)
    button.setMinimumSize(QSize(140, 36))
    button.setIconSize(QSize(23, 18))
    return button
