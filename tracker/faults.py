"""What went wrong in a thread, as one line."""

from __future__ import annotations

from engines.engine import BuildError, MissingCapability
from engines.parity import ParityError
from tracker.feed import SourceError
from tracker.sinks import SinkError

# Their text is written for people; that of others needs the kind of error beside it.
_PLAIN = (BuildError, MissingCapability, ParityError, SourceError, SinkError, ValueError)
_LONGEST = 300


def one_line(error: BaseException) -> str:
    """The error for a banner or a line of text."""
    text = " ".join(str(error).split())[:_LONGEST]
    if isinstance(error, _PLAIN) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
