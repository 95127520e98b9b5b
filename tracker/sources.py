"""Where frames come from."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tracker.values import Frame


class SourceError(RuntimeError):
    """A source cannot be read; the message is one line: which, why, what to do."""


class CameraError(SourceError):
    """A camera was lost while it was being read."""


class Source(Protocol):
    """Frames in order, upright, RGB."""

    name: str  # file name, URL without password and query, or "camera 0"
    path: Path | None  # the local file
    width: int  # upright, pixels
    height: int
    fps: float  # average, frames a second
    time_base: Fraction  # seconds a unit of Frame.pts
    frames: int | None  # expected number of frames, where the container says it (for progress)
    rotation: int  # degrees clockwise that were applied
    live: bool  # a camera or stream that does not wait
    lost: int  # frames that could not be decoded so far
    still: bool  # a single picture

    def __iter__(self) -> Iterator[Frame]: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_source(
    spec: str | int | Path,
    start_s: float = 0.0,
    end_s: float | None = None,
    max_frames: int | None = None,
    timeout_s: float = 10.0,
) -> Source:
    """A video, a picture, a folder of pictures (a sequence), a camera index or a URL.

    Raises ``SourceError``; ``MissingCapability`` for a camera that does not open.
    """
    raise NotImplementedError


def list_inputs(folder: Path, recursive: bool = False) -> list[Path]:
    """Pictures and videos of a folder, sorted. Raises ``SourceError`` where there are none."""
    raise NotImplementedError


def shown_name(spec: str | int | Path) -> str:
    """How a source is named in messages and files: no folder, no password, no query."""
    raise NotImplementedError
