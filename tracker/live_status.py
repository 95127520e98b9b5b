"""What a live run says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tracker.timing import StageTime


@dataclass(frozen=True)
class EngineStatus:
    """The engine in use. ``describe`` is its own line, "" before the first one is ready.

    ``building``: another one is being made; ``phase`` is what it is at and ``share`` how much of that is
    done, 0 to 1, where it says so ("", None). ``failure``: why there is none, or why the last one asked for
    did not replace it; one line, "" where all is well. ``error`` is what was raised.
    """

    runtime: str = ""
    precision: str = ""
    describe: str = ""
    building: bool = False
    phase: str = ""
    share: float | None = None
    failure: str = ""
    error: Exception | None = None


@dataclass(frozen=True)
class RecordingStatus:
    """The recording: ``active`` until its last file is closed.

    ``path`` is the file being written, the newest segment after a reconnect (the data file where there is
    no video; None before the first recording). ``frames`` and ``dropped`` count all segments. ``message``
    is one line: why it stopped by itself (disk full) or what was lost, else "".
    """

    active: bool = False
    path: Path | None = None
    frames: int = 0
    dropped: int = 0
    message: str = ""


@dataclass(frozen=True)
class LiveStatus:
    """A snapshot of a live run. Rates are over the last 3 s, latencies over the last 10 s."""

    state: str  # one of STATES
    message: str  # about the source, one line: why it failed, reconnects, looks wrong; "" where all is well
    error: Exception | None  # what was raised, in the states failed and reconnecting
    source: str  # its name, without password and query
    width: int  # what was got, pixels; 0 before the first picture
    height: int
    source_fps: float  # what the source says of itself
    seconds: float  # since the start, until the stop
    captured: int  # pictures so far
    processed: int  # of these, those that went through an engine
    shown: int  # of these and the bare ones, those that were displayed
    fps_in: float
    fps_processed: float
    fps_shown: float
    latency_p50_ms: float | None  # capture → display; None where nothing was displayed
    latency_p95_ms: float | None
    run_latency_p50_ms: float | None  # the same over the whole run, of pictures with landmarks
    run_latency_p95_ms: float | None
    dropped: dict[str, int]  # a hand-off each: "infer", "display", "record"
    stages: dict[str, StageTime]  # "read", those of the tracker and of the recording
    engine: EngineStatus
    reconnects: int
    recording: RecordingStatus
