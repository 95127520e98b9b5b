"""What every source has in common."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from tracker.values import Frame


def check_limits(start_s: float, end_s: float | None, max_frames: int | None) -> None:
    """Raises ``ValueError`` for a part of a source, in seconds and frames, that holds nothing."""
    if not start_s >= 0:
        raise ValueError(f"start {start_s!r} s is before the beginning")
    if end_s is not None and not end_s > start_s:
        raise ValueError(f"end {end_s!r} s is not after the start {start_s!r} s")
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames {max_frames!r} is not at least 1")


class SourceError(RuntimeError):
    """A source cannot be read; the message is one line: which, why, what to do."""


class CameraError(SourceError):
    """A camera was lost while it was being read."""


class Source:
    """Frames in order, upright and RGB; read once, from one thread at a time.

    But for ``ended`` and ``lost`` the attributes are settled when it is opened. A source knows its first
    picture by then, so what cannot be read at all fails on opening and not somewhere later.
    """

    name: str  # file name, URL without password and query, or "camera 0"
    path: Path | None = None  # the local file
    address: str | None = None  # what a second reader opens for the sound; may hold a password: never shown
    width: int  # upright, pixels
    height: int
    fps: float  # average, frames a second
    time_base: Fraction  # seconds a unit of Frame.pts
    begin_s: float = 0.0  # time of Frame.pts at which Frame.time_s is 0
    start_s: float = 0.0  # where it was trimmed to, on the clock of Frame.time_s
    trimmed: bool = False  # not read from its first frame to its last
    frames: int | None = None  # how many frames to expect, for progress; None where nobody knows
    rotation: int = 0  # degrees clockwise that were applied
    pixel_aspect: Fraction = Fraction(1)  # width of an upright pixel over its height
    live: bool = False  # does not wait for its reader
    still: bool = False  # a single picture
    ended: bool = False  # gave its last frame; not so when its reader stopped early
    lost: int = 0  # frames that could not be decoded, so far

    def __iter__(self) -> Iterator[Frame]:
        """The frames. Raises ``SourceError`` when it breaks off; the end of a file is not an error."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back file or device; by default there is none."""

    def __enter__(self) -> Self:
        """Nothing: it is open already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


def is_url(spec: str) -> bool:
    """Whether ``spec`` is read over a network (``rtsp://…``), not a file's or camera's name."""
    scheme, separator, _ = spec.partition("://")
    return bool(separator) and scheme.isalnum() and scheme != "file"


def shown_name(spec: str | int | Path) -> str:
    """How a source is named in messages and data: no folder of a file, no password and query of a URL."""
    if isinstance(spec, int) or (isinstance(spec, str) and spec.isdecimal()):
        return f"camera {spec}"
    text = str(spec)
    if not is_url(text):
        return Path(text).name or text
    scheme, _, rest = text.partition("://")
    return f"{scheme.lower()}://{_host_and_path(rest)}"


_HOST_AND_PATH = re.compile(r"(\[[^\]]*\]|[^:@/\[\]]*)(:\d+)?(/[^@]*)?")


def _host_and_path(rest: str) -> str:
    """What may be shown of a URL behind its scheme; "…" where nobody can tell what that is."""
    before, *query = re.split("[?#]", rest, maxsplit=1)
    if not query or "@" not in query[0]:
        return before.rpartition("@")[2]
    # Either the password has a ? or # in it that should have been escaped, or the query has an @ of its own:
    # what is the host in the one is a secret in the other.
    if _HOST_AND_PATH.fullmatch(before):
        return before
    return "…" if "@" in before else re.split("[?#]", query[0].rpartition("@")[2])[0]
