"""Asking for files and folders, and before something is lost."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QFileDialog, QMessageBox, QWidget

from tracker.stills import PICTURES, VIDEOS
from ui.window.banner import short

_FILTER = ";;".join(
    f"{name} ({' '.join('*' + suffix for suffix in suffixes)})"
    for name, suffixes in (
        ("Videos and pictures", VIDEOS + PICTURES),
        ("Videos", VIDEOS),
        ("Pictures", PICTURES),
    )
)


def ask_file(parent: QWidget, title: str) -> str:
    """A video or picture; "" when the person thought better of it."""
    return QFileDialog.getOpenFileName(parent, title, "", _FILTER)[0]


def ask_files(parent: QWidget, title: str) -> list[str]:
    """Videos and pictures; none when the person thought better of it."""
    return QFileDialog.getOpenFileNames(parent, title, "", _FILTER)[0]


def ask_folder(parent: QWidget, title: str, begin: str = "") -> str:
    """A folder; "" when the person thought better of it."""
    return QFileDialog.getExistingDirectory(parent, title, begin)


class PictureName(QFileDialog):
    """Asks what a picture is to be called; for a name that is taken it asks again."""

    def __init__(self, parent: QWidget, title: str, begin: Path) -> None:
        super().__init__(parent, title, str(begin.parent))
        self.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        self.setNameFilter(f"Pictures ({' '.join('*' + suffix for suffix in PICTURES)})")
        self.setDefaultSuffix("png")
        self.selectFile(begin.name)

    @property
    def path(self) -> Path | None:
        """What was chosen; None when the person thought better of it."""
        return Path(self.selectedFiles()[0]) if self.result() else None


class Unsaved(QMessageBox):
    """Asks whether the changes to ``what`` are to be saved ``before`` something; Esc is ``cancel``."""

    def __init__(self, parent: QWidget, what: str, before: str) -> None:
        text = f"Save the changes to {what} before {before}?"
        super().__init__(QMessageBox.Icon.Question, "kptrack", short(text), parent=parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setInformativeText("Changes that are not saved are lost.")
        role = QMessageBox.ButtonRole
        self.save = self.addButton("&Save…", role.AcceptRole)
        self.discard = self.addButton("&Discard", role.DestructiveRole)
        self.cancel = self.addButton("&Cancel", role.RejectRole)
        self.setDefaultButton(self.save)
        self.setEscapeButton(self.cancel)
