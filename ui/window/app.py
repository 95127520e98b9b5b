"""The window of ``kptrack live``, opened with what was typed and what it remembers."""

from __future__ import annotations

from collections.abc import Collection

from PyQt6.QtCore import QTimer

from ui.live import LiveOptions
from ui.window import running
from ui.window.errors import ErrorHooks
from ui.window.mainwindow import Window
from ui.window.options import merged
from ui.window.settings import Settings, load_settings, settings_file


def run_window(source: str | None, options: LiveOptions, asked: Collection[str]) -> int:
    """Open the window, on ``source`` if there is one; the exit code when it is closed.

    ``asked`` names the options that were typed; of the others the window takes what it remembers.
    Raises ``MissingCapability`` where no window can be opened.
    """

    def make(hooks: ErrorHooks) -> Window:
        settings, complaint = _remembered()
        window = Window(merged(settings, options, asked), options, settings_file())
        hooks.caught.connect(window.banner.problem)
        if complaint:
            window.banner.problem(complaint)
        return window

    def begin(window: Window) -> None:
        if source is not None:
            window.live.open(source)
        if options.duration_s is not None:
            QTimer.singleShot(round(1000 * options.duration_s), window.close)

    return running.run(make, begin, "--no-window works without one")


def _remembered() -> tuple[Settings, str]:
    """The settings of the last time, and what is wrong with them."""
    try:
        return load_settings(settings_file()), ""
    except ValueError as error:
        return Settings(), f"Settings are back at their defaults: {error}"
