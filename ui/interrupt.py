"""Ending work in hand properly: when a thread asks for it, or Ctrl-C; Ctrl-C twice ends the program."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, Self, TypeVar

from ui.failures import Exit

_T = TypeVar("_T")


class Cancel:
    """The wish to end the work in hand properly: any thread may set ``asked``."""

    asked = False
    hint = ""  # what else a person can do

    def __enter__(self) -> Self:
        """Nothing: it only waits to be asked."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within it files are open, which must be closed before the program ends."""
        yield


class Interrupt(Cancel):
    """While entered, in the main thread, the first Ctrl-C sets ``asked`` and the second leaves at once.

    Where nothing needs to be finished, which is outside of ``held``, the first one raises
    ``KeyboardInterrupt``.
    """

    hint = "; Ctrl-C again leaves at once"

    def __init__(self) -> None:
        self._held = False

    def __enter__(self) -> Self:
        """Take the signal over."""
        self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the signal back."""
        signal.signal(signal.SIGINT, self._before)

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        if self.asked:
            # Not an exception: threads may be stuck, and joining them on the way out would hang.
            os._exit(Exit.INTERRUPTED)
        self.asked = True
        if not self._held:
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """See ``Cancel``."""
        self._held = True
        try:
            yield
        finally:
            self._held = False


def leave(code: int) -> NoReturn:
    """End the process."""
    leave_if_stuck(code)
    sys.exit(code)


def leave_if_stuck(code: int) -> None:
    """End the process here if a driver or library still hangs in a thread: it could crash an orderly end."""
    if any(thread.name.startswith("kptrack") for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def hear_signals(work: Callable[[], _T]) -> _T:
    """The result of ``work``, run in a thread: Python hears no signal while FFmpeg waits for a network."""
    results: list[_T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 (raised again where it belongs)
            failures.append(error)

    thread = threading.Thread(target=run, name="open", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    if failures:
        raise failures[0]
    return results[0]
