"""What was typed and what the window remembers, as one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace
from pathlib import Path

from tracker import Overlay, TrackerSettings
from ui.live import LiveOptions
from ui.process import Request
from ui.window.settings import Settings


def merged(settings: Settings, options: LiveOptions, asked: Collection[str]) -> Settings:
    """The settings, but as in ``options`` where the command line ``asked`` for it; names are its options'."""
    changes: dict[str, object] = {
        name: getattr(options, name) for name in ("model", "runtime", "mirror") if name in asked
    }
    if "model" in asked and Path(options.model).is_file():
        changes["model"] = str(Path(options.model).absolute())
    if "camera_size" in asked and options.camera.size is not None:
        changes["camera_width"], changes["camera_height"] = options.camera.size
    if "camera_fps" in asked and options.camera.fps is not None:
        changes["camera_fps"] = round(options.camera.fps)
    tracking = {
        each.name: getattr(options.settings, each.name)
        for each in fields(TrackerSettings)
        if each.name in asked
    }
    changes["tracking"] = replace(settings.tracking, **tracking)
    return replace(settings, **changes)  # type: ignore[arg-type]


def live_options(settings: Settings, options: LiveOptions, overlay: Overlay) -> LiveOptions:
    """How the Live tab runs: as the settings say, which know nothing of the rest of ``options``."""
    return replace(
        options,
        model=settings.model,
        runtime=settings.runtime,
        settings=settings.tracking,
        overlay=overlay,
        camera=settings.camera_request,
        mirror=settings.mirror,
    )


def batch_request(settings: Settings, options: LiveOptions) -> Request:
    """How the Batch tab processes: as the Live tab does."""
    return Request(
        model=settings.model,
        runtime=settings.runtime,
        precision=options.precision,
        device=options.device,
        settings=settings.tracking,
        overlay=settings.drawing,
    )
