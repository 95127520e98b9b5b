from __future__ import annotations

import numpy as np
import pytest
from fakes import SHAPE
from hypothesis import given
from hypothesis import strategies as st

from tracker.match import Candidates, Subject, assign, distinct, extents, filling, iou, overlaps
from tracker.smooth import unsmoothed


def face(x, y, size=50.0):
    return (SHAPE * size + (x, y)).astype(np.float32)


def subject(number, x, y, size=50.0):
    crop = np.array([x, y, size * 1.5, 0], np.float32)
    return Subject(number, face(x, y, size), np.ones(68), 0.9, crop, unsmoothed, 0.0)


def candidates(*faces, scores=None):
    xy = np.stack(faces) if faces else np.empty((0, 68, 2), np.float32)
    scores = np.full(len(faces), 0.9, np.float32) if scores is None else np.array(scores, np.float32)
    return Candidates(xy, np.ones(xy.shape[:2], np.float32), scores, np.zeros((len(faces), 4), np.float32))


def test_each_goes_to_the_nearest_whatever_the_order():
    subjects = [subject(1, 100, 100), subject(2, 200, 100)]
    assert assign(subjects, candidates(face(204, 98), face(97, 101))) == [(0, 1), (1, 0)]


def test_the_sum_decides_not_the_first_come():
    # Greedy matching would give the first subject its nearest, and the second nothing.
    subjects = [subject(1, 100, 100), subject(2, 130, 100)]
    pairs = assign(subjects, candidates(face(112, 100), face(85, 100)))
    assert pairs == [(0, 1), (1, 0)]


def test_too_far_is_somebody_else():
    assert assign([subject(1, 100, 100)], candidates(face(160, 100))) == []
    assert assign([subject(1, 100, 100, 200)], candidates(face(160, 100, 200))) == [(0, 0)]
    # How far is counted in sizes of the subject, not of what was found.
    assert assign([subject(1, 100, 100, 100)], candidates(face(150, 100, 50))) == [(0, 0)]


def test_nobody_and_nothing():
    assert assign([], candidates(face(1, 1))) == []
    assert assign([subject(1, 1, 1)], candidates()) == []
    assert len(distinct(candidates(), 0.5).xy) == 0


def test_of_two_alike_the_better_stays():
    found = candidates(face(100, 100), face(103, 100), face(300, 100), scores=[0.7, 0.9, 0.8])
    kept = distinct(found, 0.5)
    assert kept.subject_score == pytest.approx([0.9, 0.8])
    assert np.array_equal(kept.xy[0], found.xy[1])


def test_alike_are_also_those_in_the_same_box_and_those_whose_landmarks_lie_close():
    upside_down = ((100, 100) - SHAPE * 50).astype(np.float32)  # the same box, other landmarks
    beside = face(112, 100)  # a quarter of its size away: hardly half of the boxes in common
    for other in (upside_down, beside):
        assert len(distinct(candidates(face(100, 100), other), 0.5).xy) == 1
    assert len(distinct(candidates(face(100, 100), face(120, 100)), 0.5).xy) == 2


def test_weak_ones_go():
    assert distinct(candidates(face(1, 1), scores=[0.49]), 0.5).xy.shape == (0, 68, 2)


def test_landmarks_that_shrink_within_their_crop_go():
    crops = np.array([(100, 100, 75, 0)] * 3, np.float32)
    xy = np.stack([face(100, 100, size) for size in (50, 30, 22)])
    kept = filling(Candidates(xy, np.ones((3, 68), np.float32), np.array([0.7, 0.8, 0.9]), crops), 1.5)
    assert kept.subject_score.tolist() == [0.7, 0.8]
    assert len(filling(candidates(), 1.5).xy) == 0


def test_iou_of_known_boxes():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], float)
    assert iou(boxes, boxes)[0] == pytest.approx([1, 1 / 3, 0])


@given(st.lists(st.floats(-1e4, 1e4), min_size=8, max_size=8))
def test_iou_is_symmetric_and_within_bounds(values):
    corners = np.array(values).reshape(2, 2, 2)
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    table = iou(boxes, boxes)
    assert table == pytest.approx(table.T)
    assert (table >= 0).all()
    assert (table <= 1 + 1e-9).all()


def test_boxes_that_look_at_the_same():
    box = np.array([100, 100, 60, 0.0])
    assert overlaps(box, np.array([115, 95, 50, 0.3]))
    assert not overlaps(box, np.array([140, 100, 60, 0.0]))
    small = np.array([118, 100, 20, 0.0])  # within the larger one
    assert overlaps(box, small)
    assert overlaps(small, box)


def test_extents():
    assert extents(face(100, 50, 40)[None])[0, [1, 3]] == pytest.approx([30, 70])
