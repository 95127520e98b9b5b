"""What went wrong, as one line for people and an exit code for programs."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    SOME_FAILED = 3  # some inputs failed, the others are done
    INCAPABLE = 4  # this machine lacks something that was asked for
    CHECK_FAILED = 5
    INTERRUPTED = 130


class UsageError(Exception):
    """What was typed makes no sense; the message says which part and what would."""


@contextmanager
def usage() -> Iterator[None]:
    """Within it, a ``ValueError`` is about what was typed, not about the program."""
    try:
        yield
    except ValueError as error:
        raise UsageError(str(error)) from error


def explain(error: BaseException) -> tuple[str, Exit]:
    """One line and the exit code for any error."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", Exit.INTERRUPTED
    if isinstance(error, UsageError):
        return str(error), Exit.USAGE
    if isinstance(error, ImportError):
        return f"{error}; `kptrack doctor` says what this installation lacks", Exit.INCAPABLE
    # Here, because they load PyTorch, which a mistyped command should not wait for.
    from engines.engine import BuildCancelled, BuildError, MissingCapability
    from engines.parity import ParityError
    from tracker.feed import SourceError
    from tracker.sinks import SinkError

    if isinstance(error, MissingCapability):
        return str(error), Exit.INCAPABLE
    if isinstance(error, BuildCancelled):
        return str(error), Exit.INTERRUPTED
    if isinstance(error, ParityError):
        return str(error), Exit.CHECK_FAILED
    if isinstance(error, SourceError | SinkError | BuildError):
        return str(error), Exit.FAILED
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}", Exit.FAILED
    reason = " ".join(str(error).split())[:300]
    return f"unexpected {type(error).__name__}: {reason} (KPTRACK_DEBUG=1 shows where)", Exit.FAILED


def complain(error: BaseException) -> Exit:
    """Write the line to stderr, with the traceback if ``KPTRACK_DEBUG`` is set; the exit code."""
    line, code = explain(error)
    if os.environ.get("KPTRACK_DEBUG"):
        traceback.print_exception(error)
    print(f"kptrack: {line}", file=sys.stderr)
    return code
