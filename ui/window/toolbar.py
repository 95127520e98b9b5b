"""The bar above the picture, and the keys that do the same."""

from __future__ import annotations

import time

from PyQt6.QtCore import QSize, Qt
from PyQt6.QtGui import QAction, QKeySequence
from PyQt6.QtWidgets import QSizePolicy, QToolBar, QToolButton, QWidget

from ui.window import icons
from ui.window.pickers import RuntimeBadge, SourcePicker

_RECORD = "Record"


class LiveBar(QToolBar):
    """Source, start, record, snapshot, mirror; at the right the runtime, the panels and the full screen.

    The page that shows the bar adds ``keys`` to itself, so that they work wherever on it the focus is; some
    of them have no button.
    """

    def __init__(self, runtime: str) -> None:
        super().__init__("Live")
        self.setMovable(False)
        self.setIconSize(QSize(20, 16))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.source = SourcePicker()
        self.badge = RuntimeBadge(runtime)
        self._since_s = time.monotonic()  # it did not record
        self.start = _action("Start", icons.start, "Start or stop the picture", "Space")
        self.record = _action(_RECORD, icons.record, "Record what is shown, with the landmarks", "R")
        self.snapshot = _action("Snapshot", icons.snapshot, "Save this picture with its landmarks", "S")
        self.mirror = _action("Mirror", icons.mirror, "Show the picture as a mirror would", "M")
        self.panels = _action("Panels", None, "Show or hide the side panel and the figures", "H")
        self.panels.setIcon(icons.icon(icons.panel, alone=True))
        self.full_screen = _action("Full screen", None, "Fill the screen", "F11")
        self.full_screen.setIcon(icons.icon(icons.full_screen, alone=True))
        self.overlay = _action("Overlay", None, "Show or hide the landmarks", "O")
        self.larger = _action("Larger overlay", None, "Larger dots, lines and ids", "+", "=")
        self.smaller = _action("Smaller overlay", None, "Smaller dots, lines and ids", "-")
        self.open = _action("Open…", None, "Open a video or picture", "Ctrl+O")
        for action in (self.record, self.mirror, self.panels, self.full_screen, self.overlay):
            action.setCheckable(True)
        self.addWidget(self.source)
        self._start_button = self._add(self.start)
        self._record_button = self._add(self.record)
        for action in (self.snapshot, self.mirror):
            self._add(action)
        space = QWidget()
        space.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(space)
        self.addWidget(self.badge)
        for action in (self.panels, self.full_screen):
            self._add(action).setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)

    @property
    def keys(self) -> list[QAction]:
        """Everything that has a key."""
        return [
            *(self.start, self.record, self.snapshot, self.mirror, self.panels, self.full_screen),
            *(self.overlay, self.larger, self.smaller, self.open),
        ]

    def show_running(self, running: bool, picture: bool) -> None:
        """Start becomes stop; what needs new pictures, or one, can be used."""
        self.start.setText("Stop" if running else "Start")
        self.start.setIcon(icons.icon(icons.stop if running else icons.start))
        self._start_button.setAccessibleName(self.start.text())
        self.record.setEnabled(running)
        self.snapshot.setEnabled(picture)

    def show_recording(self, active: bool) -> None:
        """Whether it records, and since when."""
        now_s = time.monotonic()
        if not active:
            self._since_s = now_s
        elif self.record.text() == _RECORD:
            # The time is shorter than the word: what is beside it stays where it is.
            self._record_button.setMinimumWidth(self._record_button.width())
        minutes, seconds = divmod(int(now_s - self._since_s), 60)
        self.record.setChecked(active)
        self.record.setText(f"{minutes}:{seconds:02}" if active else _RECORD)

    def _add(self, action: QAction) -> QToolButton:
        self.addAction(action)
        button = self.widgetForAction(action)
        assert isinstance(button, QToolButton)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.setAccessibleName(action.text())
        return button


def _action(word: str, drawing: icons.Drawing | None, tip: str, *keys: str) -> QAction:
    """An action with its keys, the first of them in its tip."""
    action = QAction(word)
    if drawing is not None:
        action.setIcon(icons.icon(drawing))
    action.setToolTip(f"{tip} ({keys[0]})")
    action.setShortcuts([QKeySequence(each) for each in keys])
    return action
