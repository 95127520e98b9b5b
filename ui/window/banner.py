"""A message above the picture: it says what happened, offers what to do, and blocks nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PyQt6.QtCore import Qt, QTimer
from PyQt6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QWidget

from ui.window import icons

# How long a message stays that asks for nothing.
_NOTE_MS = 8_000
# A longer word, such as a path, would make the window wider than the screen.
_LONGEST_WORD = 90


@dataclass(frozen=True)
class Action:
    """What a message offers: the word on its button and what that does."""

    word: str
    do: Callable[[], object]


class Banner(QFrame):
    """Shows the newest message. Problems stay until they are dismissed, notes for a few seconds."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("banner")
        self.setAccessibleName("Message")
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._button = QPushButton()
        self._button.clicked.connect(self._act)
        self._close = QToolButton()
        self._close.setIcon(icons.icon(icons.close))
        self._close.setAutoRaise(True)
        self._close.setToolTip("Dismiss")
        self._close.setAccessibleName("Dismiss the message")
        self._close.clicked.connect(self.dismiss)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 8, 12, 8)
        row.setSpacing(10)
        row.addWidget(self._text, 1)
        row.addWidget(self._button)
        row.addWidget(self._close)
        self._action: Action | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.hide)
        self.hide()

    @property
    def text(self) -> str:
        """What it says; empty while it is not shown."""
        return "" if self.isHidden() else self._text.text()

    def problem(self, text: str, action: Action | None = None) -> None:
        """Say what went wrong, until it is dismissed."""
        self._show(text, action, problem=True)

    def note(self, text: str, action: Action | None = None) -> None:
        """Say something good to know, for a few seconds."""
        self._show(text, action, problem=False)
        self._timer.start(_NOTE_MS)

    def dismiss(self) -> None:
        """Take the message away."""
        self._timer.stop()
        self.hide()

    def _show(self, text: str, action: Action | None, problem: bool) -> None:
        self._timer.stop()
        self._action = action
        self._text.setText(short(text))
        self._text.setToolTip(text if short(text) != text else "")
        self._button.setVisible(action is not None)
        self._button.setText(action.word if action else "")
        self._button.setAccessibleName(action.word if action else "")
        self.setAccessibleDescription(text)
        self.setProperty("problem", problem)
        style = self.style()
        assert style is not None
        style.polish(self)  # the sheet looks at the property only now
        self.show()

    def _act(self) -> None:
        self.dismiss()
        if self._action is not None:
            self._action.do()


def short(text: str) -> str:
    """A line whose long words lack their middles."""
    half = _LONGEST_WORD // 2
    return " ".join(
        each if len(each) <= _LONGEST_WORD else f"{each[:half]}…{each[-half:]}" for each in text.split(" ")
    )
