"""Batches made ahead: in order, by processes that leave signals to the run and end with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from training.workers import made_ahead


def arrays(number):
    return {"number": np.array(number), "by": os.getpid()}


@pytest.fixture(autouse=True)
def three_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 3)


def test_they_come_in_order_and_from_other_processes():
    made = made_ahead(arrays, 5)
    first = [next(made) for _ in range(20)]
    assert [int(each["number"]) for each in first] == list(range(5, 25))
    workers = {each["by"] for each in first}
    assert os.getpid() not in workers
    assert len(workers) <= 2
    assert {each.pid for each in multiprocessing.active_children()} >= workers
    made.close()
    assert not {each.pid for each in multiprocessing.active_children()} & workers


def test_processes_of_one_run_share_the_cores(monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    before = set(multiprocessing.active_children())
    made = made_ahead(arrays, 0)
    next(made)
    assert len(set(multiprocessing.active_children()) - before) == 1


def test_what_goes_wrong_in_a_worker_is_raised_where_its_batch_is_due():
    def make(number):
        if number == 3:
            raise ValueError("picture 3 is damaged")
        return number

    made = made_ahead(make, 0)
    assert [next(made) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="picture 3 is damaged"):
        next(made)


def test_signals_are_left_to_the_run():
    made = made_ahead(arrays, 0)
    next(made)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, signal.SIGINT)
        # From another process, as a batch system's is.
        subprocess.run(["kill", "-TERM", str(worker.pid)], check=True)
    assert [int(next(made)["number"]) for _ in range(8)] == list(range(1, 9))


def test_a_worker_that_was_killed_is_one_clear_line():
    made = made_ahead(arrays, 0)
    worker = next(made)["by"]
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(OSError, match="was killed: is there enough memory"):
        for _ in range(1000):
            next(made)


def test_workers_end_with_a_run_that_was_killed():
    run = """
import os, signal
from training import workers
workers._LOOK_EVERY_S = 0.05
made = workers.made_ahead(lambda number: os.getpid(), 0)
print(next(made), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    result = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, timeout=60)
    assert result.returncode == -signal.SIGKILL
    worker = int(result.stdout)
    deadline = time.monotonic() + 20
    while running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(worker)


def running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def test_threads_make_them_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    made = made_ahead(arrays, 2)
    assert [int(next(made)["number"]) for _ in range(4)] == [2, 3, 4, 5]
    assert next(made)["by"] == os.getpid()
