"""A camera on the network, over RTSP as such cameras speak it: GStreamer's server plays one on loopback."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path
from select import select

import pytest
from fakes import FakeEngine
from waiting import eventually

from tracker import SourceError, capture, open_source
from tracker.live import LiveSession

SERVER = Path(__file__).with_name("rtsp_server.py")
# The system's, which alone has GStreamer's bindings.
PYTHON = Path("/usr/bin/python3")
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0"
MISSING = 77
USER, PASSWORD = "me", "s3cret"
PATIENCE_S = 30


class NetworkCamera:
    """Sends 160 by 120 px, 25 times a second, while it has power."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.switch_on()

    def address(self, password: str = PASSWORD) -> str:
        return f"rtsp://{USER}:{password}@127.0.0.1:{self.port}/stream"

    def switch_on(self) -> None:
        """Begin to listen; skips the test where a part of the server is not installed."""
        if not PYTHON.exists():
            pytest.skip(f"no {PYTHON}: RTSP is not tested")
        self.server = subprocess.Popen(
            [PYTHON, SERVER, str(self.port), USER, PASSWORD],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.server.stdout is not None
        said = self.server.stdout.readline() if select([self.server.stdout], [], [], PATIENCE_S)[0] else ""
        if said != "ready\n":
            self.switch_off()
            if self.server.returncode == MISSING:
                pytest.skip(f"no RTSP server ({said.strip()}): apt-get install {PACKAGES}")
            raise AssertionError(f"the RTSP server ended with {self.server.returncode}: {said}")

    def switch_off(self) -> None:
        """All at once, as power goes. A second time does nothing."""
        with self.server as server:
            if server.poll() is None:
                server.kill()

    def hang(self) -> None:
        """Answer no more, but hold all connections."""
        self.server.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.server.send_signal(signal.SIGCONT)


@pytest.fixture
def camera():
    camera = NetworkCamera()
    yield camera
    camera.switch_off()


@pytest.fixture
def session(camera, monkeypatch):
    """A live session on the camera, which takes it for dead after a second or two."""
    monkeypatch.setattr(capture, "_PAUSES_S", (0.05, 0.2))
    monkeypatch.setattr(capture, "_STALLED_S", 0.5)
    monkeypatch.setattr(capture, "_OPEN_S", 20.0)
    monkeypatch.setattr("tracker.live.SOURCE_TIMEOUT_S", 2.0)
    session = LiveSession(camera.address(), FakeEngine)
    session.start()
    yield session
    session.stop()
    assert session.join(10)


def seen(session, state):
    """Wait for a state; the status in it, which has no word of the password."""

    def look():
        status = session.status()
        assert PASSWORD not in str(status)
        return status if status.state == state else None

    return eventually(look, PATIENCE_S)


def test_pictures_come_over_rtsp(camera):
    with open_source(camera.address()) as source:
        assert source.name == f"rtsp://127.0.0.1:{camera.port}/stream"
        assert (source.width, source.height, source.live) == (160, 120, True)
        frames = [frame for frame, _ in zip(source, range(10), strict=False)]
    times = [frame.time_s for frame in frames]
    assert times == sorted(set(times))
    assert frames[-1].image.std() > 30  # colour bars


def test_a_wrong_password_is_said_and_never_shown(camera):
    with pytest.raises(SourceError) as refused:
        open_source(camera.address("hunter2"))
    assert str(refused.value).startswith(f"rtsp://127.0.0.1:{camera.port}/stream: cannot be opened: ")
    assert "401" in str(refused.value)
    assert "hunter2" not in repr(refused.value)
    assert refused.value.__cause__ is None


def test_a_camera_that_loses_its_power_is_connected_again_when_it_has_it_back(camera, session):
    assert seen(session, "live").source == f"rtsp://127.0.0.1:{camera.port}/stream"
    eventually(lambda: session.status().processed > 5, PATIENCE_S)
    camera.switch_off()
    seen(session, "reconnecting")
    camera.switch_on()
    assert seen(session, "live").reconnects == 1
    processed = session.status().processed
    eventually(lambda: session.status().processed > processed + 5, PATIENCE_S)


def test_a_camera_that_hangs_is_told_and_connected_again(camera, session):
    seen(session, "live")
    camera.hang()
    assert "no picture for" in seen(session, "stalled").message
    seen(session, "reconnecting")
    camera.go_on()
    eventually(lambda: session.status().reconnects == 1, PATIENCE_S)
    assert seen(session, "live").message == ""
