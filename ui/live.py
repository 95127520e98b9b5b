"""``kptrack live``: what was asked for, and the session that does it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engines import Engine, Report, load_model, open_engine
from engines.automatic import live_model
from engines.engine import check_names
from tracker import Overlay, TrackerSettings
from tracker.detect import check_detector
from tracker.live import CameraRequest, LiveSession
from ui.failures import UsageError, usage

# They take from half a minute to many; others take about a second.
_SLOW_TO_BUILD = ("compile", "tensorrt")


@dataclass(frozen=True)
class LiveOptions:
    """The options of ``kptrack live``, for the window and for a run without one."""

    model: str = field(default_factory=live_model)
    runtime: str = "auto"
    precision: str = "auto"
    device: str = "auto"
    settings: TrackerSettings = field(default_factory=TrackerSettings)
    overlay: Overlay = field(default_factory=Overlay)
    camera: CameraRequest = field(default_factory=CameraRequest)
    mirror: bool = False
    record: Path | None = None
    data: Path | None = None
    duration_s: float | None = None  # ends by itself after so long

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a runtime or precision that there is not."""
        check_names(self.runtime, self.precision)


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of ``1280x720``. Raises ``UsageError``."""
    if not re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}", text):
        raise UsageError(f"{text!r} is not a size such as 1280x720")
    width, height = (int(each) for each in text.split("x"))
    return width, height


def engine_of(options: LiveOptions) -> tuple[Callable[[], Engine], str, Callable[[Report], Engine] | None]:
    """The arguments of ``LiveSession.swap_engine``: what builds an engine, its model, and a better engine.

    A runtime that is slow to build is the better one, so that a quick one shows landmarks until then.
    Raises ``UsageError`` for a model that is not there.
    """
    with usage():
        model = load_model(options.model)
        check_detector(options.settings.detector, model.skeleton)

    def build(runtime: str) -> Engine:
        return open_engine(model, runtime, options.precision, options.device)

    def better(report: Report) -> Engine:
        report("compiling" if options.runtime == "compile" else "loading", None)
        return open_engine(model, options.runtime, options.precision, options.device, report)

    if options.runtime in _SLOW_TO_BUILD:
        return lambda: build("auto"), model.digest, better
    return lambda: build(options.runtime), model.digest, None


def open_session(source: str, options: LiveOptions, loop: bool = False) -> LiveSession:
    """A session as the options say, not started. Raises ``UsageError`` for a model that is not there."""
    return LiveSession(
        source,
        *engine_of(options),
        options.settings,
        mirror=options.mirror,
        camera=options.camera,
        loop=loop,
    )
