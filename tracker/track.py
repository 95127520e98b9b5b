"""One step of the tracker, and all the state there is."""

from __future__ import annotations

from itertools import count

import numpy as np

from engines.crop import cut, to_frame
from engines.engine import Engine
from tracker.config import TrackerSettings
from tracker.detect import make_detector
from tracker.locate import Locator
from tracker.match import Candidates, Subject, assign, distinct, extents, filling, sizes
from tracker.sides import Sides
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
        self.engine, self.settings = engine, settings or TrackerSettings()
        self._watch = stopwatch or Stopwatch()
        self._detector = make_detector(self.settings.detector, engine.skeleton, engine.crop_scale)
        self._locate = self._locator()
        self._subjects: list[Subject] = []
        self._ids = count(1)

    def change(self, engine: Engine, settings: TrackerSettings) -> None:
        """Go on with another engine or other settings; raises as the constructor does, changing nothing.

        Subjects stay and keep their ids, as many as there may be now. Those of another skeleton are lost, and
        their ids do not return.
        """
        old, before = self.engine, self.settings
        # Loading a detector takes longer than a frame lasts, and a threshold is dragged frame by frame.
        if engine is not old or settings.detector != before.detector:
            self._detector = make_detector(settings.detector, engine.skeleton, engine.crop_scale)
        self.engine, self.settings = engine, settings
        self._locate = self._locator()
        kept = self._subjects if engine.skeleton == old.skeleton else []
        self._subjects = _seen_last(kept, settings.max_subjects)
        if settings.smooth != before.smooth:
            for subject in self._subjects:
                subject.smooth = self._smoother()

    def _locator(self) -> Locator:
        return Locator(self._detector, self.engine.skeleton, self.engine.crop_scale, self.settings)

    def step(self, frame: Frame) -> Result:
        """The subjects of the next frame, in the order of their ids."""
        with self._watch("locate"):
            boxes = self._locate(frame.image, self._subjects)
        with self._watch("cut"):
            crops = cut(frame.image, boxes, self.engine.input_size)
        with self._watch("infer"):
            found = self._infer(crops, boxes)
        with self._watch("match"):
            whole = filling(found, self.engine.crop_scale)
            self._match(distinct(whole, self.settings.min_score), frame.time_s)
        with self._watch("smooth"):
            tracks = tuple(_track(each, frame.time_s) for each in self._subjects if each.seen)
        return Result(frame, tracks, self.engine.skeleton)

    def _infer(self, crops: np.ndarray, boxes: np.ndarray) -> Candidates:
        points = self.engine(crops)
        xy = to_frame(points.xy, boxes, self.engine.input_size)
        return Candidates(xy, points.score, points.subject_score, boxes)

    def _match(self, found: Candidates, time_s: float) -> None:
        """Give the candidates to their subjects, forget who was lost for too long, welcome who is new."""
        for subject in self._subjects:
            subject.seen = False
        free = set(range(len(found.xy)))
        for row, column in assign(self._subjects, found):
            _update(self._subjects[row], found, column, time_s)
            free.remove(column)
        patience_s = self.settings.patience_s
        self._subjects = [each for each in self._subjects if time_s - each.seen_s <= patience_s]
        room = self.settings.max_subjects - sum(subject.seen for subject in self._subjects)
        for column in sorted(free)[: max(0, room)]:
            self._subjects.append(self._welcome(found, column, time_s))
        # Who came took the place of who was lost.
        self._subjects = _seen_last(self._subjects, self.settings.max_subjects)

    def _welcome(self, found: Candidates, column: int, time_s: float) -> Subject:
        return Subject(
            id=next(self._ids),
            xy=found.xy[column],
            score=found.score[column],
            subject_score=float(found.subject_score[column]),
            crop=found.crops[column],
            smooth=self._smoother(),
            seen_s=time_s,
            sides=Sides(self.engine.skeleton) if self.engine.skeleton.sides else None,
        )

    def _smoother(self) -> Smoother:
        return OneEuro() if self.settings.smooth == "one-euro" else unsmoothed


def _seen_last(subjects: list[Subject], most: int) -> list[Subject]:
    """At most so many of the subjects, those who were seen last, in the order of their ids."""
    latest = sorted(subjects, key=lambda each: -each.seen_s)[:most]
    return sorted(latest, key=lambda each: each.id)


def _update(subject: Subject, found: Candidates, column: int, time_s: float) -> None:
    xy, score = found.xy[column], found.score[column]
    if subject.sides:
        order = subject.sides.order(subject.xy, xy, time_s)
        xy, score = xy[order], score[order]
    subject.xy, subject.score = xy, score
    subject.subject_score = float(found.subject_score[column])
    subject.crop = found.crops[column]
    subject.seen_s, subject.seen = time_s, True


def _track(subject: Subject, time_s: float) -> Track:
    size = float(sizes(extents(subject.xy[None]))[0])
    xy = subject.smooth(subject.xy, size, time_s)
    box = extents(xy[None])[0]
    return Track(subject.id, box, Landmarks(xy, subject.xy, subject.score), subject.subject_score)
