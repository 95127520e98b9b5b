"""One batch size as a recorded graph: its buffers, and threads that record at once. Real, but for CUDA."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from engines.parity import generated_crops
from engines.replay import Replay

CPU = torch.device("cpu")
SHAPE = (4, 32, 32, 3)
CROPS = generated_crops(32, 8)


class Recorder:
    """A stand-in for CUDA: while a graph is recorded, ``program`` is; a replay fills the same rows again."""

    def __init__(self) -> None:
        self.work: Callable[[], object] | None = None
        self.programs = self.recording = self.most_recording = 0
        self.modes: set[str] = set()

    def program(self, crops: torch.Tensor) -> torch.Tensor:
        self.programs += 1
        rows = torch.empty(len(crops), 7)
        self.work = lambda: rows.copy_(crops.flatten(1)[:, :7])
        self.work()
        return rows

    @contextmanager
    def graph(self, graph: Any, stream: object, capture_error_mode: str) -> Iterator[None]:
        self.recording += 1
        self.most_recording = max(self.recording, self.most_recording)
        self.modes.add(capture_error_mode)
        yield
        time.sleep(0.05)
        graph.replay = self.work
        self.recording -= 1


@pytest.fixture
def recorder(monkeypatch) -> Recorder:
    recorder, empty = Recorder(), torch.empty
    monkeypatch.setattr(torch, "empty", lambda *shape, pin_memory=False, **how: empty(*shape, **how))
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", SimpleNamespace)
    monkeypatch.setattr(torch.cuda, "graph", recorder.graph)
    return recorder


def replay_of(recorder: Recorder, capturable: bool = True) -> Replay:
    stream: Any = SimpleNamespace(synchronize=lambda: None)
    return Replay(recorder.program, SHAPE, CPU, stream, capturable)


@pytest.mark.parametrize("capturable", [True, False])
def test_rows_are_those_of_the_crops_given(recorder, capturable):
    replay = replay_of(recorder, capturable)
    opened = recorder.programs
    for first, count in ((0, 4), (4, 1), (5, 3), (0, 2)):
        crops = CROPS[first : first + count]
        assert np.array_equal(replay(crops), crops.reshape(count, -1)[:, :7])
    assert recorder.programs - opened == (0 if capturable else 4)
    assert recorder.modes == ({"thread_local"} if capturable else set())


def test_threads_record_one_after_the_other(recorder):
    with ThreadPoolExecutor(4) as pool:
        for opened in [pool.submit(replay_of, recorder) for _ in range(4)]:
            opened.result()
    assert recorder.most_recording == 1
