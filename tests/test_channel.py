from __future__ import annotations

import threading
import time

import pytest

from tracker.channel import Channel, Closed


def started(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def test_everything_arrives_in_order():
    channel = Channel[int](2)

    def give():
        for number in range(100):
            channel.put(number)
        channel.end()

    thread = started(give)
    assert list(channel) == list(range(100))
    thread.join(1)
    assert channel.dropped == 0


def test_wait_holds_the_giver_back():
    channel = Channel[int](2)
    given = []

    def give():
        for number in range(5):
            channel.put(number)
            given.append(number)
        channel.end()

    started(give)
    time.sleep(0.1)
    assert given == [0, 1]
    items = iter(channel)
    assert next(items) == 0
    time.sleep(0.1)
    assert given == [0, 1, 2]
    assert list(items) == [1, 2, 3, 4]


def test_drop_oldest_never_waits_and_counts():
    channel = Channel[int](2, "drop_oldest")
    for number in range(10):
        channel.put(number)
    channel.end()
    assert list(channel) == [8, 9]
    assert channel.dropped == 8


@pytest.mark.parametrize("way", ["cut", "end"])
def test_a_blocked_giver_wakes_up(way):
    channel = Channel[int](1)
    channel.put(0)
    raised = []

    def give():
        try:
            channel.put(1)
        except Closed:
            raised.append(True)

    thread = started(give)
    time.sleep(0.05)
    getattr(channel, way)()
    thread.join(1)
    assert raised == [True]


def test_a_blocked_taker_wakes_up():
    channel = Channel[int](1)
    taken = []
    thread = started(lambda: taken.extend(channel))
    time.sleep(0.05)
    channel.cut()
    thread.join(1)
    assert not thread.is_alive()
    assert taken == []


def test_cut_throws_away_and_end_does_not():
    ended, cut = Channel[int](3), Channel[int](3)
    for channel in (ended, cut):
        channel.put(1)
    ended.end()
    cut.cut()
    assert (list(ended), list(cut)) == ([1], [])
    with pytest.raises(Closed):
        ended.put(2)


def test_who_must_not_wait_polls():
    channel = Channel[int](1, "drop_oldest")
    assert channel.poll() is None
    channel.put(1)
    channel.put(2)
    assert (channel.poll(), channel.poll(), channel.dropped) == (2, None, 1)
    channel.put(3)
    channel.end()
    assert (channel.poll(), channel.poll()) == (3, None)


def test_unknown_policies_and_sizes_are_refused():
    with pytest.raises(ValueError, match="policy 'newest' is not one of wait, drop_oldest"):
        Channel[int](1, "newest")
    with pytest.raises(ValueError, match="size 0"):
        Channel[int](0)
