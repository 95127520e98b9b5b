"""From frames to tracks, and the threads and files that carry them. The whole program:

import tracker
from engines import open_engine
engine = open_engine("face")
with tracker.open_source("clip.mp4") as source, tracker.open_sink("out.mp4", source) as sink:
    track = tracker.Tracker(engine)
    for frame in source:
        sink.write(track.step(frame))
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tracker.config import TrackerSettings, VideoSettings, load_settings
from tracker.feed import CameraError, Source, SourceError, shown_name
from tracker.overlay import Overlay, draw
from tracker.pipeline import Pipeline, Status
from tracker.records import DATA_SUFFIXES, RunInfo
from tracker.sinks import Sink, SinkError
from tracker.stills import list_inputs
from tracker.timing import StageTime, Stopwatch
from tracker.track import Tracker
from tracker.values import Frame, Landmarks, Result, Track

if TYPE_CHECKING:
    from tracker.export import open_data, open_sink
    from tracker.sources import open_source

# These need PyAV, which a machine that only trains does not have.
_LATE = {
    "open_data": "tracker.export",
    "open_sink": "tracker.export",
    "open_source": "tracker.sources",
}

__all__ = [
    "DATA_SUFFIXES",
    "CameraError",
    "Frame",
    "Landmarks",
    "Overlay",
    "Pipeline",
    "Result",
    "RunInfo",
    "Sink",
    "SinkError",
    "Source",
    "SourceError",
    "StageTime",
    "Status",
    "Stopwatch",
    "Track",
    "Tracker",
    "TrackerSettings",
    "VideoSettings",
    "draw",
    "list_inputs",
    "load_settings",
    "open_data",
    "open_sink",
    "open_source",
    "shown_name",
]


def __getattr__(name: str) -> object:
    """Import what needs PyAV when it is first asked for."""
    if name in _LATE:
        return getattr(import_module(_LATE[name]), name)
    raise AttributeError(f"module 'tracker' has no attribute {name!r}")
