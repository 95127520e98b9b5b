"""One step of the tracker."""

from __future__ import annotations

from engines.engine import Engine
from tracker.config import TrackerSettings
from tracker.timing import Stopwatch
from tracker.values import Frame, Result


class Tracker:
    """Follows subjects from frame to frame."""

    def __init__(
        self, engine: Engine, settings: TrackerSettings | None = None, stopwatch: Stopwatch | None = None
    ) -> None:
        """Stages locate, cut, infer, match, smooth are timed on ``stopwatch``."""
        raise NotImplementedError

    def step(self, frame: Frame) -> Result:
        """The subjects of the next frame."""
        raise NotImplementedError
