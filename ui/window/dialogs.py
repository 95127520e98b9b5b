"""Asking for files and folders."""

from __future__ import annotations

from PyQt6.QtWidgets import QFileDialog, QWidget

from tracker.stills import PICTURES, VIDEOS

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
