"""Left and right of a body do not flicker, and do not stay wrong."""

from __future__ import annotations

import numpy as np
import pytest

from engines.skeleton import HUMAN
from tracker.sides import Sides

SAME = np.arange(len(HUMAN.joints))


@pytest.fixture
def body():
    rng = np.random.default_rng(0)
    xy = np.zeros((len(HUMAN.joints), 2), np.float32)
    for index, joint in enumerate(HUMAN.joints):
        xy[index] = (50 + 20 * {"l": 1, "r": -1}.get(joint[0] if joint[1] == "_" else "", 0), 6 * min(index, HUMAN.mirror[index]))
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
