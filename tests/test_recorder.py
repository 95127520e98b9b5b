"""Recording a live run: times from the clock, segments, what is left out, and disks that are full."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction
from threading import Event

import numpy as np
import pyarrow.parquet as pq
import pytest
from clips import packets
from commands import start_command
from fakes import FakeCamera, disc_frame
from waiting import eventually

from engines.skeleton import FACE68, Skeleton
from tracker import RunInfo, SinkError, export, open_source
from tracker.inference import Shown
from tracker.recorder import Recorder
from tracker.values import Landmarks, Result, Track

INFO = RunInfo(FACE68, "digest", "eager", "fp32")
SOURCE = FakeCamera()


def shown(number, *, connection=1, info=INFO, every_s=0.04, begin_s=100.0):
    """A picture with a face, captured ``every_s`` after the one before."""
    frame = disc_frame([(40, 40, 30)], index=500 + number, size=(80, 60))
    tracks = ()
    if info is not None:
        xy = np.full((68, 2), number % 50, np.float32)
        marks = Landmarks(xy, xy, np.ones(68, np.float32))
        tracks = (Track(1, np.array([0, 0, 9, 9], np.float32), marks, 0.9),)
    result = Result(frame, tracks, FACE68 if info is None else info.skeleton)
    return Shown(result, begin_s + number * every_s, SOURCE, connection, info)


def record(folder, *pictures, data=True):
    """Record pictures one by one, so that none is left out; the ended recorder."""
    recorder = Recorder(folder / "out.mp4", folder / "out.parquet" if data else None)
    recorder.start()
    for each in pictures:
        recorder.offer(each)
        eventually(lambda: not recorder._queue._items)
    recorder.end()
    assert recorder.join(time.monotonic() + 10)
    return recorder.status()


def frames_of(path):
    with open_source(path) as source:
        return list(source)


def test_frames_bear_the_time_of_their_capture(tmp_path):
    gaps = [0, 1, 2, 10, 11]  # where the engine was slow
    status = record(tmp_path, *(shown(number) for number in gaps))
    assert (status.active, status.frames, status.dropped, status.message) == (False, 5, 0, "")
    assert status.path == tmp_path / "out.mp4"
    times = [float(when) for when, _ in packets(tmp_path / "out.mp4", "video")]
    assert times == pytest.approx([number * 0.04 for number in gaps], abs=0.001)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["frame"].to_pylist()[::68] == [0, 1, 2, 3, 4]
    assert table["time_s"].to_pylist()[::68] == pytest.approx([number * 0.04 for number in gaps])
    about = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    assert (about["source"], about["model"], about["runtime"]) == ("fake camera", "digest", "eager")


def test_frames_at_the_same_time_follow_each_other(tmp_path):
    assert record(tmp_path, shown(0), shown(0), shown(1)).frames == 3
    times = [when for when, _ in packets(tmp_path / "out.mp4", "video")]
    assert times[0] < times[1] <= times[0] + Fraction(1, 1000) < times[2]


def test_another_connection_or_model_begins_another_file(tmp_path):
    (tmp_path / "out.2.mp4").write_bytes(b"somebody else's")
    other = RunInfo(Skeleton("other", FACE68.joints, (), ()), "other", "eager", "fp32")
    faster = RunInfo(FACE68, "digest", "compile", "fp32")
    status = record(
        tmp_path,
        *(shown(number) for number in (0, 1)),
        *(shown(number, info=faster) for number in (2, 3)),
        *(shown(number, connection=2) for number in (30, 31, 32)),
        *(shown(number, connection=2, info=other) for number in (33, 34)),
    )
    assert status.frames == 9
    assert status.path == tmp_path / "out.4.mp4"
    counts = {number: len(frames_of(tmp_path / f"out{number}.mp4")) for number in ("", ".3", ".4")}
    assert counts == {"": 4, ".3": 3, ".4": 2}
    assert packets(tmp_path / "out.3.mp4", "video")[0][0] == 0
    table = pq.read_table(tmp_path / "out.3.parquet")
    assert table["time_s"].to_pylist()[::68] == pytest.approx([0, 0.04, 0.08])
    assert (tmp_path / "out.2.mp4").read_bytes() == b"somebody else's"


def test_what_a_killed_recording_left_is_kept(tmp_path):
    (tmp_path / "out.part.mp4").write_bytes(b"an hour of it")
    status = record(tmp_path, shown(0), shown(1))
    assert status.path == tmp_path / "out.2.mp4"
    assert (tmp_path / "out.part.mp4").read_bytes() == b"an hour of it"


def test_no_checksum_of_a_large_source_holds_the_recording_up(tmp_path):
    source = FakeCamera()
    source.path = tmp_path / "there-is-none.mp4"
    record(tmp_path, replace(shown(0), source=source))
    about = pq.read_table(tmp_path / "out.parquet").schema.metadata
    assert (about[b"source"], about[b"source_sha256"]) == (b"fake camera", b"")


def test_pixels_that_are_not_square_stay_so(tmp_path):
    source = FakeCamera()
    source.pixel_aspect = Fraction(16, 11)
    record(tmp_path, replace(shown(0), source=source), data=False)
    with open_source(tmp_path / "out.mp4") as recorded:
        assert recorded.pixel_aspect == Fraction(16, 11)


def test_bare_pictures_are_recorded_within_a_segment_only(tmp_path):
    bare = [shown(number, info=None) for number in range(3)]
    status = record(tmp_path, *bare, shown(5), shown(6, info=None), shown(7, connection=2, info=None))
    assert status.frames == 2
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["out.mp4", "out.parquet"]


def test_nothing_recorded_is_said_and_leaves_no_file(tmp_path):
    status = record(tmp_path, shown(0, info=None))
    assert not status.active
    assert "nothing was recorded" in status.message
    assert list(tmp_path.iterdir()) == []


def test_names_are_refused_before_anything_is_written(tmp_path):
    (tmp_path / "there.mp4").write_bytes(b"")
    with pytest.raises(SinkError, match=r"there\.mp4: exists; choose another name"):
        Recorder(tmp_path / "there.mp4", None)
    for video, data in (("a.png", None), ("a.mkv", None), (None, "a.xml"), (None, None)):
        with pytest.raises(ValueError, match="a name"):
            Recorder(video and tmp_path / video, data and tmp_path / data)


def test_data_alone_can_be_recorded(tmp_path):
    recorder = Recorder(None, tmp_path / "out.csv")
    recorder.start()
    recorder.offer(shown(0))
    recorder.end()
    assert recorder.join(time.monotonic() + 10)
    assert recorder.status().path == tmp_path / "out.csv"
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 69


def test_a_slow_encoder_costs_frames_and_says_so(tmp_path, monkeypatch):
    release = Event()
    write = export.VideoSink.write

    def slow(sink, result):
        release.wait(10)
        write(sink, result)

    monkeypatch.setattr(export.VideoSink, "write", slow)
    recorder = Recorder(tmp_path / "out.mp4", None)
    recorder.start()
    recorder.offer(shown(0))
    time.sleep(0.1)
    begin = time.monotonic()
    for number in range(1, 60):
        recorder.offer(shown(number))
    assert time.monotonic() - begin < 1
    release.set()
    recorder.end()
    assert recorder.join(time.monotonic() + 10)
    status = recorder.status()
    assert (status.frames, status.dropped) == (17, 43)
    assert packets(tmp_path / "out.mp4", "video")[-1][0] == pytest.approx(59 * 0.04, abs=0.001)


@pytest.mark.parametrize("error", [SinkError("out.mp4: cannot be written: No space left"), KeyError("fault")])
def test_a_failure_stops_the_recording_with_one_line_and_keeps_what_was_written(tmp_path, monkeypatch, error):
    write = export.VideoSink.write

    def fail(sink, result):
        if result.frame.index == 30:
            raise error
        write(sink, result)

    monkeypatch.setattr(export.VideoSink, "write", fail)
    status = record(tmp_path, *(shown(number) for number in range(40)))
    assert (status.active, status.frames) == (False, 30)
    assert status.message.startswith("the recording stopped: ")
    assert status.message.endswith("; what was written is kept as out.part.mp4, out.parquet")
    assert "\n" not in status.message
    assert len(frames_of(tmp_path / "out.part.mp4")) == 30
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 30 * 68


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    recorder = Recorder(tmp_path / "file" / "out.mp4", None)
    recorder.start()
    recorder.offer(shown(0))
    assert recorder.join(time.monotonic() + 10)
    assert "cannot be written" in recorder.status().message
    recorder.offer(shown(1))  # nobody minds
    recorder.end()


FULL = """
import resource, sys, time
from dataclasses import replace
from pathlib import Path
import numpy as np
sys.path.insert(0, "tests")
from test_recorder import shown
from tracker.recorder import Recorder
from tracker.values import Frame
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
recorder = Recorder(Path(sys.argv[1]), None)
recorder.start()
noise = np.random.default_rng(0)
for number in range(150):
    each = shown(number)
    frame = Frame(noise.integers(0, 255, (60, 80, 3), np.uint8), number, 0.0, 0)
    recorder.offer(replace(each, result=replace(each.result, frame=frame)))
    time.sleep(0.003)
recorder.end()
assert recorder.join(time.monotonic() + 20)
print(recorder.status().message)
"""


def test_a_disk_that_is_full_keeps_a_file_that_plays(tmp_path):
    pytest.importorskip("resource", reason="limits of the file size are Unix's")
    process = start_command(tmp_path / "out.mp4", program=FULL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "out.mp4: cannot be written: File too large; what was written is kept as out.part.mp4" in out
    assert len(frames_of(tmp_path / "out.part.mp4")) > 10
