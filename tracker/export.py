"""Outputs: annotated video or still, and data."""

from __future__ import annotations

from pathlib import Path

from tracker.config import VideoSettings
from tracker.overlay import Overlay
from tracker.records import RunInfo
from tracker.sinks import Sink
from tracker.sources import Source
from tracker.timing import Stopwatch


def open_sink(
    path: str | Path,
    source: Source,
    overlay: Overlay | None = None,
    video: VideoSettings | None = None,
    stopwatch: Stopwatch | None = None,
) -> Sink:
    """Annotated video (``.mp4``) or, for a name ending in .jpg, .png, …, an annotated still."""
    raise NotImplementedError


def open_data(path: str | Path, source: Source, info: RunInfo) -> Sink:
    """Data by the ending of the name: .parquet, .csv, .jsonl, .json (COCO)."""
    raise NotImplementedError
