"""A live run without a window: ``kptrack live --no-window``, and what measures live runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from threading import Thread

from tracker import Overlay, SinkError, draw
from tracker.live import LiveSession, LiveStatus
from ui.failures import Exit, UsageError, explain, usage
from ui.interrupt import Cancel, Interrupt
from ui.live import LiveOptions, open_session
from ui.machine import resident_mb

_LOOK_EVERY_S = 0.1
# For what is in hand and the rest of a recording; after that something hangs.
_PATIENCE_S = 10.0
_OVER = ("ended", "failed")

Hear = Callable[[LiveStatus], None]


def run_headless(source: str, options: LiveOptions) -> Exit:
    """The whole command: text on stderr, the final status as JSON on stdout."""
    session = open_session(source, options)
    if options.record is not None or options.data is not None:
        with usage():
            try:
                session.start_recording(options.record, options.data, options.overlay)
            except SinkError as error:  # a file of that name exists
                raise UsageError(str(error)) from error
    news = News(_say)
    with Interrupt() as cancel, cancel.held():
        status, figures = run_session(session, options.overlay, options.duration_s, cancel, news.hear)
    news.conclude(status)
    print(json.dumps(figures))
    return Exit.INTERRUPTED if cancel.asked else _code(status)


def run_session(
    session: LiveSession, overlay: Overlay, duration_s: float | None, cancel: Cancel, hear: Hear
) -> tuple[LiveStatus, dict[str, object]]:
    """Run to the end: of the time, of the source, of the engine, or when ``cancel`` is asked.

    ``hear`` is told the status ten times a second. Returns the final one and its figures as plain values.
    """
    figures = Figures()
    session.start()
    display = Thread(target=_display, args=(session, overlay), name="kptrack display", daemon=True)
    display.start()
    status = session.status()
    try:
        while not cancel.asked:
            status = session.status()
            hear(status)
            figures.follow(status)
            lost = status.engine.failure and not (status.engine.describe or status.engine.building)
            # A picture or a short clip ends before there is an engine, which then looks at its last frame.
            over = status.state in _OVER and not (
                status.state == "ended" and status.engine.building and not status.processed
            )
            if over or lost or (duration_s is not None and status.seconds >= duration_s):
                break
            time.sleep(_LOOK_EVERY_S)
    finally:
        session.stop()
        session.join(_PATIENCE_S)
        display.join(_LOOK_EVERY_S)
    # What is in hand when it stops is finished after the clock: rates are those of the run before.
    found = figures.of(status)
    status = session.status()
    hear(status)
    return status, found


def _display(session: LiveSession, overlay: Overlay) -> None:
    """Draw every picture, as a window would; the thread's one guard."""
    complained = False
    for shown in session.results():
        try:
            draw(shown.result, overlay)
        except Exception as error:  # noqa: BLE001 (one picture lost; the recording and the rest go on)
            if not complained:
                _say(f"kptrack: a picture cannot be drawn: {explain(error)[0]}")
            complained = True
        session.mark_shown(shown)


class Figures:
    """Rates over the time in which there were landmarks: loading the engine is not what is measured."""

    def __init__(self) -> None:
        self._first: LiveStatus | None = None
        self._rss_mb = resident_mb()

    def follow(self, status: LiveStatus) -> None:
        """Remember where the landmarks began."""
        if self._first is None and status.processed:
            self._first, self._rss_mb = status, resident_mb()

    def of(self, status: LiveStatus) -> dict[str, object]:
        """The figures of a run that ends with ``status``; the names are those of the README."""
        first = self._first
        since_s = status.seconds - (first.seconds if first else 0.0)
        captured, processed, shown = (
            (now - before) / since_s if since_s > 0 else 0.0
            for now, before in (
                (status.captured, first.captured if first else 0),
                (status.processed, first.processed if first else 0),
                (status.shown, first.shown if first else 0),
            )
        )
        return {
            "seconds": round(status.seconds, 2),
            "fps_in": round(captured, 2),
            "fps_processed": round(processed, 2),
            "fps_shown": round(shown, 2),
            "latency_p50_ms": status.run_latency_p50_ms,
            "latency_p95_ms": status.run_latency_p95_ms,
            "dropped": status.dropped,
            "rss_mb_start": self._rss_mb,
            "rss_mb_end": resident_mb(),
            "runtime": status.engine.runtime,
            "reconnects": status.reconnects,
        }


class News:
    """Says what changes in a run, each thing once, and leaves out what only counts on."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: dict[str, str] = {}

    def hear(self, status: LiveStatus) -> None:
        """Say what is new."""
        self._tell("source", _about_source(status))
        engine, recording = status.engine, status.recording
        self._tell("engine", engine.describe and f"model: {engine.describe}")
        self._tell("build", engine.phase and f"building: {engine.phase}")
        self._tell("failure", engine.failure and f"kptrack: model: {engine.failure}")
        if recording.active or recording.frames:
            self._tell("recording", f"recording: {recording.path}")
        self._tell("trouble", recording.message and f"kptrack: {recording.message}")
        if status.dropped["record"]:
            self._tell("dropped", "recording: frames are left out; the encoder or the disk is too slow")

    def conclude(self, status: LiveStatus) -> None:
        """The summary."""
        recording = status.recording
        if recording.path is not None:
            self._say(f"recorded {recording.frames} frames, {status.dropped['record']} left out")
        if not status.captured and status.state not in _OVER:
            self._say(f"kptrack: {status.source}: no picture came")

    def _tell(self, what: str, line: str) -> None:
        if line and self._said.get(what) != line:
            self._say(line)
        self._said[what] = line


def _about_source(status: LiveStatus) -> str:
    match status.state:
        case "failed":
            return f"kptrack: {status.message}"
        case "reconnecting":
            return f"{status.message}; trying again"
        case "stalled":  # its message counts the seconds
            return f"{status.source}: no picture comes"
        case "live":
            size = f"{status.width}x{status.height} at {status.source_fps:.4g} frames/s"
            return status.message or f"{status.source}: {size}"
    return f"{status.source}: {status.state}"


def _code(status: LiveStatus) -> Exit:
    """What a run that was not interrupted ends with."""
    # A source that is being tried again counts as failed only if it never gave a picture.
    source = status.error if status.state == "failed" or not status.captured else None
    error = source or status.engine.error
    if error is not None:
        return explain(error)[1]
    return Exit.FAILED if status.recording.message or not status.captured else Exit.FINE


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
