"""What is dropped on the window: files, folders, addresses."""

from __future__ import annotations

from PyQt6.QtGui import QDropEvent

from tracker.feed import is_url


def dropped(event: QDropEvent) -> list[str]:
    """Paths and addresses in a drop, in its order; none where it holds something else."""
    data = event.mimeData()
    if data is None:
        return []
    if data.hasUrls():
        return [url.toLocalFile() if url.isLocalFile() else url.toString() for url in data.urls()]
    text = data.text().strip()
    return [text] if is_url(text) else []
