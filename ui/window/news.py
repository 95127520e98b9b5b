"""What is worth saying about a live session: on the picture what passes, in the banner what asks for more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PyQt6.QtCore import QUrl
from PyQt6.QtGui import QDesktopServices

from tracker.live import LiveStatus, RecordingStatus
from ui.window.banner import Action, Banner


class News:
    """Compares each status of a session with the one before, and says what is new.

    ``retry`` opens the source again, ``choose_model`` asks for a model.
    """

    def __init__(
        self, banner: Banner, retry: Callable[[], object], choose_model: Callable[[], object]
    ) -> None:
        self._banner = banner
        self._retry = Action("Retry", retry)
        self._choose_model = Action("Choose a model…", choose_model)
        self._complaint = ""
        self._recording = RecordingStatus()
        self.reset()

    def reset(self) -> None:
        """Another session begins; the recording of the one before may still be ending."""
        self._failure = ""
        self.expect_source()

    def expect_source(self) -> None:
        """A source is being opened: how that ends is worth saying, even if it is the same as before."""
        self._state = ""

    def tell(self, status: LiveStatus) -> str:
        """Say in the banner what is new; the line that belongs on the picture, "" for none."""
        if status.state != self._state:
            self._state = status.state
            if status.state == "failed":
                self._complaint = status.message
                self._banner.problem(status.message, self._retry)
            elif self._complaint and self._banner.text == self._complaint:
                self._banner.dismiss()
        if status.engine.failure != self._failure:
            self._failure = status.engine.failure
            if self._failure:
                self._banner.problem(self._failure, None if status.engine.describe else self._choose_model)
        self.tell_recording(status.recording)
        return _notice(status)

    def tell_recording(self, recording: RecordingStatus) -> None:
        """Say how a recording ended."""
        before, self._recording = self._recording, recording
        if not before.active or recording.active:
            return
        if recording.message:
            self._banner.problem(recording.message)
        elif recording.path is not None:
            lost = f"; {recording.dropped} frames were dropped" if recording.dropped else ""
            self.tell_saved(recording.path, lost)

    def tell_saved(self, path: Path, more: str = "") -> None:
        """Say where a file is."""
        folder = QUrl.fromLocalFile(str(path.parent))
        self._banner.note(
            f"Saved {path.name}{more}", Action("Open folder", lambda: QDesktopServices.openUrl(folder))
        )


def _notice(status: LiveStatus) -> str:
    engine = status.engine
    match status.state:
        case "connecting":
            return f"Connecting to {status.source} …"
        case "ended":
            return "The end. Space plays it again."
        case "failed":
            return ""  # the banner says it
    if status.message:
        return status.message
    if status.state == "stalled":
        return f"No picture from {status.source} …"
    if status.state == "reconnecting":
        return f"Connecting to {status.source} again …"
    if not engine.describe:
        return "Loading the model …" if engine.building else "No model: the picture has no landmarks"
    return ""
