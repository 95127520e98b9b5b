"""Left and right of a body do not flicker, and do not stay wrong."""

from __future__ import annotations

import numpy as np
import pytest

from engines.engine import Points
from engines.skeleton import HUMAN
from tracker.config import TrackerSettings
from tracker.sides import Sides
from tracker.track import Tracker
from tracker.values import Frame

SAME = np.arange(len(HUMAN.joints))


@pytest.fixture
def body():
    rng = np.random.default_rng(0)
    xy = np.zeros((len(HUMAN.joints), 2), np.float32)
    for index, joint in enumerate(HUMAN.joints):
        beside = {"l_": 20, "r_": -20}.get(joint[:2], 0)
        xy[index] = (50 + beside, 6 * min(index, HUMAN.mirror[index]))
    return xy + rng.standard_normal(xy.shape).astype(np.float32)


def test_a_body_that_moves_keeps_its_names(body):
    sides = Sides(HUMAN)
    for frame in range(20):
        assert np.array_equal(sides.order(body, body + np.float32((3, 1)), frame / 25), SAME)


def test_names_exchanged_for_a_moment_are_put_right(body):
    sides = Sides(HUMAN)
    for frame in range(8):
        order = sides.order(body, body[HUMAN.mirror] + 1, frame / 25)
        assert np.array_equal(order, HUMAN.mirror)
    assert np.array_equal(sides.order(body, body + 1, 8 / 25), SAME)


def test_a_model_that_insists_is_believed(body):
    sides = Sides(HUMAN)
    orders = [sides.order(body, body[HUMAN.mirror], frame / 25) for frame in range(12)]
    renamed = [np.array_equal(each, HUMAN.mirror) for each in orders]
    assert renamed == [True] * 10 + [False] + [True]


def test_a_body_seen_from_the_side_has_nothing_to_exchange(body):
    narrow = body.copy()
    narrow[:, 0] = 50 + (narrow[:, 0] - 50) * 0.02
    assert np.array_equal(Sides(HUMAN).order(narrow, narrow[HUMAN.mirror], 0.0), SAME)


class Confused:
    """An engine that exchanges left and right in its third frame."""

    skeleton, input_size, crop_scale = HUMAN, 128, 1.25
    runtime, precision, describe = "fake", "fp32", "fake"

    def __init__(self, body):
        low, high = body.min(axis=0), body.max(axis=0)
        # It fills its crop as it should, so that the crop stays where it is.
        self._body = 63.5 + (body - (low + high) / 2) * (128 / 1.25 / (high - low).max())
        self._frames = 0

    def __call__(self, crops):
        self._frames += 1
        named = HUMAN.mirror if self._frames == 3 else SAME
        score = (0.5 + SAME / 100).astype(np.float32)
        xy, scores = (np.repeat(each[None, named], len(crops), axis=0) for each in (self._body, score))
        return Points(xy, scores, np.ones(len(crops), np.float32))


def test_the_tracker_renames_the_joints_of_a_confused_frame(body):
    settings = TrackerSettings(smooth="none", detector="center", max_subjects=1, detect_every=1000)
    tracker = Tracker(Confused(body), settings)
    image = np.zeros((128, 128, 3), np.uint8)
    marks = [tracker.step(Frame(image, index, index / 25, index)).tracks[0].landmarks for index in range(4)]
    found = [each.xy for each in marks]
    left = HUMAN.joints.index("l_wrist")
    right = HUMAN.joints.index("r_wrist")
    assert [each[left, 0] > each[right, 0] for each in found] == [True] * 4
    assert [each.score[left] < each.score[right] for each in marks] == [True] * 4  # scores go along
