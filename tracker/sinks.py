"""What every output has in common: written beside its name, renamed when it is whole."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tracker.values import Result


class SinkError(RuntimeError):
    """An output cannot be written; the message is one line: which file, why."""


class Sink(Protocol):
    """Takes results in order. ``path`` is the finished file, ``notes`` are lines worth telling a person."""

    path: Path
    notes: list[str]

    def write(self, result: Result) -> None:
        """Add one frame. Raises ``SinkError``, after which only ``abort`` makes sense."""
        ...

    def close(self, whole: bool = True) -> None:
        """Finish the file and, if it is ``whole``, give it its name: else it stays ``part_of`` that.

        Raises ``SinkError``; a second call does nothing.
        """
        ...

    def abort(self) -> None:
        """Stop without a name: what was written stays beside it as ``.part``, if it is of any use."""
        ...

    def __enter__(self) -> Self:
        """Nothing: the file is open already."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, or abort when the block raised."""
        ...


def part_of(path: Path) -> Path:
    """The name that a file bears until it is whole: ``clip.part.mp4`` for ``clip.mp4``."""
    return path.with_suffix(f".part{path.suffix}")


class PartFile:
    """Base of the sinks: a file that bears its name only once it is whole.

    ``clip.mp4`` is written as ``clip.part.mp4``, so no one takes a killed run's torso for a result.
    """

    def __init__(self, path: str | Path) -> None:
        """Remember both names and make the folder. Raises ``SinkError``."""
        self.path = Path(path)
        self.part = part_of(self.path)
        self.notes: list[str] = []
        self._open = True
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self.failure(error) from error

    def failure(self, error: OSError) -> SinkError:
        """The one line for an error of the operating system."""
        return SinkError(f"{self.path}: cannot be written: {error.strerror or error}")

    def finish(self) -> None:
        """Complete the part file. Overridden by every sink; may raise ``OSError`` or ``SinkError``."""
        raise NotImplementedError

    def discard(self) -> None:
        """Give up the part file after a failure. By default nothing of it is of use."""
        self.part.unlink(missing_ok=True)

    def close(self, whole: bool = True) -> None:
        """See ``Sink``."""
        if not self._open:
            return
        self._open = False
        try:
            self.finish()
            if whole:
                os.replace(self.part, self.path)
        except OSError as error:
            raise self.failure(error) from error

    def abort(self) -> None:
        """Stop without giving the file its name; never raises for the file's sake."""
        if self._open:
            self._open = False
            self.discard()

    def __enter__(self) -> Self:
        """Nothing: the file is open already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, or abort when the block raised."""
        if kind is None:
            self.close()
        else:
            self.abort()
