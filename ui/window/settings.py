"""What the window remembers: one JSON file, read when it opens and written when something changes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from engines.automatic import live_model
from engines.engine import check_names
from tracker import Overlay, TrackerSettings, shown_name
from tracker.camera import CameraRequest
from tracker.feed import is_url

_MOST_RECENT = 8
# Beyond what a hand-edited file could reasonably hold.
_MOST_BYTES = 1 << 20

_T = TypeVar("_T")


@dataclass(frozen=True)
class Settings:
    """Choices made in the window.

    ``camera`` is the index of the one used last; ``camera_width`` and ``camera_height`` in pixels and
    ``camera_fps`` are what is asked of it, 0 for what it likes; ``folder`` is where recordings and
    snapshots go, "" for the user's videos; ``recent`` are files and addresses, newest first, without
    passwords; ``geometry`` is Qt's, in base64.
    """

    camera: str = "0"
    model: str = field(default_factory=live_model)
    runtime: str = "auto"
    mirror: bool = False
    tracking: TrackerSettings = field(default_factory=TrackerSettings)
    overlay: Overlay = field(default_factory=Overlay)
    camera_width: int = 0
    camera_height: int = 0
    camera_fps: int = 0
    folder: str = ""
    record_data: bool = False
    panel: bool = True
    geometry: str = ""
    recent: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a runtime that there is not."""
        check_names(self.runtime, "auto")

    @property
    def camera_request(self) -> CameraRequest:
        """What is asked of a camera."""
        size = (self.camera_width, self.camera_height) if self.camera_width else None
        return CameraRequest(size, self.camera_fps or None)

    @property
    def drawing(self) -> Overlay:
        """The overlay, with joints below the tracking's threshold faded."""
        return replace(self.overlay, min_score=self.tracking.min_score)

    @property
    def saving_folder(self) -> Path:
        """Where recordings and snapshots go; it may not exist yet."""
        return Path(self.folder or platformdirs.user_videos_dir())

    def opened(self, source: str) -> Settings:
        """With ``source`` as the newest of those opened; a camera's index as the one used last."""
        if source.isdecimal():
            return replace(self, camera=source)
        if not is_url(source) and not Path(source).exists():
            return self
        kept = shown_name(source) if is_url(source) else str(Path(source).absolute())
        others = tuple(each for each in self.recent if each != kept)
        return replace(self, recent=(kept, *others)[:_MOST_RECENT])


def settings_file() -> Path:
    """Where the settings of this user lie."""
    return Path(platformdirs.user_config_dir("kptrack", appauthor=False)) / "window.json"


def load_settings(path: Path) -> Settings:
    """The settings in ``path``; the defaults where there is none. Raises ``ValueError``: one line."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("too large")
        found = json.loads(path.read_text(encoding="utf-8"))
        return _build(Settings(), found)
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise ValueError(f"{path.name}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is damaged ({error})") from error


def save_settings(settings: Settings, path: Path) -> None:
    """Write the settings; the file is the old or the new one at any time. Raises ``OSError``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)


def _build(default: _T, table: Any) -> _T:
    """``default`` with the values of a JSON object, each of the kind that it has in ``default``.

    What the object lacks stays; what it has beyond is another version's and is left out.
    """
    if not isinstance(table, dict):
        raise ValueError("not a JSON object")
    values: dict[str, Any] = {}
    for each in fields(default):  # type: ignore[arg-type]
        if each.name not in table:
            continue
        before, value = getattr(default, each.name), table[each.name]
        if is_dataclass(before):
            values[each.name] = _build(before, value)
        elif isinstance(before, tuple):
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise ValueError(f"{each.name} is not a list of words")
            values[each.name] = tuple(value)
        elif type(value) is type(before) or (type(before) is float and type(value) is int):
            values[each.name] = value
        else:
            raise ValueError(f"{each.name} is not a {type(before).__name__}")
    return replace(default, **values)  # type: ignore[type-var]
