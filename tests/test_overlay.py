from __future__ import annotations

import numpy as np
import pytest
from fakes import SHAPE, disc_frame

from engines.skeleton import FACE68, Skeleton
from tracker.overlay import PARTS, Overlay, colour_of, draw
from tracker.values import Landmarks, Result, Track


def result_of(score=0.9, ids=(1,), size=80.0, centre=(160, 120), frame=None):
    tracks = []
    for number in ids:
        xy = (SHAPE * size + centre + (0, 5 * (number - 1))).astype(np.float32)
        marks = Landmarks(xy, xy, np.full(68, score, np.float32))
        tracks.append(Track(number, np.array([*xy.min(0), *xy.max(0)], np.float32), marks, 0.9))
    return Result(frame or disc_frame([]), tuple(tracks), FACE68)


def changed(result, overlay):
    """Which pixels the overlay changes."""
    return (draw(result, overlay) != result.frame.image).any(axis=2)


def test_the_frame_itself_stays_as_it_is():
    result = result_of()
    before = result.frame.image.copy()
    assert draw(result, Overlay()) is not result.frame.image
    assert np.array_equal(result.frame.image, before)


def test_nothing_to_draw_costs_no_copy():
    result = result_of()
    assert draw(result, Overlay(parts=())) is result.frame.image
    assert not result.frame.image.flags.writeable
    faint = result_of(score=0.2)
    assert draw(faint, Overlay(parts=())) is faint.frame.image
    nobody = result_of(ids=())
    assert draw(nobody, Overlay()) is nobody.frame.image


@pytest.mark.parametrize("part", PARTS)
def test_every_part_draws_something_of_its_own(part):
    result = result_of()
    alone = changed(result, Overlay(parts=(part,)))
    others = changed(result, Overlay(parts=tuple(each for each in PARTS if each != part)))
    assert alone.any()
    assert (alone & ~others).any()


def test_points_lie_on_the_landmarks():
    result = result_of()
    drawn = changed(result, Overlay(parts=("points",)))
    for x, y in np.rint(result.tracks[0].landmarks.xy).astype(int):
        assert drawn[y, x]
    ys, xs = np.nonzero(drawn)
    far = np.linalg.norm(
        result.tracks[0].landmarks.xy[None] - np.stack([xs, ys], axis=1)[:, None], axis=2
    ).min(axis=1)
    assert far.max() < 4


def test_edges_join_their_joints():
    result = result_of(size=160)
    drawn = changed(result, Overlay(parts=("edges",)))
    xy = result.tracks[0].landmarks.xy
    for a, b in FACE68.edges:
        x, y = np.rint((xy[a] + xy[b]) / 2).astype(int)
        assert drawn[y - 1 : y + 2, x - 1 : x + 2].any()


def test_an_edge_to_a_missing_joint_is_left_out():
    xy = np.array([[20, 20], [120, 80]], np.float32)
    for score, drawn in (((0.9, 0.9), True), ((0.9, 0.0), False), ((0.0, 0.9), False)):
        marks = Landmarks(xy, xy, np.array(score, np.float32))
        track = Track(1, np.array([20, 20, 120, 80], np.float32), marks, 0.9)
        line = Result(disc_frame([]), (track,), Skeleton("line", ("a", "b"), ((0, 1),), ()))
        assert changed(line, Overlay(parts=("edges",))).any() == drawn


def test_what_is_faded_is_so_to_its_rim():
    faint = draw(result_of(score=0.3), Overlay(parts=("points", "edges")))
    assert 0 < faint.max() <= 0.4 * 255 + 1


def test_the_id_of_somebody_at_the_top_can_be_read():
    overlay = Overlay(parts=("ids",))
    whole = changed(result_of(), overlay).sum()
    assert changed(result_of(centre=(160, 5)), overlay).sum() > 0.9 * whole


def test_uncertain_joints_are_faded_and_missing_ones_left_out():
    strength = [
        draw(result_of(score), Overlay(parts=("points", "edges"))).astype(int).sum()
        for score in (0.0, 0.3, 0.9)
    ]
    assert strength[0] == 0
    assert 0 < strength[1] < 0.6 * strength[2]
    shown = draw(result_of(0.3), Overlay(parts=("points", "edges"), min_score=0.2)).astype(int).sum()
    assert shown == strength[2]


def test_black_background_hides_the_frame():
    result = result_of(frame=disc_frame([(40, 40, 60)]))
    assert draw(result, Overlay(black_background=True))[40, 40].tolist() == [0, 0, 0]
    assert draw(result, Overlay(parts=()))[40, 40].any()


def test_tracks_have_colours_of_their_own():
    assert len({colour_of(number) for number in range(1, 9)}) == 8
    result = result_of(ids=(1, 2), size=500, centre=(400, 400), frame=disc_frame([], size=(800, 800)))
    image = draw(result, Overlay(parts=("boxes",)))
    for number in (1, 2):
        assert (np.abs(image.astype(int) - colour_of(number)).max(axis=2) < 12).any()


def test_strokes_grow_with_the_subject():
    from cv2 import distanceTransform

    def thickness(size):
        drawn = changed(
            result_of(size=size, frame=disc_frame([], size=(1400, 1400)), centre=(700, 700)),
            Overlay(parts=("edges",)),
        )
        return distanceTransform(drawn.astype(np.uint8), 2, 3).max()

    assert thickness(1200) > 1.5 * thickness(200)


@pytest.mark.parametrize("centre", [(-500, -500), (1e9, -1e9), (319, 239)])
def test_landmarks_outside_of_the_frame_do_no_harm(centre):
    for score in (0.3, 0.9):
        assert draw(result_of(score, centre=centre), Overlay(parts=PARTS)).shape == (240, 320, 3)


def test_a_subject_of_wild_size_does_no_harm():
    for score in (0.3, 0.9):
        assert draw(result_of(score, size=1e9), Overlay(parts=PARTS)).shape == (240, 320, 3)


def test_a_tiny_frame():
    assert draw(result_of(frame=disc_frame([], size=(8, 8))), Overlay(parts=PARTS)).shape == (8, 8, 3)


def test_unknown_parts_are_refused():
    with pytest.raises(ValueError, match="overlay 'hats' is not one of points, edges, ids, boxes"):
        Overlay(parts=("hats",))


def test_the_size_can_be_chosen():
    counts = [changed(result_of(size=160), Overlay(scale=scale)).sum() for scale in (0.5, 1, 3)]
    assert counts[0] < counts[1] < counts[2] / 1.5
    with pytest.raises(ValueError, match="overlay scale 0 is not above 0"):
        Overlay(scale=0)
