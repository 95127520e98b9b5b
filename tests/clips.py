"""Clips made for the tests: moving pictures and sound of which everything is known."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame


def picture(width: int, height: int, index: int) -> np.ndarray:
    """RGB ``(H, W, 3)``: red left, green right, blue growing with the index; a white bar that moves."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = 200
    image[:, width // 2 :, 1] = 200
    image[..., 2] = min(240, 8 * index)
    bar = index % max(1, height)
    image[bar : bar + max(1, height // 8)] = 255
    return image


def write_clip(
    path: Path,
    *,
    size: tuple[int, int] = (64, 48),
    count: int = 30,
    rate: Fraction = Fraction(25),
    pts: list[int] | None = None,
    time_base: Fraction | None = None,
    pix_fmt: str = "yuv420p",
    codec: str = "libx264",
    audio: str | None = None,
    layout: str = "mono",
    audio_rate: int = 48_000,
    rotation: int = 0,
    faststart: bool = False,
    live: bool = False,
    gop: int = 12,
    options: dict[str, str] | None = None,
) -> Path:
    """A clip of ``count`` frames of ``picture``, or one a ``pts`` in ``time_base``; a tone as ``audio``."""
    container_options = {"movflags": "faststart"} if faststart else {"live": "1"} if live else {}
    with av.open(str(path), "w", container_options=container_options) as output:
        stream: Any = output.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.gop_size = gop
        if rotation:
            stream.set_display_rotation(rotation)
        base = time_base or 1 / rate
        stream.codec_context.time_base = base
        times = pts or list(range(count))
        if audio:
            seconds = float((times[-1] + 1) * base) if pts else float(count / rate)
            _add_tone(output, audio, seconds, layout, audio_rate)
        for index, each in enumerate(times):
            frame = VideoFrame.from_ndarray(picture(*size, index), "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = each, base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def _add_tone(
    output: av.container.OutputContainer, codec: str, seconds: float, layout: str = "mono", rate: int = 48_000
) -> None:
    """440 Hz, written before the pictures: the file's order of packets is the muxer's business."""
    stream: Any = output.add_stream(codec, rate=rate)
    stream.layout = layout
    for begin in range(0, int(seconds * rate), 1024):
        turn = 2 * math.pi * 440 * np.arange(begin, begin + 1024) / rate
        tone = (np.sin(turn) * 0.3).astype(np.float32)[None].repeat(stream.codec_context.channels, 0)
        frame = av.AudioFrame.from_ndarray(tone, "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a web server that gives the files in ``folder``."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


def write_sound(path: Path, codec: str = "aac") -> Path:
    """Half a second of tone, no picture."""
    with av.open(str(path), "w") as output:
        _add_tone(output, codec, 0.5)
    return path


def damage(path: Path, begin: float, end: float) -> Path:
    """Overwrite the part of a file between two shares of its length with noise."""
    data = bytearray(path.read_bytes())
    first, last = int(begin * len(data)), int(end * len(data))
    data[first:last] = np.random.default_rng(0).bytes(last - first)
    path.write_bytes(data)
    return path


def truncate(path: Path, share: float) -> Path:
    """Keep only the first ``share`` of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """Time in seconds and content of every packet of the first stream of a kind, by time."""
    with av.open(str(path)) as container:
        stream = next(each for each in container.streams if each.type == kind)
        found = [
            (each.pts * each.time_base, bytes(each))
            for each in container.demux(stream)
            if each.pts is not None
        ]
    return sorted(found)
