"""``kptrack edit`` in a window."""

from __future__ import annotations

from ui.edit import EditOptions
from ui.failures import Exit
from ui.window import running
from ui.window.editor import EditWindow
from ui.window.errors import ErrorHooks


def run_editor(source: str | None, style: str | None, options: EditOptions) -> Exit:
    """Open the window, with a picture and a style if there are any; the exit code when it is closed.

    Raises ``MissingCapability`` where no window can be opened.
    """

    def make(hooks: ErrorHooks) -> EditWindow:
        window = EditWindow(options)
        hooks.caught.connect(window.banner.problem)
        return window

    def begin(window: EditWindow) -> None:
        if style is not None:
            window.set_style(style)
        if source is not None:
            window.open(source, options.frame)

    return running.run(make, begin, "--out writes the picture without one")
