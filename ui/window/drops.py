"""What is dropped on the window: files, folders, addresses."""

from __future__ import annotations

from PyQt6.QtGui import QDragEnterEvent, QDropEvent
from PyQt6.QtWidgets import QWidget

from tracker.feed import is_url


class DropTarget(QWidget):
    """Takes files, folders and addresses that are dropped on it."""

    def __init__(self) -> None:
        super().__init__()
        self.setAcceptDrops(True)

    def take(self, names: list[str]) -> None:
        """Do something with what was dropped, which is not nothing."""
        raise NotImplementedError

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Let go on what can be taken."""
        if event is not None and _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Take it."""
        if event is not None:
            event.acceptProposedAction()
            self.take(_dropped(event))


def _dropped(event: QDropEvent) -> list[str]:
    """Paths and addresses in a drop, in its order; none where it holds something else."""
    data = event.mimeData()
    if data is None:
        return []
    if data.hasUrls():
        return [url.toLocalFile() if url.isLocalFile() else url.toString() for url in data.urls()]
    text = data.text().strip()
    return [text] if is_url(text) else []
