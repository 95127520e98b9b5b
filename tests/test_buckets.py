"""Batch sizes, and any number of crops through passes of fixed ones, also where memory is short."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engines.buckets import BatchProfile, Buckets, out_of_memory, pack, unpack
from engines.parity import generated_crops

CROPS = generated_crops(32, 11)


@pytest.mark.parametrize("text", ["8", "1:8", "8:1:64", "0:8:64", "1:8:x", "1:64:8", ""])
def test_batch_sizes_that_make_no_sense_are_refused(text):
    with pytest.raises(ValueError, match=r"SMALLEST:OPTIMUM:LARGEST"):
        BatchProfile.parse(text)


def test_batch_sizes_double_up_to_the_largest():
    assert BatchProfile.parse("1:8:64").sizes() == (1, 2, 4, 8, 16, 32, 64)
    assert BatchProfile(1, 8, 40).sizes() == (1, 2, 4, 8, 16, 32, 40)
    assert BatchProfile(1, 1, 1).sizes() == (1,)
    assert BatchProfile(4, 4, 4).sizes() == (4,)
    assert str(BatchProfile(1, 8, 12).halved()) == "1:6:6"
    assert str(BatchProfile(3, 4, 5).halved()) == "3:3:3"


class Passes:
    """Passes that find memory up to ``room`` crops; a row holds the first numbers of its crop."""

    def __init__(self, room: int = 1000) -> None:
        self.room = room
        self.opened: list[int] = []
        self.ran: list[tuple[int, int]] = []
        self.singles = 0

    def open(self, size: int):
        self.opened.append(size)
        if size > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

        def run(crops):
            self.ran.append((size, len(crops)))
            return crops.reshape(len(crops), 32 * 32 * 3)[:, :7].astype(np.float32)

        return run

    def single(self):
        def run(crops):
            self.singles += 1
            return unpack(crops.reshape(1, -1)[:, :7].astype(np.float32), 2)

        return run


def rows_of(points):
    return pack(*map(torch.from_numpy, (points.xy, points.score, points.subject_score))).numpy()


@pytest.mark.parametrize(
    ("count", "ran"),
    [
        (0, []),
        (1, [(1, 1)]),
        (3, [(4, 3)]),
        (8, [(8, 8)]),
        (11, [(8, 8), (4, 3)]),
    ],
)
def test_crops_go_to_the_smallest_batch_that_holds_them(count, ran):
    passes = Passes()
    buckets = Buckets(BatchProfile(1, 4, 8).sizes(), 2, passes.open, passes.single)
    points = buckets(CROPS[:count])
    assert (points.xy.shape, points.score.shape) == ((count, 2, 2), (count, 2))
    assert np.array_equal(rows_of(points), CROPS[:count].reshape(count, 32 * 32 * 3)[:, :7])
    assert passes.ran == ran
    assert buckets.intact


@pytest.mark.parametrize(
    ("room", "ran", "singles", "rest"),
    [(2, [(2, 2)] * 5 + [(1, 1)], 0, "batches of 2"), (0, [], 11, "single crops in eager PyTorch")],
)
def test_out_of_memory_goes_on_with_less_and_says_so_once(caplog, room, ran, singles, rest):
    passes = Passes(room)
    buckets = Buckets((1, 2, 4, 8), 2, passes.open, passes.single)
    for _ in range(2):
        assert np.array_equal(rows_of(buckets(CROPS)), CROPS.reshape(11, -1)[:, :7])
    assert passes.ran == ran * 2
    assert passes.singles == singles * 2
    assert not buckets.intact
    assert caplog.messages == [f"out of GPU memory at batch 8: going on with {rest}"]


def test_other_failures_are_not_taken_for_a_lack_of_memory():
    def fail(size: int):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal"):
        Buckets((1,), 2, fail, Passes().single)(CROPS)


def test_memory_is_recognised_behind_a_failed_capture():
    try:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
    except RuntimeError as error:
        assert out_of_memory(error)
    assert out_of_memory(RuntimeError("Error Code 2: OutOfMemory (Requested size was 9 bytes)"))
    assert not out_of_memory(ValueError("out of memory"))
