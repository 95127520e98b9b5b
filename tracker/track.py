"""One step of the tracker, and all the state there is."""

from __future__ import annotations

from itertools import count

import numpy as np

from engines.crop import cut, to_frame
from engines.engine import Engine
from tracker.config import TrackerSettings
from tracker.locate import Locator, make_detector
from tracker.match import Candidates, Subject, assign, distinct, extents, sizes
from tracker.smooth import OneEuro, Smoother, unsmoothed
from tracker.timing import Stopwatch
from tracker.values import Frame, Landmarks, Result, Track


class Tracker:
    """Finds subjects and follows them from frame to frame.

    Frames come in the order of time, from one thread. Stages ``locate``, ``cut``, ``infer``, ``match``
    and ``smooth`` are timed on ``stopwatch``. Raises ``ValueError`` for a detector that does not suit
    the engine's skeleton, ``MissingCapability`` for one that this machine lacks.
    """

    def __init__(
        self, engine: Engine, settings: TrackerSettings | None = None, stopwatch: Stopwatch | None = None
    ) -> None:
        self._engine = engine
        self._settings = settings or TrackerSettings()
        self._watch = stopwatch or Stopwatch()
        detector = make_detector(self._settings.detector, engine.skeleton, engine.crop_scale)
        self._locate = Locator(detector, engine.skeleton, engine.crop_scale, self._settings)
        self._subjects: list[Subject] = []
        self._ids = count(1)

    def step(self, frame: Frame) -> Result:
        """The subjects of the next frame, in the order of their ids."""
        with self._watch("locate"):
            boxes = self._locate(frame.image, self._subjects)
        with self._watch("cut"):
            crops = cut(frame.image, boxes, self._engine.input_size)
        with self._watch("infer"):
            found = self._infer(crops, boxes)
        with self._watch("match"):
            self._match(distinct(found, self._settings.min_score), frame.time_s)
        with self._watch("smooth"):
            tracks = tuple(_track(each, frame.time_s) for each in self._subjects if each.seen)
        return Result(frame, tracks, self._engine.skeleton)

    def _infer(self, crops: np.ndarray, boxes: np.ndarray) -> Candidates:
        points = self._engine(crops)
        xy = to_frame(points.xy, boxes, self._engine.input_size)
        return Candidates(xy, points.score, points.subject_score, boxes)

    def _match(self, found: Candidates, time_s: float) -> None:
        """Give the candidates to their subjects, forget who was lost for too long, welcome who is new."""
        for subject in self._subjects:
            subject.seen = False
        free = set(range(len(found.xy)))
        for row, column in assign(self._subjects, found):
            _update(self._subjects[row], found, column, time_s)
            free.remove(column)
        patience_s = self._settings.patience_s
        self._subjects = [each for each in self._subjects if time_s - each.seen_s <= patience_s]
        room = self._settings.max_subjects - sum(subject.seen for subject in self._subjects)
        for column in sorted(free)[: max(0, room)]:
            self._subjects.append(self._welcome(found, column, time_s))

    def _welcome(self, found: Candidates, column: int, time_s: float) -> Subject:
        smooth: Smoother = OneEuro() if self._settings.smooth == "one-euro" else unsmoothed
        return Subject(
            id=next(self._ids),
            xy=found.xy[column],
            score=found.score[column],
            subject_score=float(found.subject_score[column]),
            crop=found.crops[column],
            smooth=smooth,
            seen_s=time_s,
        )


def _update(subject: Subject, found: Candidates, column: int, time_s: float) -> None:
    subject.xy, subject.score = found.xy[column], found.score[column]
    subject.subject_score = float(found.subject_score[column])
    subject.crop = found.crops[column]
    subject.seen_s, subject.seen = time_s, True


def _track(subject: Subject, time_s: float) -> Track:
    size = float(sizes(extents(subject.xy[None]))[0])
    xy = subject.smooth(subject.xy, size, time_s)
    box = extents(xy[None])[0]
    return Track(subject.id, box, Landmarks(xy, subject.xy, subject.score), subject.subject_score)
