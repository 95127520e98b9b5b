"""One bounded hand-off between two threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import Condition
from typing import Generic, TypeVar

POLICIES = ("wait", "drop_oldest")

Item = TypeVar("Item")


class Closed(Exception):
    """The channel was cut: nobody takes what is put into it any more."""


class Channel(Generic[Item]):
    """Hands items from one thread to another, in order, at most ``size`` in between.

    When it is full, ``wait`` holds the giver back (files: nothing is lost) and ``drop_oldest`` throws
    away what has waited longest (cameras: nothing gets old); ``dropped`` counts it.
    """

    def __init__(self, size: int, policy: str = "wait") -> None:
        """Raises ``ValueError`` for a policy that is not in ``POLICIES`` and a size below 1."""
        if policy not in POLICIES:
            raise ValueError(f"policy {policy!r} is not one of {', '.join(POLICIES)}")
        if size < 1:
            raise ValueError(f"channel size {size} is not at least 1")
        self._items: deque[Item] = deque()
        self._size, self._drops = size, policy == "drop_oldest"
        self._changed = Condition()
        self._ended = self._cut = False
        self.dropped = 0

    def put(self, item: Item) -> None:
        """Give an item. Raises ``Closed`` after ``cut`` or ``end``, also while waiting for room."""
        with self._changed:
            if not self._drops:
                self._changed.wait_for(lambda: len(self._items) < self._size or self._cut or self._ended)
            if self._cut or self._ended:
                raise Closed
            if len(self._items) == self._size:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._changed.notify_all()

    def end(self) -> None:
        """The giver has no more: what is inside is still handed out, then the taker's loop ends."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def cut(self) -> None:
        """Stop at once: what is inside is thrown away, both sides wake up."""
        with self._changed:
            self._cut = True
            self._items.clear()
            self._changed.notify_all()

    def poll(self) -> Item | None:
        """The next item if there is one: for a taker that must not wait, such as a window."""
        with self._changed:
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def __iter__(self) -> Iterator[Item]:
        """Items as they come, until the channel has ended or was cut."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._cut or self._ended)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
