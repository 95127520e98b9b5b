"""Where the time of a frame goes when a clip is tracked."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines import Engine, Model, open_engine
from engines.crop import cut, landmark_boxes
from tracker import Pipeline, Stopwatch, Tracker, open_sink, open_source
from ui.interrupt import Cancel

_MOST_FRAMES = 300
_MOST_CROPS = 32
_LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class Stage:
    """One stage: median wall time and mean processor time, over all cores, of a frame."""

    stage: str
    median_ms: float
    cpu_ms: float


class _Cancelled(Exception):
    """The run was told to end; its files are not kept."""


@dataclass(frozen=True)
class StageFigures:
    """A clip's stages, its speed with all of them overlapping, and face crops ``(N, S, S, 3)`` of it."""

    stages: tuple[Stage, ...]
    end_to_end_fps: float
    frames: int
    frames_with_subject: int
    crops: np.ndarray


def time_stages(model: Model, video: Path, cancel: Cancel) -> StageFigures | None:
    """Track the first 300 frames of a clip: one stage after the other, then as ``process`` does.

    The first run counts the processor time of all threads, those of libraries included, which is only
    possible while nothing overlaps. None when ``cancel`` was asked for before it was done. Raises
    ``SourceError``.
    """
    engine = open_engine(model)
    try:
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "bench.mp4"
            stopwatch = Stopwatch(time.process_time)
            frames, crops = _one_by_one(engine, video, output, stopwatch, cancel)
            fps, found = _overlapping(engine, video, output, cancel)
    except _Cancelled:
        return None
    finally:
        engine.close()
    stages = [
        # A stage that runs every few frames counts with its share.
        Stage(name, round(each.median_ms, 3), round(each.cpu_ms * each.count / frames, 3))
        for name, each in stopwatch.stages().items()
    ]
    return StageFigures(tuple(stages), round(fps, 2), frames, found, crops)


def _one_by_one(
    engine: Engine, video: Path, output: Path, stopwatch: Stopwatch, cancel: Cancel
) -> tuple[int, np.ndarray]:
    """Number of frames, and crops around the landmarks found, spread over the clip."""
    size = engine.input_size
    crops = [np.empty((0, size, size, 3), np.uint8)]
    tracker = Tracker(engine, stopwatch=stopwatch)
    with (
        open_source(video, max_frames=_MOST_FRAMES) as source,
        open_sink(output, source, stopwatch=stopwatch) as sink,
    ):
        frames = iter(source)
        count = 0
        every = max(1, min(source.frames or _MOST_FRAMES, _MOST_FRAMES) // _MOST_CROPS)
        while True:
            with stopwatch("decode"):
                frame = next(frames, None)
            if cancel.asked:
                raise _Cancelled
            if frame is None:
                return count, np.concatenate(crops)
            result = tracker.step(frame)
            sink.write(result)
            if count % every == 0 and result.tracks and len(crops) <= _MOST_CROPS:
                points = result.tracks[0].landmarks.xy_raw[None]
                crops.append(cut(frame.image, landmark_boxes(points, engine.crop_scale), size))
            count += 1


def _overlapping(engine: Engine, video: Path, output: Path, cancel: Cancel) -> tuple[float, int]:
    """Frames a second of the pipeline, closing of the file included, and frames with a subject."""
    begin = time.perf_counter()
    with (
        open_source(video, max_frames=_MOST_FRAMES) as source,
        open_sink(output, source) as sink,
    ):
        pipeline = Pipeline(source, lambda: Tracker(engine), [sink])
        pipeline.start()
        while not pipeline.join(_LOOK_EVERY_S):
            if cancel.asked:
                pipeline.stop()
        if cancel.asked:
            raise _Cancelled
    status = pipeline.status()
    return status.done / (time.perf_counter() - begin), status.with_subject
