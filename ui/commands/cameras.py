"""``kptrack cameras``."""

from __future__ import annotations

from ui.commands.options import Json


def cameras(as_json: Json = False) -> None:
    """List the cameras that are plugged in: index and name, either of which `live` takes."""
    from ui.cameras import list_cameras

    list_cameras(as_json)
