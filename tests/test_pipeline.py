from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from fakes import FakeSource, ListSink

from engines.skeleton import FACE68
from tracker.pipeline import Pipeline
from tracker.timing import Stopwatch
from tracker.values import Landmarks, Result, Track


class Step:
    """Finds nothing, after calling ``before``."""

    def __init__(self, before=lambda index: None):
        self.before = before

    def step(self, frame):
        self.before(frame.index)
        return Result(frame, (), FACE68)


class Broken(RuntimeError):
    pass


def fail_at(index):
    def check(each):
        if each == index:
            raise Broken(f"at {index}")

    return check


def no_thread_left():
    deadline = time.monotonic() + 2
    while any(each.name.startswith("kptrack") for each in threading.enumerate()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_every_frame_reaches_every_sink_in_order(tmp_path):
    sinks = [ListSink(tmp_path / "a"), ListSink(tmp_path / "b")]
    pipeline = Pipeline(FakeSource(50), Step, sinks)
    pipeline.start()
    assert pipeline.join()
    assert sinks[0].indices == sinks[1].indices == list(range(50))
    status = pipeline.status()
    assert (status.read, status.done, status.dropped, status.lost) == (50, 50, 0, 0)
    assert not status.running
    assert status.stages["decode"].count == 51
    assert status.fps == pytest.approx(50 / status.seconds)
    assert pipeline.status().seconds == status.seconds


@pytest.mark.parametrize("where", ["source", "build", "step", "sink"])
def test_a_failure_anywhere_stops_everything_and_is_raised(where, tmp_path):
    source = FakeSource(None, fail_at(7) if where == "source" else lambda index: None)
    step = Step(fail_at(7) if where == "step" else lambda index: None)
    sink = ListSink(tmp_path, fail_at(7) if where == "sink" else lambda index: None)

    def build():
        if where == "build":
            raise Broken("at 7")
        return step

    pipeline = Pipeline(source, build, [sink])
    pipeline.start()
    with pytest.raises(Broken, match="at 7"):
        pipeline.join(5)
    assert no_thread_left()
    assert sink.indices == list(range(len(sink.indices)))
    assert len(sink.indices) <= 7


def test_of_two_failures_the_first_is_raised(tmp_path):
    writing = threading.Event()

    def fail_first(index):
        if index == 1:
            assert writing.wait(5)
            raise Broken

    def fail_later(index):
        writing.set()
        assert pipeline._stopping.wait(5)
        raise ZeroDivisionError

    pipeline = Pipeline(FakeSource(None), lambda: Step(fail_first), [ListSink(tmp_path, fail_later)])
    pipeline.start()
    with pytest.raises(Broken):
        pipeline.join(5)


def test_a_frame_with_two_subjects_is_one_frame_with_somebody():
    xy = np.zeros((1, 2), np.float32)
    track = Track(1, np.zeros(4, np.float32), Landmarks(xy, xy, np.ones(1, np.float32)), 0.9)

    class Two(Step):
        def step(self, frame):
            return Result(frame, (track, track) if frame.index else (), FACE68)

    pipeline = Pipeline(FakeSource(4), Two)
    pipeline.start()
    assert pipeline.join(5)
    assert (pipeline.status().done, pipeline.status().with_subject) == (4, 3)


def test_stop_while_everything_is_blocked(tmp_path):
    """A sink that hangs fills the channels; stop must reach the threads that wait for room."""
    release = threading.Event()
    sink = ListSink(tmp_path, lambda index: release.wait(5) and None)
    pipeline = Pipeline(FakeSource(None), Step, [sink])
    pipeline.start()
    time.sleep(0.2)
    assert pipeline.join(0.1) is False
    pipeline.stop()
    release.set()
    assert pipeline.join(2)
    assert pipeline.status().done == len(sink.indices) < 20


def test_what_inference_has_in_hand_is_written_after_a_stop(tmp_path):
    asked, going_on = threading.Event(), threading.Event()

    def wait(index):
        if index == 2:
            asked.set()
            assert going_on.wait(5)

    sink = ListSink(tmp_path / "a")
    pipeline = Pipeline(FakeSource(None), lambda: Step(wait), [sink])
    pipeline.start()
    assert asked.wait(5)
    pipeline.stop()
    going_on.set()
    assert pipeline.join(5)
    assert sink.indices == [0, 1, 2]


def test_stop_ends_a_source_without_end(tmp_path):
    sink = ListSink(tmp_path)
    pipeline = Pipeline(FakeSource(None), Step, [sink])
    pipeline.start()
    time.sleep(0.1)
    pipeline.stop()
    assert pipeline.join(2)
    assert sink.indices == list(range(len(sink.indices)))
    assert pipeline.status().done > 0


def test_a_live_source_drops_what_is_too_much_and_counts_it(tmp_path):
    source = FakeSource(100, lambda index: time.sleep(0.001))
    source.live = True
    sink = ListSink(tmp_path)
    pipeline = Pipeline(source, lambda: Step(lambda index: time.sleep(0.01)), [sink])
    pipeline.start()
    pipeline.join(10)
    status = pipeline.status()
    assert status.dropped > 20
    assert status.dropped + status.done == status.read == 100
    assert sink.indices == sorted(set(sink.indices))
    assert sink.indices[-1] == 99


def test_threads_overlap(tmp_path):
    """Three stages of 10 ms take about 10 ms a frame together."""

    def slow(index):
        time.sleep(0.01)

    pipeline = Pipeline(FakeSource(40, slow), lambda: Step(slow), [ListSink(tmp_path, slow)])
    begin = time.perf_counter()
    pipeline.start()
    pipeline.join()
    assert time.perf_counter() - begin < 0.9


def test_the_tracker_is_built_in_the_thread_that_uses_it():
    threads = []

    def build():
        threads.append(threading.current_thread())
        return Step(lambda index: threads.append(threading.current_thread()))

    pipeline = Pipeline(FakeSource(1), build)
    pipeline.start()
    pipeline.join()
    assert threads[0] is threads[1]
    assert threads[0] is not threading.main_thread()


def test_a_stopwatch_knows_medians_and_leaves_failures_out():
    ticks = iter([0.0, 0.5, 0.0, 0.1])
    watch = Stopwatch(lambda: next(ticks))
    with watch("a"):
        time.sleep(0.01)
    with pytest.raises(Broken), watch("a"):
        raise Broken
    stage = watch.stages()["a"]
    assert stage.count == 1
    assert stage.median_ms == pytest.approx(stage.mean_ms)
    assert 10 <= stage.median_ms < 100
    assert stage.cpu_ms == pytest.approx(500)
