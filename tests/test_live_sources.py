"""Live sources and their faults: cameras, files at their own pace, streams over a real network."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from types import SimpleNamespace

import av
import cv2
import cv2_enumerate_cameras
import numpy as np
import pytest
from clips import picture, write_clip
from fakes import FakeCamera, FakeEngine, FakeSource
from waiting import eventually

from engines.engine import MissingCapability
from tracker import SourceError, TrackerSettings, capture, open_source, pace, sources
from tracker.camera import Camera, CameraRequest, CameraSource, camera_called, find_cameras
from tracker.capture import Capture
from tracker.live import LiveSession
from tracker.pace import Pace
from tracker.values import Frame


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Patience of tenths of a second."""
    monkeypatch.setattr(capture, "_PAUSES_S", (0.05, 0.2))
    monkeypatch.setattr(capture, "_STALLED_S", 0.2)
    monkeypatch.setattr(capture, "_SILENT_S", 0.6)
    monkeypatch.setattr(capture, "_OPEN_S", 0.4)
    monkeypatch.setattr(capture, "_LOOK_EVERY_S", 0.01)


class Taken(list):
    """What a capture delivered: ``(connection, frame, when)``."""

    def __call__(self, frame, source, connection):
        self.append((connection, frame, time.monotonic()))


@contextmanager
def captured(open_it, **options):
    taken, numbers = Taken(), count(1)
    keeper = Capture(open_it, taken, lambda: next(numbers), **options)
    keeper.start()
    try:
        yield keeper, taken
    finally:
        keeper.stop()


def ended(keeper):
    return keeper.join(time.monotonic() + 2)


def states(keeper, until, timeout_s=5.0):
    """The states that were passed through on the way to ``until``."""
    seen = []

    def look():
        state = keeper.status().state
        if not seen or seen[-1] != state:
            seen.append(state)
        return state == until

    eventually(look, timeout_s)
    return seen


def fail_at(index, error):
    def check(each):
        if each == index:
            raise error

    return check


def test_a_file_is_played_at_its_own_pace_to_its_end(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", count=11)
    with captured(lambda: open_source(clip)) as (keeper, taken):
        assert states(keeper, "ended")[-1] == "ended"
        assert ended(keeper)
    assert [frame.index for _, frame, _ in taken] == list(range(11))
    times = np.array([when for _, _, when in taken])
    assert times[-1] - times[0] == pytest.approx(0.4, abs=0.1)
    assert np.median(np.diff(times)) == pytest.approx(0.04, abs=0.01)


def test_a_file_can_be_played_again_and_again(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", count=3)
    with captured(lambda: open_source(clip), loop=True) as (keeper, taken):
        eventually(lambda: len(taken) >= 10)
        assert keeper.status().state == "live"
        assert keeper.status().reconnects == 0
    assert ended(keeper)
    assert {connection for connection, _, _ in taken} == {1}
    assert [frame.index for _, frame, _ in taken[:7]] == [0, 1, 2, 0, 1, 2, 0]
    assert taken[9][2] - taken[0][2] == pytest.approx(9 / 25, abs=0.1)


def test_pace(monkeypatch):
    now = [10.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    clock = Pace()
    assert clock.due_s(5.0) == 10.0
    assert clock.due_s(5.04) == pytest.approx(10.04)
    now[0] = 10.3
    assert clock.due_s(5.08) == pytest.approx(10.08)  # a little late: the next are caught up with
    now[0] = 20.0
    assert clock.due_s(5.12) == 20.0  # far too late: from here on
    assert clock.due_s(5.16) == pytest.approx(20.04)
    assert clock.due_s(5000.0) == 20.0  # a fault in the file's times
    clock.repeat(first_s=0.0, step_s=0.04)
    assert clock.due_s(0.0) == pytest.approx(20.04)


def test_what_does_not_open_is_not_tried_again():
    def fail():
        raise MissingCapability("camera 3 does not open")

    with captured(fail) as (keeper, taken):
        assert states(keeper, "failed")[-1] == "failed"
        assert ended(keeper)
        status = keeper.status()
    assert status.message == "camera 3 does not open"
    assert isinstance(status.error, MissingCapability)
    assert not taken


def test_a_camera_that_is_unplugged_is_connected_again_when_it_is_back():
    attempts = []

    def plug():
        attempts.append(time.monotonic())
        if len(attempts) in (2, 3, 4, 5):
            raise MissingCapability("not there")
        error = SourceError("camera 0: no more pictures; unplugged")
        return FakeCamera(before=fail_at(5, error) if len(attempts) == 1 else lambda index: None)

    with captured(plug) as (keeper, taken):
        assert states(keeper, "reconnecting")[-2:] == ["live", "reconnecting"]
        assert keeper.status().message in ("camera 0: no more pictures; unplugged", "not there")
        states(keeper, "live")
        status = keeper.status()
    assert (status.reconnects, status.message, status.error) == (1, "", None)
    assert {connection for connection, _, _ in taken} == {1, 6}
    assert np.all(np.diff(attempts)[1:] >= np.array([0.1, 0.2, 0.2, 0.2]) - 0.01)
    assert ended(keeper)


def test_a_read_that_hangs_is_told_and_then_abandoned():
    release, hung = threading.Event(), []

    def hang(index):
        if index == 3 and not hung:
            hung.append(True)
            release.wait(10)

    with captured(lambda: FakeCamera(before=hang)) as (keeper, taken):
        assert states(keeper, "stalled")[-2:] == ["live", "stalled"]
        assert "no picture for" in keeper.status().message
        states(keeper, "live")
        assert keeper.status().reconnects == 1
        release.set()
        eventually(lambda: len(taken) > 30)
    assert ended(keeper)
    first = [when for connection, _, when in taken if connection == 1]
    assert len(first) == 3  # what the abandoned one read afterwards went nowhere


def test_a_slow_camera_is_not_a_silent_one(monkeypatch):
    monkeypatch.setattr(capture, "_STALLED_S", 0.02)
    monkeypatch.setattr(capture, "_SILENT_S", 0.03)

    def slow():
        camera = FakeCamera(every_s=0.1)
        camera.fps = 2.0  # silent for four of its frames: 2 s
        return camera

    with captured(slow) as (keeper, taken):
        states(keeper, "live")
        reached = len(taken) + 3
        seen = set()
        eventually(lambda: seen.add(keeper.status().state) or len(taken) >= reached)
    assert seen == {"live"}
    assert ended(keeper)


def test_a_source_that_hangs_does_not_hold_up_the_end():
    release = threading.Event()
    with captured(lambda: FakeCamera(before=lambda index: release.wait(10))) as (keeper, _):
        time.sleep(0.05)
        begin = time.monotonic()
        keeper.stop()
        assert not keeper.join(begin + 0.2)
        assert time.monotonic() - begin < 1
        release.set()
        assert ended(keeper)


@pytest.mark.parametrize("patient", [False, True])
def test_what_never_answers(patient):
    release = threading.Event()

    def never():
        release.wait(10)
        raise SourceError("too late")

    with captured(never, patient=patient) as (keeper, _):
        assert states(keeper, "reconnecting" if patient else "failed")[0] == "connecting"
        assert keeper.status().message == "no picture within 0.4 s; it does not answer"
        release.set()
    assert ended(keeper)


class Odd(FakeSource):
    """Gives whatever it is told."""

    live = True

    def __init__(self, *items, size=(32, 24)):
        super().__init__(None)
        self.items = items
        self.width, self.height = size

    def __iter__(self):
        yield from self.items
        while True:
            time.sleep(0.01)
            yield self.items[-1]


def plain_frame(value, size=(32, 24)):
    return Frame(np.full((size[1], size[0], 3), value, np.uint8), 0, 0.0, 0)


def test_none_is_no_picture():
    with captured(lambda: Odd(None)) as (keeper, _):
        states(keeper, "failed")
        assert keeper.status().message == "fake: gave no picture"


def test_pictures_that_stay_black_are_told(monkeypatch):
    monkeypatch.setattr(capture, "_BLACK_FOR_S", 0.5)
    with captured(lambda: Odd(plain_frame(3))) as (keeper, _):
        eventually(lambda: "black" in keeper.status().message)
        assert keeper.status().state == "live"
    with captured(lambda: Odd(*[plain_frame(0)] * 20, plain_frame(90))) as (keeper, taken):
        eventually(lambda: len(taken) > 60)
        assert keeper.status().message == ""


def test_a_picture_of_16k_is_refused_and_one_of_a_pixel_is_fine():
    with captured(lambda: Odd(plain_frame(9), size=(16384, 16384))) as (keeper, _):
        states(keeper, "failed")
        assert "16384x16384 pixels are more than live takes (7680x4320)" in keeper.status().message
    with captured(lambda: Odd(plain_frame(9, (1, 1)), size=(1, 1))) as (keeper, taken):
        eventually(lambda: len(taken) > 3)


def test_a_pixel_goes_through_the_whole_session(monkeypatch):
    monkeypatch.setattr(sources, "open_source", lambda *_, **__: Odd(plain_frame(9, (1, 1)), size=(1, 1)))
    session = LiveSession("0", FakeEngine)
    session.start()
    eventually(lambda: session.status().processed > 3)
    session.stop()
    assert session.join(5)
    assert session.status().engine.failure == ""


# Cameras.


@pytest.fixture
def plugged(monkeypatch):
    """Two cameras, as the system lists them."""
    listed = [
        SimpleNamespace(index=2, name="HD Pro Webcam C920"),
        SimpleNamespace(index=0, name="Integrated Camera"),
    ]
    monkeypatch.setattr(cv2_enumerate_cameras, "enumerate_cameras", lambda way: listed)
    return listed


class Device:
    """Stands in for ``cv2.VideoCapture``: gives 640x480, whatever is asked."""

    asked: list[tuple[int, float]]

    def __init__(self, index):
        Device.asked, self.index = [], index

    def set(self, prop, value):
        Device.asked.append((prop, value))
        return False

    def get(self, prop):
        return 15.0

    def read(self):
        return True, np.zeros((480, 640, 3), np.uint8)

    def release(self):
        pass


def test_cameras_are_found_and_called_by_name(plugged, monkeypatch):
    assert find_cameras() == [Camera(0, "Integrated Camera"), Camera(2, "HD Pro Webcam C920")]
    assert camera_called("integrated camera") == Camera(0, "Integrated Camera")
    assert camera_called("C920") == Camera(2, "HD Pro Webcam C920")
    with pytest.raises(SourceError, match="several cameras"):
        camera_called("cam")
    assert camera_called("Nobody") is None
    with pytest.raises(SourceError, match="Nobody: no such file or camera"):
        open_source("Nobody")
    monkeypatch.setattr(cv2, "VideoCapture", Device)
    with open_source("c920") as source:
        assert source.name == "HD Pro Webcam C920"
        assert source._device.index == 2


def test_a_camera_is_asked_for_size_and_rate_and_says_what_it_gives(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Device)
    source = CameraSource(0, request=CameraRequest((1280, 720), 30))
    assert (source.width, source.height, source.fps) == (640, 480, 15)
    asked = dict(Device.asked)
    assert asked[cv2.CAP_PROP_FRAME_WIDTH] == 1280
    assert asked[cv2.CAP_PROP_FRAME_HEIGHT] == 720
    assert asked[cv2.CAP_PROP_FPS] == 30
    assert asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    CameraSource(0)
    assert Device.asked == []


def test_a_part_of_what_a_camera_sees(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Device)
    source = open_source(0, start_s=0.1, end_s=0.2)
    frames = []
    for frame in source:
        time.sleep(0.005)
        frames.append(frame)
    assert 0.1 <= frames[0].time_s < frames[-1].time_s < 0.2
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert (source.start_s, source.trimmed, source.ended) == (0.1, True, True)


@pytest.mark.parametrize("told", [0.0, -1.0, float("nan"), float("inf")])
def test_a_camera_that_does_not_know_its_rate_is_taken_for_an_ordinary_one(monkeypatch, told):
    monkeypatch.setattr(Device, "get", lambda self, prop: told)
    monkeypatch.setattr(cv2, "VideoCapture", Device)
    assert CameraSource(0).fps == 30


class Exclusive(Device):
    """A camera that gives pictures to the first who opened it, until it is given back."""

    owner: Exclusive | None = None

    def __init__(self, index):
        super().__init__(index)
        Exclusive.owner = Exclusive.owner or self

    def read(self):
        if Exclusive.owner is not self:
            return False, None
        time.sleep(0.1)
        return super().read()

    def release(self):
        if Exclusive.owner is self:
            Exclusive.owner = None


class Stuck:
    """A stopped capture whose camera hangs."""

    looks = 0

    def join(self, deadline_s):
        Stuck.looks += 1
        return False


def test_a_capture_that_waits_for_a_camera_can_be_stopped():
    waiting = Capture(FakeCamera, lambda *_: None, count().__next__, after=[Stuck()])
    waiting.start()
    eventually(lambda: Stuck.looks)
    waiting.stop()
    assert waiting.join(time.monotonic() + 1)
    assert Stuck.looks < 10


def test_a_camera_is_opened_anew_when_it_was_given_back(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Exclusive)
    session = LiveSession("0", FakeEngine, settings=TrackerSettings(detector="center"))
    session.start()
    try:
        eventually(lambda: session.status().state == "live")
        session.switch_source("0", CameraRequest((1280, 720)))
        eventually(lambda: session.status().state in ("live", "failed"))
        assert session.status().state == "live"
    finally:
        session.stop()
        assert session.join(5)
    assert Exclusive.owner is None


def test_a_camera_whose_driver_gives_none_is_not_there(monkeypatch):
    monkeypatch.setattr(Device, "read", lambda self: (True, None))
    monkeypatch.setattr(cv2, "VideoCapture", Device)
    with pytest.raises(MissingCapability, match="camera 0 does not open"):
        CameraSource(0)


# Networks.


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class UdpSender:
    """An MPEG-TS stream over UDP at 25 frames a second, until it is stopped."""

    def __init__(self, port):
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._send, args=(port,), daemon=True)
        self.thread.start()

    def _send(self, port):
        address = f"udp://127.0.0.1:{port}?pkt_size=1316"
        with av.open(address, "w", format="mpegts") as output:
            stream = output.add_stream("libx264", Fraction(25), {"tune": "zerolatency"})
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
            stream.codec_context.gop_size = 5
            for index in count():
                image = av.VideoFrame.from_ndarray(picture(160, 120, index % 25), "rgb24")
                image.pts, image.time_base = index, Fraction(1, 25)
                output.mux(stream.encode(image))
                if self.stopping.wait(0.04):
                    return

    def stop(self):
        self.stopping.set()
        self.thread.join(5)


def test_a_stream_over_udp_that_dies_and_comes_back(monkeypatch):
    monkeypatch.setattr(capture, "_OPEN_S", 15.0)
    monkeypatch.setattr("tracker.live.SOURCE_TIMEOUT_S", 1.0)
    monkeypatch.setattr(capture, "_SILENT_S", 3.0)
    port = free_port(socket.SOCK_DGRAM)
    session = LiveSession(f"udp://127.0.0.1:{port}", FakeEngine)
    sender = UdpSender(port)
    session.start()
    try:
        eventually(lambda: session.status().state == "live", 15)
        status = session.status()
        assert (status.source, status.width, status.height) == (f"udp://127.0.0.1:{port}", 160, 120)
        eventually(lambda: session.status().processed > 5)
        sender.stop()
        eventually(lambda: session.status().state == "stalled")
        eventually(lambda: session.status().state == "reconnecting")
        assert "broke off" in session.status().message
        sender = UdpSender(port)
        eventually(lambda: session.status().reconnects == 1, 15)
        assert session.status().state == "live"
    finally:
        sender.stop()
        session.stop()
        assert session.join(10)


@contextmanager
def http_server(answer):
    """A server that calls ``answer`` with each connection after its request; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    try:
                        answer(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_stream_over_http_whose_server_closes_is_opened_again(tmp_path, monkeypatch):
    monkeypatch.setattr(capture, "_OPEN_S", 15.0)
    data = write_clip(tmp_path / "a.ts", size=(64, 48), count=25, gop=5).read_bytes()

    def answer(connection):
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + data)

    with http_server(answer) as port:
        session = LiveSession(f"http://me:secret@127.0.0.1:{port}/a.ts?key=1", FakeEngine)
        session.start()
        eventually(lambda: session.status().reconnects >= 2, 20)
        status = session.status()
        assert status.captured >= 50
        assert status.source == f"http://127.0.0.1:{port}/a.ts"
        session.stop()
        assert session.join(10)


def test_a_server_that_never_answers_is_tried_again_without_a_word_of_the_password(monkeypatch):
    monkeypatch.setattr(capture, "_OPEN_S", 15.0)
    monkeypatch.setattr("tracker.live.SOURCE_TIMEOUT_S", 0.5)
    release = threading.Event()
    with http_server(lambda connection: release.wait(10)) as port:
        address = f"http://me:secret@127.0.0.1:{port}/a.ts?key=hidden"
        session = LiveSession(address, FakeEngine)
        session.start()
        status = eventually(
            lambda: session.status() if session.status().state == "reconnecting" else None, 15
        )
        release.set()
        session.stop()
        assert session.join(10)
    assert "no answer within 0.5 s" in status.message
    assert not any(word in str(status) for word in ("secret", "hidden"))
