from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from clips import packets, picture, write_clip
from fakes import SHAPE

from engines.engine import MissingCapability
from engines.skeleton import FACE68
from tracker import records
from tracker.config import VideoSettings
from tracker.export import VideoSink, open_data, open_sink
from tracker.overlay import Overlay
from tracker.records import COLUMNS, RunInfo
from tracker.sinks import SinkError
from tracker.sources import open_source
from tracker.values import Landmarks, Result, Track

PLAIN = Overlay(parts=())
INFO = RunInfo(FACE68, model="digest", runtime="eager", precision="fp32")


def result_of(frame, ids=(), score=0.75):
    tracks = []
    for number in ids:
        raw = (SHAPE * 20 + (30, 20)).astype(np.float32)
        marks = Landmarks(raw + 0.5, raw, np.full(68, score, np.float32))
        box = np.array([*marks.xy.min(0), *marks.xy.max(0)], np.float32)
        tracks.append(Track(number, box, marks, 0.625))
    return Result(frame, tuple(tracks), FACE68)


def convert(path, out, overlay=PLAIN, video=None, ids=(), **limits):
    """A clip through a sink; the sink, closed."""
    with open_source(path, **limits) as source, open_sink(out, source, overlay, video) as sink:
        for frame in source:
            sink.write(result_of(frame, ids))
    return sink


def times(path):
    return [time_s for time_s, _ in packets(path, "video")]


def first_frames(path, count=1):
    with open_source(path, max_frames=count) as source:
        return [frame.image for frame in source]


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25), Fraction(60)])
def test_timestamps_of_every_rate_are_kept_exactly(tmp_path, rate):
    path = write_clip(tmp_path / "a.mp4", rate=rate, count=40)
    convert(path, tmp_path / "b.mp4")
    assert times(tmp_path / "b.mp4") == times(path)


def test_variable_frame_rate_is_kept_exactly(tmp_path):
    pts = [0, 3, 4, 50, 51, 52, 130, 131, 300]
    path = write_clip(tmp_path / "a.mp4", pts=pts, time_base=Fraction(1, 90), rate=Fraction(30), audio="aac")
    convert(path, tmp_path / "b.mp4")
    assert times(tmp_path / "b.mp4") == [Fraction(each, 90) for each in pts]


def test_pictures_keep_their_colours_and_players_get_what_they_want(tmp_path):
    path = write_clip(tmp_path / "a.mp4", size=(64, 48), count=5)
    convert(path, tmp_path / "b.mp4")
    off = np.abs(first_frames(tmp_path / "b.mp4")[0].astype(int) - first_frames(path)[0])
    assert np.median(off) <= 3
    with av.open(str(tmp_path / "b.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range) == (1, 1)


def test_sound_is_copied_packet_by_packet(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=50, audio="aac")
    sink = convert(path, tmp_path / "b.mp4")
    assert len(packets(path, "audio")) > 80
    assert packets(tmp_path / "b.mp4", "audio") == packets(path, "audio")
    assert sink.notes == []


@pytest.mark.parametrize("codec", ["aac", "mp2"])
def test_sound_that_changes_its_channels_and_rate_goes_on(tmp_path, codec):
    parts = [
        write_clip(tmp_path / f"{number}.ts", count=50, audio=codec, layout=layout, audio_rate=rate)
        for number, (layout, rate) in enumerate((("mono", 48_000), ("stereo", 44_100), ("mono", 48_000)))
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    convert(path, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        seconds = sum(frame.samples for frame in frames) / stream.rate
        assert seconds == pytest.approx(6, abs=0.2)
        loud = [float(np.abs(frame.to_ndarray()).max()) > 0.1 for frame in frames]
    assert sum(loud) > 0.95 * len(loud)


def test_sound_that_mp4_does_not_take_becomes_aac_and_is_said(tmp_path):
    path = write_clip(tmp_path / "a.mkv", count=50, audio="pcm_s16le")
    sink = convert(path, tmp_path / "b.mp4")
    assert sink.notes == ["sound: pcm_s16le re-encoded to AAC, MP4 does not take it"]
    with av.open(str(tmp_path / "b.mp4")) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name == "aac"
        samples = np.concatenate([each.to_ndarray()[0] for each in container.decode(stream)])
    assert len(samples) / 48_000 == pytest.approx(2, abs=0.1)
    spectrum = np.abs(np.fft.rfft(samples[4800:52800]))
    assert spectrum.argmax() == pytest.approx(440, abs=2)


def test_mp3_is_copied(tmp_path):
    path = write_clip(tmp_path / "a.mkv", count=50, audio="libmp3lame")
    sink = convert(path, tmp_path / "b.mp4")
    assert sink.notes == []
    assert [data for _, data in packets(tmp_path / "b.mp4", "audio")] == [
        data for _, data in packets(path, "audio")
    ]


def test_sound_can_be_left_out(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=5, audio="aac")
    convert(path, tmp_path / "b.mp4", video=VideoSettings(audio="none"))
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert [each.type for each in container.streams] == ["video"]


def test_a_trim_begins_at_zero_with_its_sound_beside_it(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=100, audio="aac", gop=30)
    convert(path, tmp_path / "b.mp4", start_s=1.2, end_s=2.4)
    assert times(tmp_path / "b.mp4") == [Fraction(index, 25) for index in range(30)]
    sound = {data: time_s for time_s, data in packets(path, "audio")}
    trimmed = packets(tmp_path / "b.mp4", "audio")
    assert all(sound[data] - time_s == Fraction(6, 5) for time_s, data in trimmed[1:-1])
    assert trimmed[0][0] < 0.03
    assert 1.15 < trimmed[-1][0] < 1.2


def test_sound_of_a_trim_that_becomes_aac_begins_with_its_pictures(tmp_path):
    path = write_clip(tmp_path / "a.mkv", count=60, audio="pcm_s16le", audio_rate=6000)
    convert(path, tmp_path / "b.mp4", start_s=0.8, end_s=1.6)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.audio[0].rate == 48_000  # AAC has no 6000
    times_s = [float(time_s) for time_s, _ in packets(tmp_path / "b.mp4", "audio")]
    assert times_s[0] == pytest.approx(0, abs=0.2)  # a packet of PCM is as long
    assert times_s[-1] == pytest.approx(0.8, abs=0.2)


def test_a_run_that_is_stopped_keeps_only_the_sound_of_its_pictures(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=100, audio="aac")
    with open_source(path) as source, open_sink(tmp_path / "b.mp4", source, PLAIN) as sink:
        frames = iter(source)
        for _ in range(10):
            sink.write(result_of(next(frames)))
    assert packets(tmp_path / "b.mp4", "audio")[-1][0] < 0.4


@pytest.mark.parametrize("rotation", [90, 180])
def test_what_lay_on_its_side_is_written_upright(tmp_path, rotation):
    path = write_clip(tmp_path / "a.mp4", count=3, rotation=rotation)
    convert(path, tmp_path / "b.mp4")
    upright = first_frames(path)[0]
    with open_source(tmp_path / "b.mp4") as source:
        assert source.rotation == 0
        assert (source.height, source.width) == upright.shape[:2]
    assert np.median(np.abs(first_frames(tmp_path / "b.mp4")[0].astype(int) - upright)) <= 3


@pytest.mark.parametrize(("size", "wanted"), [((63, 47), (64, 48)), ((8, 8), (8, 8)), ((1, 3), (2, 4))])
def test_odd_and_tiny_sizes_are_made_even(tmp_path, size, wanted):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), picture(*size, 0)[..., ::-1])
    convert(path, tmp_path / "b.mp4")
    (image,) = first_frames(tmp_path / "b.mp4")
    assert image.shape == (wanted[1], wanted[0], 3)


def test_pixels_that_are_not_square_stay_so(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(picture(64, 48, 0), "rgb24")))
        output.mux(stream.encode(None))
    convert(path, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 11)


def boxes_of(path):
    """Names of the top-level boxes of an MP4, in order."""
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size
    return names


def test_a_closed_file_is_an_ordinary_mp4_and_faststart_puts_the_index_first(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=60, audio="aac")
    convert(path, tmp_path / "b.mp4")
    names = boxes_of(tmp_path / "b.mp4")
    assert "moof" not in names
    assert names.index("mdat") < names.index("moov")
    convert(path, tmp_path / "c.mp4", video=VideoSettings(faststart=True))
    names = boxes_of(tmp_path / "c.mp4")
    assert names.index("moov") < names.index("mdat")
    assert times(tmp_path / "c.mp4") == times(path)
    assert packets(tmp_path / "c.mp4", "audio") == packets(path, "audio")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "c.mp4"]


def test_an_index_that_cannot_be_moved_leaves_one_file(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", count=5)

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tracker.export.os.replace", fail)
    with pytest.raises(SinkError, match="No space left on device"):
        convert(path, tmp_path / "b.mp4", video=VideoSettings(faststart=True))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.mp4", "b.part.mp4"]


def test_a_disk_that_is_full_at_the_end_leaves_no_file_open(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "a.mp4", count=5)

    def full(sink):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(VideoSink, "_flush", full)
    with open_source(clip) as source:
        sink = open_sink(tmp_path / "b.mp4", source, PLAIN)
        for frame in source:
            sink.write(result_of(frame))
        with pytest.raises(SinkError, match="No space left on device"):
            sink.close()
    assert not [each for each in Path("/proc/self/fd").iterdir() if "b.part.mp4" in os.path.realpath(each)]


def test_hevc_is_tagged_for_players(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=10)
    convert(path, tmp_path / "b.mp4", video=VideoSettings(codec="hevc"))
    with av.open(str(tmp_path / "b.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.codec_tag) == ("hevc", "hvc1")
    assert times(tmp_path / "b.mp4") == times(path)


def test_nvenc_without_a_gpu_is_a_missing_capability(tmp_path, monkeypatch):
    def no_gpu(*args):
        raise av.error.ExternalError(1, "no device")

    monkeypatch.setattr(av.CodecContext, "create", no_gpu)
    path = write_clip(tmp_path / "a.mp4", count=2)
    with open_source(path) as source, pytest.raises(MissingCapability, match="choose --codec h264"):
        open_sink(tmp_path / "b.mp4", source, video=VideoSettings(codec="h264_nvenc"))
    assert not (tmp_path / "b.part.mp4").exists()


WRITER = """
import sys, time
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
from test_export import PLAIN, result_of
from tracker.export import open_sink
from tracker.sources import open_source
with open_source({path!r}) as source, open_sink({out!r}, source, PLAIN) as sink:
    for frame in source:
        sink.write(result_of(frame))
        if frame.index == 79:
            print("written", flush=True)
            time.sleep(60)
"""


def test_a_killed_run_leaves_a_file_that_plays(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=100, audio="aac")
    here = Path(__file__).resolve().parent
    script = WRITER.format(
        root=str(here.parent), tests=str(here), path=str(path), out=str(tmp_path / "b.mp4")
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "b.mp4").exists()
    with open_source(tmp_path / "b.part.mp4") as source:
        seen = [frame.time_s for frame in source]
    # All but the last half second and what the encoder holds.
    assert len(seen) >= 80 - 13 - 10
    assert seen == pytest.approx([index / 25 for index in range(len(seen))])
    assert packets(tmp_path / "b.part.mp4", "audio")


def test_an_aborted_run_keeps_a_whole_part_and_no_name(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=20, audio="aac")
    with (
        pytest.raises(ZeroDivisionError),
        open_source(path) as source,
        open_sink(tmp_path / "b.mp4", source, PLAIN) as sink,
    ):
        for frame in source:
            sink.write(result_of(frame))
            if frame.index == 11:
                raise ZeroDivisionError
    assert not (tmp_path / "b.mp4").exists()
    assert len(times(tmp_path / "b.part.mp4")) == 12


def test_nothing_written_is_no_file(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=2)
    with open_source(path) as source:
        with pytest.raises(SinkError, match="no frame was written"):
            open_sink(tmp_path / "b.mp4", source).close()
        with pytest.raises(SinkError, match="the output is the input itself"):
            open_sink(path, source)
        with pytest.raises(ValueError, match=r"choose a name that ends in \.mp4"):
            open_sink(tmp_path / "b.xyz", source)
        (tmp_path / "link.mp4").hardlink_to(path)
        for other_name in (tmp_path / "link.mp4", tmp_path / ".." / tmp_path.name / "a.mp4"):
            with pytest.raises(SinkError, match="the output is the input itself"):
                open_sink(other_name, source)
        (tmp_path / "link.mp4").unlink()
    part = path.rename(tmp_path / "a.part.mp4")
    with open_source(part) as source, pytest.raises(SinkError, match="the output is the input itself"):
        open_sink(path, source)
    part.rename(path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp4"]


FULL = """
import resource, sys
sys.path[:0] = [{root!r}, {tests!r}]
from test_export import INFO, PLAIN, result_of
from tracker.export import VideoSink, open_data, open_sink
from tracker.sinks import SinkError
from tracker.sources import open_source
with open_source({path!r}) as source:
    sink = open_data({out!r}, source, INFO) if {data} else open_sink({out!r}, source, PLAIN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        for frame in source:
            sink.write(result_of(frame, range(1, 30) if {data} else ()))
        sink.close()
    except SinkError as error:
        print(error)
    sink.abort()
"""


@pytest.mark.parametrize("name", ["b.mp4", "b.csv", "b.jsonl", "b.parquet", "b.json"])
def test_a_full_disk_is_one_clear_error(tmp_path, name):
    """The system's limit on the size of a file stands for the disk."""
    path = write_clip(tmp_path / "a.mp4", count=60, size=(320, 240), gop=5, options={"crf": "5"})
    here = Path(__file__).resolve().parent
    data = not name.endswith("mp4")
    script = FULL.format(
        root=str(here.parent), tests=str(here), path=str(path), out=str(tmp_path / name), data=data
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert done.stdout == f"{tmp_path / name}: cannot be written: File too large\n"
    assert done.stderr == ""
    assert done.returncode == 0
    assert not (tmp_path / name).exists()


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=2)
    (tmp_path / "file").touch()
    with open_source(path) as source:
        for name in ("b.mp4", "b.csv", "b.jsonl", "b.json", "b.parquet"):
            open_one = open_sink if name.endswith("mp4") else lambda out, src: open_data(out, src, INFO)
            with pytest.raises(SinkError, match="cannot be written"):
                open_one(tmp_path / "file" / name, source)


def test_a_still_comes_out_as_a_still(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), picture(60, 40, 2)[..., ::-1])
    convert(path, tmp_path / "new" / "b.png", ids=(1,), overlay=Overlay())
    image = cv2.cvtColor(cv2.imread(str(tmp_path / "new" / "b.png")), cv2.COLOR_BGR2RGB)
    assert image.shape == (40, 60, 3)
    assert 0.05 < np.mean((image != picture(60, 40, 2)).any(axis=2)) < 0.9
    clip = write_clip(tmp_path / "a.mp4", count=3)
    with pytest.raises(SinkError, match="a picture holds one frame"):
        convert(clip, tmp_path / "c.jpg")
    assert not list(tmp_path.glob("c*"))


def write_data(tmp_path, name, ids=((1,), (), (1, 2))):
    path = write_clip(tmp_path / "a.mp4", count=3, size=(64, 48))
    with open_source(path) as source, open_data(tmp_path / name, source, INFO) as sink:
        for frame, each in zip(source, ids, strict=True):
            sink.write(result_of(frame, each))
    return path, tmp_path / name


def check_rows(rows):
    assert len(rows) == 3 * 68
    assert [row["track_id"] for row in rows[::68]] == [1, 1, 2]
    assert [row["frame"] for row in rows[::68]] == [0, 2, 2]
    row = rows[68 + 5]
    assert row["time_s"] == pytest.approx(0.08)
    assert (row["joint"], row["joint_name"]) == (5, "jaw_5")
    assert (row["x_raw"], row["y_raw"]) == pytest.approx(tuple(SHAPE[5] * 20 + (30, 20)), abs=1e-3)
    assert (row["x"], row["y"]) == pytest.approx((row["x_raw"] + 0.5, row["y_raw"] + 0.5), abs=1e-3)
    assert (row["score"], row["subject_score"]) == (0.75, 0.625)
    assert row["box_x1"] <= row["x"] <= row["box_x2"]
    assert row["box_y1"] <= row["y"] <= row["box_y2"]


def test_parquet_has_the_columns_and_says_where_they_come_from(tmp_path):
    clip, path = write_data(tmp_path, "a.parquet")
    table = pq.read_table(path)
    assert tuple(table.column_names) == COLUMNS
    check_rows(table.to_pylist())
    about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert about["source"] == "a.mp4"
    assert about["source_sha256"] == hashlib.sha256(clip.read_bytes()).hexdigest()
    assert (about["fps"], about["width"], about["height"], about["rotation"]) == ("25.0", "64", "48", "0")
    assert (about["skeleton"], about["model"]) == ("face68", "digest")
    assert (about["runtime"], about["precision"]) == ("eager", "fp32")
    assert about["version"]
    assert str(tmp_path).encode() not in path.read_bytes()


def test_a_name_that_is_no_utf_8_does_not_keep_parquet_from_being_written(tmp_path):
    path = write_clip(tmp_path / os.fsdecode(b"a\xff.mp4"), count=3, size=(64, 48))
    with open_source(path) as source, open_data(tmp_path / "b.parquet", source, INFO):
        pass
    assert pq.read_schema(tmp_path / "b.parquet").metadata[b"source"] == rb"a\udcff.mp4"


def test_parquet_of_a_clip_without_subjects_can_be_read(tmp_path):
    _, path = write_data(tmp_path, "a.parquet", ids=((), (), ()))
    assert pq.read_table(path).num_rows == 0


def test_parquet_is_written_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_GROUP_ROWS", 100)
    _, path = write_data(tmp_path, "a.parquet", ids=((1, 2), (1,), (1,)))
    assert pq.ParquetFile(path).num_row_groups > 1
    assert pq.read_table(path)["frame"].to_pylist()[::68] == [0, 0, 1, 2]


def test_csv(tmp_path):
    _, path = write_data(tmp_path, "a.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    check_rows([{k: v if k == "joint_name" else json.loads(v) for k, v in row.items()} for row in rows])


def test_json_lines(tmp_path):
    _, path = write_data(tmp_path, "a.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert tuple(rows[0]) == COLUMNS
    check_rows(rows)


def test_coco_is_read_by_its_own_tools(tmp_path, capsys):
    coco_tools = pytest.importorskip("pycocotools.coco")
    _, path = write_data(tmp_path, "a.json")
    coco = coco_tools.COCO(str(path))
    assert [each["file_name"] for each in coco.loadImgs(coco.getImgIds())] == [
        f"a_{index:06d}.jpg" for index in range(3)
    ]
    (category,) = coco.loadCats(coco.getCatIds())
    assert category["keypoints"] == list(FACE68.joints)
    assert category["skeleton"][0] == [1, 2]
    notes = coco.loadAnns(coco.getAnnIds())
    assert [(each["image_id"], each["track_id"]) for each in notes] == [(1, 1), (3, 1), (3, 2)]
    assert len(notes[0]["keypoints"]) == 3 * 68
    assert (notes[0]["num_keypoints"], notes[0]["score"]) == (68, 0.625)
    _, _, width, height = notes[0]["bbox"]
    assert notes[0]["keypoints"][15] == pytest.approx(SHAPE[5, 0] * 20 + 30.5, abs=1e-3)
    assert notes[0]["area"] == pytest.approx(width * height, rel=1e-3)
    assert coco.dataset["info"]["source"] == "a.mp4"


def test_coco_describes_every_image_edge_and_joint(tmp_path):
    path = write_clip(tmp_path / "a.mp4", pts=[0, 1, 7], time_base=Fraction(1, 10), rate=Fraction(10))
    with open_source(path) as source, open_data(tmp_path / "a.json", source, INFO) as sink:
        for frame in source:
            sink.write(result_of(frame, (frame.index + 4,)))
    found = json.loads((tmp_path / "a.json").read_text())
    assert [(each["id"], each["frame"], each["width"], each["height"]) for each in found["images"]] == [
        (1, 0, 64, 48),
        (2, 1, 64, 48),
        (3, 2, 64, 48),
    ]
    assert [each["time_s"] for each in found["images"]] == pytest.approx([0, 0.1, 0.7])
    (category,) = found["categories"]
    assert category["skeleton"] == [[a + 1, b + 1] for a, b in FACE68.edges]
    for note in found["annotations"]:
        assert note["keypoint_scores"] == [0.75] * 68
        assert note["keypoints"][2::3] == [2] * 68
    assert [each["id"] for each in found["annotations"]] == [1, 2, 3]


@pytest.mark.parametrize(("name", "called"), [("face.png", "face.png"), ("clip", "clip_000000.jpg")])
def test_coco_calls_a_picture_by_its_own_name(tmp_path, name, called):
    made = tmp_path / ("made.png" if name.endswith("png") else "made.mp4")
    if made.suffix == ".png":
        cv2.imwrite(str(made), picture(60, 40, 2))
    else:
        write_clip(made, count=1)
    made.rename(tmp_path / name)
    with open_source(tmp_path / name) as source, open_data(tmp_path / "a.json", source, INFO) as sink:
        for frame in source:
            sink.write(result_of(frame))
    assert [each["file_name"] for each in json.loads((tmp_path / "a.json").read_text())["images"]] == [called]


def test_coco_knows_missing_joints(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=1)
    with open_source(path) as source, open_data(tmp_path / "a.json", source, INFO) as sink:
        for frame in source:
            sink.write(result_of(frame, (1,), score=0.0))
    (note,) = json.loads((tmp_path / "a.json").read_text())["annotations"]
    assert note["num_keypoints"] == 0
    assert set(note["keypoints"]) == {0}


def test_data_of_an_aborted_run_has_no_name(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=1)
    with open_source(path) as source:
        frame = next(iter(source))
        for name, kept in (("b.csv", True), ("b.jsonl", True), ("b.parquet", False), ("b.json", False)):
            sink = open_data(tmp_path / name, source, INFO)
            sink.write(result_of(frame, (1,)))
            sink.abort()
            assert not (tmp_path / name).exists()
            assert sink.part.exists() == kept
        with pytest.raises(ValueError, match=r"\.parquet, \.csv, \.jsonl or \.json"):
            open_data(tmp_path / "b.xml", source, INFO)


def test_real_clips_keep_times_and_sound(shared_data, tmp_path):
    path = shared_data / "videos" / "faces" / "liveportrait_d20.mp4"
    begin = time.monotonic()
    convert(path, tmp_path / "b.mp4")
    assert time.monotonic() - begin < 30
    assert times(tmp_path / "b.mp4") == times(path)
    assert packets(tmp_path / "b.mp4", "audio") == packets(path, "audio")
