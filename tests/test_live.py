"""A whole live session with fakes: engines that come, go and fail, settings, switching, and its end."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from clips import packets
from fakes import FakeCamera, FakeEngine, FakeSource
from waiting import eventually

from engines.engine import BuildCancelled, BuildError
from engines.skeleton import Skeleton
from tracker import SinkError, TrackerSettings, sources
from tracker.live import LiveSession
from tracker.meters import Latency, Rate

SETTINGS = TrackerSettings(detector="center")


class Display:
    """Takes every picture that a session gives, in a thread."""

    def __init__(self, session):
        self.session, self.seen = session, []
        self.thread = threading.Thread(target=self._run, name="kptrack display", daemon=True)
        self.thread.start()

    def _run(self):
        for shown in self.session.results():
            self.session.mark_shown(shown)
            self.seen.append(shown)

    def until(self, check):
        """Wait for a picture of which ``check`` is true; it, and no older one."""
        return eventually(lambda: next((shown for shown in self.seen[-1:] if check(shown)), None))

    def more(self, count=5):
        """Wait for so many pictures more."""
        before = len(self.seen)
        eventually(lambda: len(self.seen) >= before + count)


@contextmanager
def running(session):
    """The session, started and displayed; stopped at the end, with no thread left."""
    display = Display(session)
    session.start()
    try:
        yield display
    finally:
        session.stop()
        assert session.join(5)
        display.thread.join(1)
    assert not kptrack_threads()


def kptrack_threads():
    return [each.name for each in threading.enumerate() if each.name.startswith("kptrack")]


@pytest.fixture
def fake_sources(monkeypatch):
    """Sources that are opened by name: put makers into the table."""
    table = {"0": FakeCamera}
    opened = []

    def open_source(spec, **_):
        opened.append(table[spec]())
        return opened[-1]

    monkeypatch.setattr(sources, "open_source", open_source)
    table["opened"] = opened
    return table


def make(build=FakeEngine, source="0", **options):
    return LiveSession(source, build, settings=SETTINGS, **options)


def ids(display):
    return {track.id for shown in display.seen for track in shown.result.tracks}


def test_pictures_arrive_with_landmarks_and_their_age(fake_sources):
    session = make(model="digest")
    with running(session) as display:
        eventually(lambda: len(display.seen) > 20)
        status = session.status()
    assert (status.state, status.message, status.source) == ("live", "", "fake camera")
    assert (status.width, status.height, status.source_fps) == (160, 120, 25)
    assert status.captured >= status.processed >= 20
    assert status.fps_in > 20
    assert 0 < status.latency_p50_ms <= status.latency_p95_ms < 200
    assert status.run_latency_p95_ms < 200
    assert (status.engine.runtime, status.engine.describe, status.engine.building) == ("fake", "fake", False)
    assert {"read", "locate", "infer", "smooth"} <= set(status.stages)
    tracked = [shown for shown in display.seen if shown.info]
    assert (tracked[0].info.model, tracked[0].info.runtime) == ("digest", "fake")
    assert ids(display) == {1}
    indices = [shown.result.frame.index for shown in display.seen]
    assert indices == sorted(set(indices))
    times = [shown.result.frame.time_s for shown in display.seen]
    assert np.diff(times).min() > 0.005
    assert session.status().seconds == session.status().seconds
    assert fake_sources["opened"][0].closed


def test_the_bare_picture_is_shown_until_the_engine_is_ready(fake_sources):
    ready = threading.Event()

    def build():
        assert ready.wait(5)
        return FakeEngine()

    session = make(build)
    with running(session) as display:
        display.more()
        assert session.status().engine.building
        assert session.status().engine.describe == ""
        assert all(shown.info is None and not shown.result.tracks for shown in display.seen)
        assert session.status().run_latency_p50_ms is None
        ready.set()
        display.until(lambda shown: shown.info)
        assert not session.status().engine.building


def test_a_slow_engine_costs_frames_and_not_freshness(fake_sources):
    class Slow(FakeEngine):
        def __call__(self, crops):
            time.sleep(0.2)
            return super().__call__(crops)

    fake_sources["0"] = lambda: FakeCamera(every_s=1 / 30)
    session = make(Slow)
    with running(session):
        time.sleep(2)
        status = session.status()
    assert status.fps_in > 20
    assert status.fps_processed < 6
    assert status.dropped["infer"] > 15
    assert status.run_latency_p50_ms <= 300
    assert status.run_latency_p95_ms <= 400  # other programs run beside the tests


def test_who_polls_gets_the_newest(fake_sources):
    session = make()
    session.start()
    assert session.latest() is None or session.latest().result
    eventually(lambda: session.status().processed > 10)
    first = eventually(session.latest)
    time.sleep(0.1)
    second = session.latest()
    assert second.result.frame.index > first.result.frame.index + 1
    session.mark_shown(second)
    session.mark_shown(second)
    status = session.status()
    assert status.shown == 1
    assert status.dropped["display"] > 5
    session.stop()
    assert session.join(5)
    last = session.latest()
    assert session.latest() is last


class Counted(FakeEngine):
    """Knows how many of them are open."""

    open = 0

    def __init__(self, name="counted"):
        super().__init__()
        self.describe = name
        Counted.open += 1

    def close(self):
        Counted.open -= 1


def test_another_engine_takes_over_and_ids_go_on(fake_sources):
    Counted.open = 0
    session = make(lambda: Counted("one"), better=lambda report: Counted("two"))
    with running(session) as display:
        eventually(lambda: session.status().engine.describe == "two")
        display.until(lambda shown: shown.info)
        release = threading.Event()

        def slow():
            assert release.wait(5)
            return Counted("three")

        session.swap_engine(slow)
        display.more(10)  # the picture goes on
        assert session.status().engine.building
        release.set()
        eventually(lambda: session.status().engine.describe == "three")
        display.more()
        assert ids(display) == {1}
        eventually(lambda: Counted.open == 1)
    assert Counted.open == 0


class Build:
    """A slow build, as a test lets it go on: phases are told one by one, and the answers are kept."""

    def __init__(self, make=FakeEngine):
        self._make, self._go = make, threading.Semaphore(0)
        self.answers = []

    def step(self):
        """Let it tell the next of three phases, and after them let it be done."""
        self._go.release()

    def __call__(self, report):
        for phase, share in (("exporting", None), ("timing", 0.0), ("timing", 0.5)):
            self.answers.append(report(phase, share))
            if not self.answers[-1]:
                raise BuildCancelled
            assert self._go.acquire(timeout=5)
        return self._make()


def test_a_slow_build_tells_how_far_it_is_and_takes_over(fake_sources):
    build = Build(lambda: Counted("better"))
    session = make(lambda: Counted("quick"), better=build)

    def stage():
        engine = session.status().engine
        return engine.describe, engine.building, engine.phase, engine.share

    with running(session) as display:
        for phase, share in (("exporting", None), ("timing", 0.0), ("timing", 0.5)):
            eventually(lambda seen=(phase, share): stage() == ("quick", True, *seen))
            display.more(10)  # the picture goes on, with landmarks
            assert display.seen[-1].info is not None
            build.step()
        eventually(lambda: stage() == ("better", False, "", None))
        assert ids(display) == {1}


def test_a_build_is_cancelled(fake_sources):
    build = Build()
    session = make(lambda: Counted("quick"), better=build)
    with running(session) as display:
        eventually(lambda: session.status().engine.phase == "exporting")
        session.cancel_build()
        engine = session.status().engine
        assert (engine.describe, engine.building, engine.phase, engine.failure) == ("quick", False, "", "")
        build.step()
        eventually(lambda: build.answers == [True, False])
        display.more()
        session.cancel_build()  # of nothing
        assert session.status().engine.describe == "quick"
        assert session.status().engine.failure == ""


@pytest.mark.parametrize("how", ["another engine", "stop"])
def test_a_build_that_is_not_wanted_any_more_ends(fake_sources, how):
    build = Build()
    session = make(lambda: Counted("quick"), better=build)
    with running(session):
        eventually(lambda: session.status().engine.phase == "exporting")
        if how == "stop":
            session.stop()
        else:
            session.swap_engine(lambda: Counted("other"))
            eventually(lambda: session.status().engine.describe == "other")
            assert session.status().engine.phase == ""
        build.step()
        eventually(lambda: build.answers == [True, False])
    assert session.status().engine.failure == ""
    assert session.status().engine.error is None


def test_a_build_that_fails_leaves_the_quick_engine(fake_sources):
    def fail(report):
        report("exporting", None)
        raise BuildError("TensorRT builds no engine")

    session = make(better=fail)
    with running(session) as display:
        engine = eventually(lambda: session.status().engine if session.status().engine.failure else None)
        assert (engine.describe, engine.building, engine.phase) == ("fake", False, "")
        assert engine.failure == "TensorRT builds no engine"
        display.more()


def test_what_was_asked_for_later_is_not_replaced_by_a_better_engine_of_before(fake_sources):
    ready, started = threading.Event(), threading.Event()

    def other():
        started.set()
        assert ready.wait(5)
        return Counted("asked for later")

    built = []
    session = make(better=lambda report: built.append(1) or Counted("better"))
    real = session._inference.improve

    def late(worker, better):
        session.swap_engine(other)
        assert started.wait(5)
        real(worker, better)
        ready.set()

    session._inference.improve = late
    with running(session):
        eventually(lambda: session.status().engine.describe == "asked for later")
    assert not built


def test_an_engine_of_another_skeleton_begins_with_new_ids(fake_sources):
    class Other(FakeEngine):
        skeleton = Skeleton("other", FakeEngine.skeleton.joints, (), ())

    session = make()
    with running(session) as display:
        eventually(lambda: ids(display) == {1})
        session.swap_engine(Other)
        eventually(lambda: ids(display) == {1, 2})
        assert display.seen[-1].result.skeleton.name == "other"


def test_of_many_engines_asked_for_the_last_one_wins(fake_sources):
    Counted.open = 0
    session = make()
    with running(session):
        for number in range(20):
            session.swap_engine(lambda number=number: Counted(str(number)))
        eventually(lambda: session.status().engine.describe == "19")
        eventually(lambda: Counted.open == 1)
    assert Counted.open == 0


def test_an_engine_that_cannot_be_built_leaves_the_old_one(fake_sources):
    def fail():
        raise ValueError("no such\nmodel")

    session = make()
    with running(session) as display:
        eventually(lambda: session.status().engine.describe)
        session.swap_engine(fail)
        engine = eventually(lambda: session.status().engine if session.status().engine.failure else None)
        assert (engine.failure, engine.describe, engine.building) == ("no such model", "fake", False)
        assert isinstance(engine.error, ValueError)
        display.more()
        assert display.seen[-1].result.tracks
        session.swap_engine(FakeEngine)
        eventually(lambda: session.status().engine.failure == "")


def test_an_engine_that_raises_leaves_the_picture(fake_sources):
    class Broken(FakeEngine):
        def __call__(self, crops):
            if len(self.calls) > 5:
                raise RuntimeError("out of memory")
            return super().__call__(crops)

    session = make(Broken)
    with running(session) as display:
        eventually(lambda: session.status().engine.failure == "RuntimeError: out of memory")
        assert session.status().engine.describe == ""
        display.more()
        assert display.seen[-1].info is None
        session.swap_engine(FakeEngine)
        display.until(lambda shown: shown.info)


def test_settings_are_followed_at_once(fake_sources):
    session = make()
    with running(session) as display:
        eventually(lambda: ids(display) == {1})
        assert display.seen[-1].result.frame.image[60, 60].any()
        session.set_mirror(True)
        mirrored = display.until(lambda shown: not shown.result.frame.image[60, 60].any())
        assert mirrored.result.frame.image[60, 99].any()
        session.set_settings(TrackerSettings(min_score=0.95, detector="center"))
        display.until(lambda shown: not shown.result.tracks)
        session.set_settings(TrackerSettings(min_score=0.5, detector="center", smooth="none"))
        marks = display.until(lambda shown: shown.result.tracks).result.tracks[0].landmarks
        assert np.array_equal(marks.xy, marks.xy_raw)


def test_a_detector_that_does_not_suit_is_refused(fake_sources):
    class Cat(FakeEngine):
        skeleton = Skeleton("cat", FakeEngine.skeleton.joints, (), ())

    haar = TrackerSettings(detector="haar")
    session = make(Cat)
    with running(session):
        eventually(lambda: session.status().engine.describe)
        with pytest.raises(ValueError, match="'haar' does not find cat"):
            session.set_settings(haar)
        session.swap_engine(FakeEngine)
        eventually(lambda: session.status().engine.describe and not session.status().engine.building)
        session.set_settings(haar)
        session.swap_engine(Cat)  # refused while the old one still runs
        eventually(lambda: "'haar' does not find cat" in session.status().engine.failure)
        assert session.status().engine.describe == "fake"


def test_a_source_that_comes_back_brings_new_ids(fake_sources):
    session = make()
    with running(session) as display:
        eventually(lambda: ids(display) == {1})
        session.reconnect()
        again = display.until(lambda shown: shown.connection == 2 and shown.result.tracks)
        assert again.result.tracks[0].id == 1


def test_a_source_is_switched_while_the_engine_stays(fake_sources):
    fake_sources["1"] = lambda: FakeSource(None, lambda index: time.sleep(0.01))
    session = make()
    with running(session) as display:
        display.until(lambda shown: shown.info)
        session.switch_source("1")
        small = display.until(lambda shown: shown.source.name == "fake" and shown.info)
        assert small.result.frame.image.shape == (24, 32, 3)
        assert fake_sources["opened"][0].closed


def test_switching_200_times_leaks_nothing(fake_sources, tmp_path):
    fake_sources["1"] = lambda: FakeSource(3)
    fake_sources["file"] = lambda: Handle(tmp_path)
    Counted.open = 0

    class Handle(FakeCamera):
        def __init__(self, folder):
            super().__init__()
            self._file = (folder / "open").open("w")

        def close(self):
            self._file.close()

    session = make(Counted)
    handles = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else None
    with running(session) as display:
        for number in range(200):
            session.switch_source(("0", "1", "file")[number % 3])
            session.swap_engine(Counted)
            if number % 5 == 0:
                display.more(1)
        eventually(lambda: not session.status().engine.building)
    assert Counted.open == 0
    if handles is not None:
        assert len(os.listdir("/proc/self/fd")) == handles


def test_stopping_while_an_engine_is_built_does_not_wait_for_it(fake_sources):
    release, closed = threading.Event(), threading.Event()

    class Late(FakeEngine):
        def close(self):
            closed.set()

    def build():
        release.wait(5)
        return Late()

    session = make(build)
    display = Display(session)
    session.start()
    eventually(lambda: display.seen)
    session.stop()
    begin = time.monotonic()
    assert not session.join(0.2)
    assert time.monotonic() - begin < 1
    display.thread.join(1)
    assert not display.thread.is_alive()
    release.set()
    assert session.join(5)
    assert closed.is_set()


def test_a_session_may_be_stopped_early_twice_and_unstarted(fake_sources):
    session = make()
    session.stop()
    session.stop()
    assert session.join(1)
    assert list(session.results()) == []
    session = make()
    session.start()
    session.stop()
    session.switch_source("0")
    session.swap_engine(FakeEngine)
    assert session.join(5)
    assert not kptrack_threads()


def test_a_recording_goes_on_after_a_break_and_is_whole_at_the_end(fake_sources, tmp_path):
    session = make(model="digest")
    with running(session):
        session.start_recording(tmp_path / "out.mp4", tmp_path / "out.parquet")
        with pytest.raises(ValueError, match="a recording is running already"):
            session.start_recording(tmp_path / "other.mp4")
        eventually(lambda: session.status().recording.frames > 10)
        session.reconnect()
        eventually(lambda: session.status().recording.path == tmp_path / "out.2.mp4")
        session.stop_recording()
        first = eventually(lambda: None if session.status().recording.active else session.status().recording)
        assert first.message == ""
        session.start_recording(None, tmp_path / "more.csv")
        eventually(lambda: session.status().recording.frames > 3)
    recording = session.status().recording
    assert (recording.active, recording.path, recording.message) == (False, tmp_path / "more.csv", "")
    counts = [len(packets(tmp_path / name, "video")) for name in ("out.mp4", "out.2.mp4")]
    assert sum(counts) == first.frames
    table = pq.read_table(tmp_path / "out.2.parquet")
    assert set(table["track_id"].to_pylist()) == {1}
    assert table["time_s"][0].as_py() == 0


def test_a_recording_that_begins_after_the_end_is_over(fake_sources, tmp_path):
    session = make()
    session.stop()
    session.start_recording(tmp_path / "out.mp4")
    assert session.join(5)
    assert not session.status().recording.active
    assert list(tmp_path.iterdir()) == []


def test_times_go_on_where_a_source_begins_again_and_what_was_abandoned_comes_to_nothing():
    session = make()
    source, times = FakeCamera(), []
    picture = next(iter(source))  # bears the same time again and again
    for connection in (1, 1, 2):
        session._take(picture, source, connection)
        times.append(session.latest().result.frame.time_s)
        time.sleep(0.002)
    assert np.diff(times).min() > 0
    newest = session.latest()
    session._take(picture, source, 1)  # of a reader that was abandoned
    assert session.latest() is newest
    assert session.status().captured == 3


def test_a_recording_is_closed_though_the_source_hangs(fake_sources, tmp_path):
    release = threading.Event()
    fake_sources["0"] = lambda: FakeCamera(before=lambda index: index == 20 and release.wait(10))
    session = make()
    display = Display(session)
    session.start_recording(tmp_path / "out.mp4")
    session.start()
    eventually(lambda: session.status().captured == 20)
    session.stop()
    assert not session.join(0.5)
    display.thread.join(1)
    assert not session.status().recording.active
    assert (tmp_path / "out.mp4").exists()
    release.set()
    assert session.join(5)


def test_snapshots(fake_sources, tmp_path):
    session = make()
    path = tmp_path / "a.png"
    with pytest.raises(SinkError, match="no picture yet"):
        session.snapshot(path)
    with running(session) as display:
        eventually(lambda: ids(display))
        session.snapshot(path)
        assert cv2.imread(str(path)).shape == (120, 160, 3)
        with pytest.raises(SinkError, match="exists"):
            session.snapshot(path)
        with pytest.raises(ValueError, match=r"a\.mp4: choose a name that ends in \.jpg"):
            session.snapshot(tmp_path / "a.mp4")


def test_rates_and_latencies_have_a_memory_of_some_seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    rate, latency = Rate(), Latency()
    assert rate.per_second() == 0
    assert latency.recent_ms() == latency.run_ms() == (None, None)
    for number in range(100):
        now[0] += 0.1
        rate.tick()
        latency.add(number, of_run=number >= 50)
    assert rate.per_second() == pytest.approx(10, abs=0.5)
    assert latency.recent_ms() == pytest.approx((49.5, 94), abs=1)
    assert latency.run_ms() == pytest.approx((75, 97.5), abs=1)
    for _ in range(12):  # slower for six seconds: the rate is that of the last three
        now[0] += 0.5
        rate.tick()
        latency.add(500, of_run=False)
    assert rate.per_second() == pytest.approx(2, abs=0.5)
    assert latency.recent_ms() == pytest.approx((83, 500), abs=3)  # 40 of the 100, and these
    now[0] += 60
    assert rate.per_second() == 0
    assert latency.recent_ms() == (None, None)
    assert latency.run_ms()[0] == pytest.approx(75, abs=1)
    latency.add(1e9, of_run=True)
    assert rate.count == 112


def test_a_rate_can_be_read_while_it_ticks():
    rate = Rate()
    read = []

    class Times(deque):
        def append(self, time_s):
            read.append(rate.per_second())
            super().append(time_s)
            read.append(rate.per_second())

    rate._times_s = Times()
    for _ in range(5):
        rate.tick()
    assert read == pytest.approx([0, 0, 0, 2, 2, 4, 4, 6, 6, 8], abs=0.01)
