"""Batches made ahead of their use by worker processes: threads would wait for one another in Python."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import count
from typing import Any, TypeVar

import cv2

_T = TypeVar("_T")
_AHEAD = 2  # batches a worker
_LOOK_EVERY_S = 5.0

_make: Callable[[int], Any]  # in a worker: what it makes


def made_ahead(make: Callable[[int], _T], first: int) -> Iterator[_T]:
    """What ``make`` gives for ``first``, ``first + 1`` and so on, in this order, without end.

    Made by a process on every core but one, as things are at the first batch: workers inherit ``make``
    and all that it reads. Elsewhere than on Linux threads make them. What is made is pickled on its
    way, so let it hold arrays: tensors would go by shared memory, of which containers have little.

    Raises what ``make`` raises, and ``OSError`` for a worker that was killed.
    """
    # torchrun's processes on this machine share its cores.
    workers = max(1, (os.cpu_count() or 2) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1)
    cv2.setNumThreads(1)  # workers inherit OpenCV, but not its threads, and would wait for them
    pool, job = _pool(make, workers)
    waiting: deque[Future[_T]] = deque()
    try:
        with warnings.catch_warnings():
            # Of locks that other threads may hold: a worker calls NumPy and OpenCV, which take none of them.
            warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
            waiting.extend(pool.submit(job, first + index) for index in range(_AHEAD * workers))
        for number in count(first + len(waiting)):
            ready = waiting.popleft().result()
            waiting.append(pool.submit(job, number))
            yield ready
    except BrokenProcessPool as error:
        raise OSError(
            "a process that makes batches was killed: is there enough memory? --resume goes on from the"
            " last checkpoint"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _pool(make: Callable[[int], _T], workers: int) -> tuple[Executor, Callable[[int], _T]]:
    """Workers, and what they are to be given to do."""
    if sys.platform != "linux":
        return ThreadPoolExecutor(workers), make
    fork = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(workers, fork, _begin, (make, os.getpid())), _made


def _begin(make: Callable[[int], Any], run: int) -> None:
    global _make
    _make = make
    # Ctrl-C and a batch system's SIGTERM reach workers, too: the run ends its step, saves, and has them end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    threading.Thread(target=_end_with, args=(run,), daemon=True).start()


def _end_with(run: int) -> None:
    """End when the run says so, or cannot say so any more."""
    while os.getppid() == run:
        told = signal.sigtimedwait([signal.SIGTERM], _LOOK_EVERY_S)
        if told and told.si_pid == run:
            break
    os._exit(1)


def _made(number: int) -> Any:
    return _make(number)
