from __future__ import annotations

import socket
import time
from fractions import Fraction
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from clips import damage, picture, served, truncate, write_clip, write_sound

from engines.engine import MissingCapability
from tracker.camera import CameraSource
from tracker.clock import Clock
from tracker.feed import CameraError, SourceError, shown_name
from tracker.sources import open_source
from tracker.stills import list_inputs


def read(path, **limits):
    """All frames of a source, and the source, closed."""
    with open_source(path, **limits) as source:
        return list(source), source


def assert_like(image, wanted, most=30):
    """Same size and about the same colours, a few pixels from edges aside."""
    assert image.shape == wanted.shape
    off = np.abs(image.astype(int) - wanted.astype(int)).max(axis=2)
    assert np.median(off) < most / 3
    assert np.mean(off > most) < 0.15


def test_every_frame_comes_out_in_order_with_its_picture(tmp_path):
    frames, source = read(write_clip(tmp_path / "a.mp4", count=30, gop=30))
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(30)])
    for frame in (frames[0], frames[29]):
        assert_like(frame.image, picture(64, 48, frame.index))
    assert (source.name, source.width, source.height, source.fps) == ("a.mp4", 64, 48, 25)
    assert (source.frames, source.lost, source.live, source.ended) == (30, 0, False, True)


def test_variable_frame_rate_keeps_every_timestamp(tmp_path):
    pts = [0, 1, 5, 6, 40, 41, 43, 90, 91, 200]
    path = write_clip(tmp_path / "v.mp4", pts=pts, time_base=Fraction(1, 100), rate=Fraction(30))
    frames, source = read(path)
    assert [frame.pts * source.time_base for frame in frames] == [Fraction(each, 100) for each in pts]
    assert [frame.time_s for frame in frames] == pytest.approx([each / 100 for each in pts])


def test_joined_recordings_follow_each_other(tmp_path):
    one = write_clip(tmp_path / "one.ts", count=50, audio="aac")
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one.read_bytes() * 2)
    frames, _ = read(joined)
    times = [frame.time_s for frame in frames]
    assert len(frames) >= 98  # the decoder may lose one at the seam
    assert np.diff(times) == pytest.approx(0.04, abs=0.05)
    assert times[-1] == pytest.approx(len(frames) / 25, abs=0.1)


def test_a_recording_that_begins_before_its_clock_starts_anew_is_whole(tmp_path):
    # MPEG's clock has 33 bits: FFmpeg reads times shortly before it starts anew as negative ones.
    path = tmp_path / "a.ts"
    with av.open(str(path), "w", container_options={"avoid_negative_ts": "disabled"}) as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(10):
            frame = VideoFrame.from_ndarray(picture(64, 48, index), "rgb24").reformat(format="yuv420p")
            frame.pts = index - 5
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    frames, source = read(path)
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(10)])
    assert (source.begin_s, source.lost) == (-0.2, 0)
    assert [frame.time_s for frame in read(path, start_s=0.1)[0]] == pytest.approx(
        [index / 25 for index in range(3, 10)]
    )


def test_a_clock_only_goes_on():
    clock = Clock(Fraction(1, 100), begin=7)
    times = [None, 11, 11, 10, None, 500, 3, 20, None]
    # After the seam at 504 the gaps are as they were.
    assert [clock.after(each, 4) for each in times] == [7, 11, 12, 13, 17, 500, 504, 521, 525]


@pytest.mark.parametrize(
    ("rotation", "turns"),
    [(90, 1), (-90, -1), (180, 2)],
)
def test_rotation_is_applied(tmp_path, rotation, turns):
    frames, source = read(write_clip(tmp_path / "r.mp4", count=3, rotation=rotation))
    assert_like(frames[0].image, np.rot90(picture(64, 48, 0), turns))
    assert (source.height, source.width) == frames[0].image.shape[:2]
    assert source.rotation == -rotation % 360


@pytest.mark.parametrize(
    ("size", "pix_fmt", "codec", "name"),
    [
        ((64, 48), "yuv420p10le", "libx265", "ten.mp4"),
        ((64, 48), "yuv422p10le", "libx264", "ten422.mkv"),
        ((63, 47), "yuv444p", "libx264", "odd.mp4"),
        ((8, 8), "yuv420p", "mpeg4", "tiny.avi"),
        ((64, 48), "gray", "ffv1", "gray.mkv"),
    ],
)
def test_unusual_pictures_are_read(tmp_path, size, pix_fmt, codec, name):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = write_clip(tmp_path / name, size=size, pix_fmt=pix_fmt, codec=codec, count=5, options=options)
    frames, _ = read(path)
    assert len(frames) == 5
    wanted = picture(*size, 0)
    if pix_fmt == "gray":
        wanted = cv2.cvtColor(cv2.cvtColor(wanted, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    assert_like(frames[0].image, wanted, most=60)


def test_full_range_video_is_not_stretched(tmp_path):
    path = write_clip(tmp_path / "full.mkv", pix_fmt="yuvj420p", codec="mjpeg", count=2)
    assert_like(read(path)[0][0].image, picture(64, 48, 0), most=20)


def test_a_part_of_a_clip(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=50, gop=20)
    frames, source = read(path, start_s=0.6, end_s=1.0)
    assert [frame.time_s for frame in frames] == pytest.approx([0.6 + index / 25 for index in range(10)])
    assert [frame.index for frame in frames] == list(range(10))
    assert_like(frames[0].image, picture(64, 48, 15))
    assert (source.frames, source.trimmed, source.lost) == (10, True, 0)
    frames, source = read(path, max_frames=7)
    assert len(frames) == source.frames == 7


@pytest.mark.parametrize("name", ["a.ts", "a.mpg", "a.mp4", "a.mkv"])
@pytest.mark.parametrize("start_s", [0.04, 2.0, 5.0, 7.0])
def test_a_part_that_begins_between_key_frames_is_whole(tmp_path, name, start_s):
    codec = "mpeg2video" if name.endswith("mpg") else "libx264"
    path = write_clip(tmp_path / name, count=200, gop=100, codec=codec)
    frames, source = read(path, start_s=start_s, end_s=start_s + 0.4)
    assert [frame.time_s for frame in frames] == pytest.approx(
        [start_s + index / 25 for index in range(10)], abs=0.001
    )
    assert source.lost == 0


def test_limits_without_sense_are_refused(tmp_path):
    for limits in ({"start_s": -1.0}, {"start_s": 2.0, "end_s": 1.0}, {"max_frames": 0}):
        with pytest.raises(ValueError, match=r"start|end|max_frames"):
            open_source(tmp_path, **limits)


def test_damage_in_the_middle_costs_only_what_is_damaged(tmp_path):
    path = write_clip(tmp_path / "d.mp4", count=100, size=(320, 240), gop=10, options={"crf": "10"})
    frames, source = read(damage(path, 0.4, 0.5))
    assert source.lost > 0
    assert 60 < len(frames) < 100
    assert frames[-1].time_s == pytest.approx(99 / 25)
    assert all(a.pts < b.pts for a, b in pairwise(frames))


def test_a_clip_that_breaks_off_says_what_is_missing(tmp_path):
    path = write_clip(tmp_path / "t.mp4", count=100, size=(320, 240), faststart=True, options={"crf": "10"})
    frames, source = read(truncate(path, 0.6))
    assert 20 < len(frames) < 90
    assert source.lost == pytest.approx(100 - len(frames), abs=3)


def refused(path):
    """The one line that is said about a source."""
    with pytest.raises(SourceError) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(path.name)
    assert str(path.parent) not in text
    return text


def test_sources_that_cannot_be_read_are_one_clear_line(tmp_path):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert "empty (0 bytes)" in refused(empty)
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(1).bytes(50_000))
    assert "not a video that can be read" in refused(noise)
    headless = truncate(write_clip(tmp_path / "cut.mp4"), 0.7)
    assert "damaged, cut off" in refused(headless)
    assert "no video stream (only audio)" in refused(write_sound(tmp_path / "song.m4a"))
    assert "no such file" in refused(tmp_path / "missing.mp4")
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "no picture or video in this folder" in refused(folder)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    assert "not a picture that can be read" in refused(broken)


def test_a_start_behind_the_end_is_said(tmp_path):
    path = write_clip(tmp_path / "a.mp4", count=10)
    for start_s in (60.0, 1e26):
        with pytest.raises(SourceError, match="no frame lies between start and end; it lasts 0.4 s"):
            open_source(path, start_s=start_s)


def test_a_playlist_does_not_open_the_network(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        port = server.getsockname()[1]
        path = tmp_path / "list.m3u8"
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n")
        with pytest.raises(SourceError):
            open_source(path)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_name_with_a_colon_is_a_file(tmp_path):
    assert len(read(write_clip(tmp_path / "at 12:30.mp4", count=3))[0]) == 3


def test_a_url_without_an_answer_is_one_error_in_time_and_keeps_the_password():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://me:secret@127.0.0.1:{server.getsockname()[1]}/live?token=hidden"
        begin = time.monotonic()
        with pytest.raises(SourceError, match="no answer within 0.5 s") as caught:
            open_source(address, timeout_s=0.5)
        assert time.monotonic() - begin < 3
    assert "secret" not in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_clip_over_http(tmp_path):
    write_clip(tmp_path / "a.mp4", count=5, faststart=True)
    with served(tmp_path) as address:
        frames, source = read(f"{address}/a.mp4?key=1")
    assert len(frames) == 5
    assert (source.live, source.path) == (False, None)


def test_names_hide_folders_passwords_and_queries():
    assert shown_name("/home/me/clip.mp4") == "clip.mp4"
    assert shown_name("rtsp://me:pw@cam.example:554/a/b?token=1#x") == "rtsp://cam.example:554/a/b"
    for password in ("pw", "p/w", "p?w", "p#w", "p@w", "p[1]w", "p:w"):
        assert shown_name(f"RTSP://me:{password}@cam/a?token=1") == "rtsp://cam/a"
    assert shown_name("rtsp://[::1/a") == "rtsp://[::1/a"
    for host in ("cam", "cam:80", "[::1]:80", "cam.example:554/a/b"):
        for query in ("user=me@mail.example&password=secret", "password=p@ss", "a@b?c@d"):
            assert shown_name(f"http://{host}?{query}") == f"http://{host}"
    # An address or a password with all of these in it: nothing of it is worth the risk.
    assert shown_name("http://me:pw@cam/a?user=me@mail.example&password=secret") == "http://…"
    assert shown_name(0) == shown_name("0") == "camera 0"


def test_a_picture_is_one_frame(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), picture(33, 21, 3)[..., ::-1])
    frames, source = read(path)
    assert source.still
    assert np.array_equal(frames[0].image, picture(33, 21, 3))
    cv2.imwrite(str(path), np.full((9, 7), 50_000, np.uint16))
    assert read(path)[0][0].image.shape == (9, 7, 3)


def test_a_folder_of_pictures_is_a_sequence_in_natural_order(tmp_path):
    for index in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"p{index}.png"), np.full((8, 8, 3), index, np.uint8))
    frames, source = read(tmp_path)
    assert [frame.image[0, 0, 0] for frame in frames] == [1, 2, 10]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.04, 0.08])
    (tmp_path / "p2.png").write_bytes(b"broken")
    frames, source = read(tmp_path)
    assert (len(frames), source.lost) == (2, 1)
    cv2.imwrite(str(tmp_path / "p10.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(SourceError, match="9x9 pixels"):
        read(tmp_path)


def test_a_part_of_a_folder_is_that_of_a_clip_with_its_pictures(tmp_path):
    for index in range(5):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((8, 8, 3), index, np.uint8))
    frames, source = read(tmp_path, start_s=0.05, end_s=0.15)
    assert [frame.image[0, 0, 0] for frame in frames] == [2, 3]
    assert [(frame.index, frame.pts) for frame in frames] == [(0, 2), (1, 3)]
    assert [frame.time_s for frame in frames] == pytest.approx([0.08, 0.12])
    assert (source.start_s, source.trimmed, source.frames) == (pytest.approx(0.08), True, 2)
    frames, source = read(tmp_path, start_s=0.04, max_frames=2)
    assert [frame.image[0, 0, 0] for frame in frames] == [1, 2]
    frames, source = read(tmp_path)
    assert (len(frames), source.start_s, source.trimmed) == (5, 0, False)


def test_pixels_of_a_clip_that_lies_on_its_side_are_turned_with_it(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)
        stream.set_display_rotation(90)
        output.mux(stream.encode(VideoFrame.from_ndarray(picture(64, 48, 0), "rgb24")))
        output.mux(stream.encode(None))
    _, source = read(path)
    assert (source.width, source.height, source.pixel_aspect) == (48, 64, Fraction(11, 16))


def test_inputs_of_a_folder_leave_out_results(tmp_path):
    for name in ("b.mp4", "a.JPG", "a.kptrack.jpg", "b.kptrack.mp4", "c.part.mp4", ".h.mp4", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "d.mkv").touch()
    assert [path.name for path in list_inputs(tmp_path)] == ["a.JPG", "b.mp4"]
    assert {path.name for path in list_inputs(tmp_path, recursive=True)} == {"a.JPG", "b.mp4", "d.mkv"}


def test_a_camera_that_is_not_there_is_a_missing_capability():
    with pytest.raises(MissingCapability, match="camera 99 does not open"):
        open_source(99)


def test_a_camera_that_goes_away_is_an_error_of_its_own(monkeypatch):
    class Device:
        left = 3

        def __init__(self, index):
            pass

        def read(self):
            self.left -= 1
            return self.left >= 0, np.full((4, 6, 3), (255, 0, 0), np.uint8)

        def get(self, prop):
            return 0.0

        def release(self):
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Device)
    source = CameraSource(0, None, None)
    frames = []
    with pytest.raises(CameraError, match="camera 0: no more pictures"):
        frames.extend(iter(source))
    source = CameraSource(0, 3, None)
    frames = list(source)  # and no fourth is asked for
    assert (len(frames), source.ended, source.trimmed) == (3, True, True)
    assert frames[0].image[0, 0].tolist() == [0, 0, 255]
    assert frames[0].pts < frames[1].pts


def test_real_clips_are_read_to_their_end(shared_data):
    frames, source = read(shared_data / "videos" / "faces" / "liveportrait_d20.mp4")
    assert (len(frames), source.lost, source.fps) == (175, 0, 25)
