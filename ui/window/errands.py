"""Work that a window has done in a thread of its own, without waiting for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Done:
    """How an errand of this ``kind`` ended: with what it found, or what was raised."""

    kind: str
    found: object = None
    error: Exception | None = None


class Errands:
    """One thread that runs errands in the order they were asked for; of each kind only the newest waits.

    The window polls ``done``: what would otherwise be a signal for every picture.
    """

    def __init__(self, name: str) -> None:
        self._waiting: dict[str, Callable[[], object]] = {}
        self._done: list[Done] = []
        self._at_work = ""
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"kptrack {name}", daemon=True)
        self._thread.start()

    def ask(self, kind: str, errand: Callable[[], object]) -> None:
        """Have this run; an older one of its kind that still waits is forgotten."""
        with self._changed:
            self._waiting.pop(kind, None)
            self._waiting[kind] = errand
            self._changed.notify()

    def done(self) -> list[Done]:
        """What has ended since this was asked last."""
        with self._changed:
            done, self._done = self._done, []
        return done

    def pending(self, *kinds: str) -> bool:
        """Whether one of these kinds, or of any, waits, runs or has not been told of."""
        with self._changed:
            there = {*self._waiting, self._at_work, *(each.kind for each in self._done)} - {""}
        return bool(there & set(kinds) if kinds else there)

    def close(self) -> None:
        """Run nothing more. Does not wait for what runs."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._at_work = ""
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                self._at_work = kind = next(iter(self._waiting))
                errand = self._waiting.pop(kind)
            try:
                done = Done(kind, errand())
            except Exception as error:  # noqa: BLE001 (the guard of this thread; the window says it)
                done = Done(kind, error=error)
            with self._changed:
                self._done.append(done)
