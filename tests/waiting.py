"""Waiting for what other threads do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def eventually(check: Callable[[], Found], timeout_s: float = 5.0) -> Found:
    """What ``check`` gives as soon as it is true."""
    deadline = time.monotonic() + timeout_s
    while not (found := check()):
        assert time.monotonic() < deadline, "did not come to be"
        time.sleep(0.005)
    return found
