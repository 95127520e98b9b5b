"""``kptrack bench --live``: a clip as a live source at 720p and 30 frames a second, and what keeps up."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from fractions import Fraction
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from engines import Engine, Model, Points, load_model, open_engine
from tracker import Frame, Overlay, Result, Source, open_sink, open_source
from tracker.live import LiveSession
from tracker.values import NOBODY
from ui.failures import Exit, usage
from ui.headless import run_session
from ui.interrupt import Interrupt
from ui.jobs import check_reports
from ui.machine import machine, versions

_SIZE = (1280, 720)
_FPS = 30
_MOST_FRAMES = 300
_SECONDS = 15.0
# What an engine that is far too slow takes: drops must rise then, not latency.
_SLOW_MS = 200
_COLUMNS = ("fps_in", "fps_processed", "fps_shown", "latency_p50_ms", "latency_p95_ms", "dropped")


def run_bench_live(model: str, clip: Path, json_file: Path | None, markdown: Path | None) -> Exit:
    """The whole command: measure, print the table to stdout, write the files."""
    check_reports((json_file, markdown))
    with usage():
        loaded = load_model(model)
    found: dict[str, object] = {
        "machine": machine(),
        "versions": {**versions(), "model": f"{loaded.name} sha256 {loaded.digest[:12]}"},
    }
    rows = measure_live(loaded, clip)
    if len(rows) < 2:
        return Exit.INTERRUPTED
    found["live"] = rows
    text = as_markdown(rows)
    print(text)
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=2) + "\n")
    if markdown is not None:
        markdown.write_text(text + "\n")
    return Exit.FINE


def measure_live(model: Model, clip: Path) -> list[dict[str, object]]:
    """Figures as of ``kptrack live --no-window``, of the model as it is and with 200 ms more a frame.

    Raises ``SourceError``, also for a clip that breaks off. Ctrl-C ends it, with fewer rows.
    """
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder, Interrupt() as cancel, cancel.held():
        steady = write_steady(clip, Path(folder) / "steady.mp4")
        for added_ms in (0, _SLOW_MS):
            print(f"{clip.name}, live, {added_ms} ms added to each inference …", file=sys.stderr)
            session = LiveSession(str(steady), partial(_slowed, model, added_ms), loop=True)
            status, figures = run_session(session, Overlay(), _SECONDS, cancel, lambda _: None)
            for error in (status.error, status.engine.error):
                if error is not None:
                    raise error
            if not cancel.asked:
                rows.append({"added_ms": added_ms, **figures})
    return rows


def _slowed(model: Model, added_ms: float) -> Engine:
    return Slowed(open_engine(model), added_ms)


class Slowed:
    """An engine that takes longer than it must."""

    def __init__(self, engine: Engine, added_ms: float) -> None:
        self._engine, self._added_s = engine, added_ms / 1000
        self.skeleton, self.input_size, self.crop_scale = (
            engine.skeleton,
            engine.input_size,
            engine.crop_scale,
        )
        self.runtime, self.precision, self.describe = engine.runtime, engine.precision, engine.describe

    def __call__(self, crops: np.ndarray) -> Points:
        """See ``Engine``."""
        time.sleep(self._added_s)
        return self._engine(crops)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


class _Steady(Source):
    """A clip's frames, fitted into 720p and timed at 30 a second."""

    width, height = _SIZE
    fps = float(_FPS)
    time_base = Fraction(1, _FPS)

    def __init__(self, name: str) -> None:
        self.name = name


def write_steady(clip: Path, path: Path) -> Path:
    """The first 300 frames of a clip at 720p and 30 frames a second, as MP4. Raises ``SourceError``."""
    with (
        open_source(clip, max_frames=_MOST_FRAMES) as source,
        open_sink(path, _Steady(source.name), Overlay(parts=())) as sink,
    ):
        for frame in source:
            fitted = Frame(_fit(frame.image), frame.index, frame.index / _FPS, frame.index)
            sink.write(Result(fitted, (), NOBODY))
    return path


def _fit(image: np.ndarray) -> np.ndarray:
    """The picture as large as it fits, in the middle of black."""
    height, width = image.shape[:2]
    scale = min(_SIZE[0] / width, _SIZE[1] / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = np.zeros((_SIZE[1], _SIZE[0], 3), np.uint8)
    left, top = (_SIZE[0] - inner[0]) // 2, (_SIZE[1] - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(
        image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    return canvas


def as_markdown(rows: list[dict[str, object]]) -> str:
    """The figures as a Markdown table."""
    lines = [
        f"| added ms | {' | '.join(_COLUMNS)} | rss MB |".replace("_", " "),
        "|---" * (len(_COLUMNS) + 2) + "|",
    ]
    for row in rows:
        dropped = row["dropped"]
        assert isinstance(dropped, dict)
        cells = {**row, "dropped": sum(dropped.values())}
        lines.append(
            f"| {row['added_ms']} | {' | '.join(str(cells[name]) for name in _COLUMNS)} "
            f"| {row['rss_mb_start']} → {row['rss_mb_end']} |"
        )
    return "\n".join(lines)
