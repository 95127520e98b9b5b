"""Where to look: around the previous landmarks, and now and then in the whole frame for somebody new.

A box is a row ``(centre x, centre y, side, roll)`` as in ``engines.crop``. Landmark boxes have the longer
side of the landmarks' extent; a crop is ``crop_scale`` times as large.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.skeleton import Skeleton
from tracker.config import TrackerSettings
from tracker.detect import Detector
from tracker.match import Subject, overlaps

# Crops turn with a head only as far as it leans further than this: the models are trained with that much,
# and a crop that followed every measured degree would also follow a model's bias, frame after frame.
_FREE_ROLL = np.radians(15)
_MOST_ROLL = np.radians(60)
# Eyes closer than this, in units of the box, belong to a profile: their line says nothing about roll.
_LEAST_EYE_DISTANCE = 0.15
# How much of a newly measured side and roll is believed: a size does not jump, and half the jitter goes.
_BELIEF = 0.5


class Locator:
    """Crops of the next frame: one around every subject, then those of a search when one is due."""

    def __init__(
        self, detector: Detector, skeleton: Skeleton, crop_scale: float, settings: TrackerSettings
    ) -> None:
        self._detector, self._crop_scale, self._settings = detector, crop_scale, settings
        # Heads have an upright that crops can be turned to; bodies lie down and must be seen doing so.
        self._eyes = tuple(
            [index for index, joint in enumerate(skeleton.joints) if joint.startswith(side)]
            for side in ("left_eye", "right_eye")
        )
        self._since_search = 0
        self._searches = 0

    def __call__(self, image: np.ndarray, subjects: Sequence[Subject]) -> np.ndarray:
        """Crop boxes ``(N, 4)`` float32 in ``image``; those of the subjects come first, in their order."""
        for subject in subjects:
            if subject.seen:
                subject.crop = self._follow(subject)
        boxes = [subject.crop for subject in subjects]
        seen = [subject for subject in subjects if subject.seen]
        self._since_search += 1
        if not seen or (
            len(seen) < self._settings.max_subjects and self._since_search >= self._settings.detect_every
        ):
            boxes += self._search(image, seen)
        return np.array(boxes, np.float32).reshape(-1, 4)

    def _search(self, image: np.ndarray, seen: list[Subject]) -> list[np.ndarray]:
        """Crop boxes of a search, without those of subjects that are followed already."""
        # The first search, and one in detect_every while nobody is there, leaves nothing untried.
        thorough = not seen and self._searches % self._settings.detect_every == 0
        self._since_search, self._searches = 0, self._searches + 1
        found = self._detector(image, thorough)
        found[:, 2] *= self._crop_scale
        crops = [subject.crop for subject in seen]
        return [box for box in found if not any(overlaps(box, crop) for crop in crops)]

    def _follow(self, subject: Subject) -> np.ndarray:
        """The crop around the landmarks of the frame before, turned so that the head leans little in it."""
        previous = subject.crop
        roll = float(previous[3])
        if all(self._eyes):
            left, right = (subject.xy[eye].mean(axis=0) for eye in self._eyes)
            across = right - left
            if np.hypot(*across) > _LEAST_EYE_DISTANCE * previous[2] / self._crop_scale:
                lean = float(np.clip(np.arctan2(across[1], across[0]), -_MOST_ROLL, _MOST_ROLL))
                wanted = np.sign(lean) * max(0.0, abs(lean) - _FREE_ROLL)
                roll += _BELIEF * (float(wanted) - roll)
        turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        level = subject.xy @ turn  # the landmarks turned by -roll
        low, high = level.min(axis=0), level.max(axis=0)
        centre = turn @ ((low + high) / 2)
        side = max(float((high - low).max()), 1.0) * self._crop_scale
        side = float(previous[2]) + _BELIEF * (side - float(previous[2]))
        return np.array([*centre, side, roll], np.float32)
