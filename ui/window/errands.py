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
    """One thread that runs errands in the order they were asked for.

    The window polls ``done``: what would otherwise be a signal for every picture.
    """

    def __init__(self, name: str) -> None:
        self._waiting: list[tuple[str, Callable[[], object]]] = []
        self._done: list[Done] = []
        self._at_work = ""
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"kptrack {name}", daemon=True)
        self._thread.start()

    def ask(self, kind: str, errand: Callable[[], object], every: bool = False) -> None:
        """Have this run. Older ones of its kind that wait are forgotten, unless ``every`` one counts."""
        with self._changed:
            if not every:
                self._waiting = [each for each in self._waiting if each[0] != kind]
            self._waiting.append((kind, errand))
            self._changed.notify()

    def done(self) -> Done | None:
        """The oldest that has ended and has not been told of; None where there is none."""
        with self._changed:
            return self._done.pop(0) if self._done else None

    def pending(self, *kinds: str) -> bool:
        """Whether one of these kinds, or of any, waits, runs or has not been told of."""
        with self._changed:
            waiting, done = [kind for kind, _ in self._waiting], [each.kind for each in self._done]
            there = {*waiting, self._at_work, *done} - {""}
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
                kind, errand = self._waiting.pop(0)
                self._at_work = kind
            try:
                done = Done(kind, errand())
            except Exception as error:  # noqa: BLE001 (the guard of this thread; the window says it)
                done = Done(kind, error=error)
            with self._changed:
                self._done.append(done)
