"""What is kept of a live session: recordings and snapshots."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tracker import Overlay, SinkError
from ui.window.banner import Banner
from ui.window.bridge import Bridge
from ui.window.news import News
from ui.window.settings import Settings


class Saver:
    """Names the files and has the session that runs write them; what cannot be is said in the banner."""

    def __init__(self, bridge: Bridge, banner: Banner, news: News) -> None:
        self._bridge, self._banner, self._news = bridge, banner, news

    def record(self, settings: Settings, overlay: Overlay) -> None:
        """Begin a recording in the folder of the settings, drawn with ``overlay``."""
        path = _new_path(settings, ".mp4")
        self.record_to(path, path.with_suffix(".parquet") if settings.record_data else None, overlay)

    def record_to(self, path: Path | None, data: Path | None, overlay: Overlay) -> None:
        """Begin a recording in files of these names."""
        if self._bridge.session is None:
            return
        try:
            self._bridge.session.start_recording(path, data, overlay)
        except (SinkError, ValueError) as error:
            self._banner.problem(str(error))
        self._bridge.report()

    def stop(self) -> None:
        """End the recording; how it went is said when its files are closed."""
        if self._bridge.session is not None:
            self._bridge.session.stop_recording()

    def snapshot(self, settings: Settings, overlay: Overlay) -> None:
        """Save the newest picture, drawn with ``overlay``."""
        if self._bridge.session is None:
            return
        path = _new_path(settings, ".png")
        try:
            self._bridge.session.snapshot(path, overlay)
        except SinkError as error:
            self._banner.problem(str(error))
        else:
            self._news.tell_saved(path)


def _new_path(settings: Settings, suffix: str) -> Path:
    """A name that is free: by the time, to the hundredth of a second."""
    now = f"{datetime.now():%Y-%m-%d %H.%M.%S.%f}"[:-4]
    return settings.saving_folder / f"kptrack {now}{suffix}"
