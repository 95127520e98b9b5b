from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeEngine, disc_frame

from engines.skeleton import FACE68, Skeleton
from tracker import track
from tracker.config import TrackerSettings
from tracker.timing import Stopwatch
from tracker.track import Tracker


@pytest.fixture
def tracker_of(monkeypatch):
    """A tracker whose detector finds every bright disc: ``tracker_of(settings…)``."""

    def detect(image, thorough):
        import cv2

        _, _, stats, centres = cv2.connectedComponentsWithStats((image[..., 1] > 128).astype(np.uint8))
        rows = [(*centre, max(stat[2:4]), 0) for centre, stat in zip(centres[1:], stats[1:], strict=True)]
        return np.array(rows, np.float32).reshape(-1, 4)

    monkeypatch.setattr(track, "make_detector", lambda *_: detect)

    def make(**settings):
        return Tracker(FakeEngine(), TrackerSettings(**{"smooth": "none", **settings}))

    return make


def run(tracker, paths, fps=25):
    """Ids in every frame for discs on ``paths``: a list of discs a frame."""
    return [
        [each.id for each in tracker.step(disc_frame(discs, index, fps=fps)).tracks]
        for index, discs in enumerate(paths)
    ]


def test_landmarks_come_back_in_frame_pixels(tracker_of):
    result = tracker_of().step(disc_frame([(100, 80, 40)]))
    (found,) = result.tracks
    assert result.skeleton is FACE68
    assert found.subject_score == pytest.approx(0.9)
    middle = found.landmarks.xy.mean(axis=0)
    assert middle == pytest.approx([100, 80], abs=1.5)
    low, high = found.landmarks.xy.min(axis=0), found.landmarks.xy.max(axis=0)
    assert found.box == pytest.approx([*low, *high])
    assert (high - low).max() == pytest.approx(40, rel=0.15)


def test_one_that_moves_keeps_its_id_without_new_searches(tracker_of):
    tracker = tracker_of(detect_every=1000)
    paths = [[(60 + 4 * index, 80 + index, 40)] for index in range(40)]
    assert run(tracker, paths) == [[1]] * 40
    last = tracker.step(disc_frame([(60 + 160, 80 + 40, 40)], 40)).tracks[0]
    assert last.landmarks.xy.mean(axis=0) == pytest.approx([220, 120], abs=2)
    assert set(tracker.engine.calls) == {1}


def test_two_that_pass_each_other_keep_their_ids(tracker_of):
    tracker = tracker_of(detect_every=5)
    paths = [[(40 + 5 * index, 60, 40), (280 - 5 * index, 150, 40)] for index in range(45)]
    assert run(tracker, paths) == [[1, 2]] * 45
    left, right = tracker.step(disc_frame([(265, 60, 40), (55, 150, 40)], 45)).tracks
    assert left.box[0] > right.box[0]


def test_somebody_new_is_found_at_the_next_search(tracker_of):
    paths = [[(60, 60, 40)]] * 3 + [[(60, 60, 40), (200, 100, 40)]] * 8
    ids = run(tracker_of(detect_every=5), paths)
    assert ids[:3] == [[1]] * 3
    assert ids[-1] == [1, 2]
    assert sum(len(each) == 1 for each in ids) <= 7


def test_patience_in_seconds_gives_an_id_back_and_then_never_again(tracker_of):
    there, gone = [(100, 80, 40)], []
    short, long = [there] * 3 + [gone] * 10 + [there], [there] * 3 + [gone] * 15 + [there]
    assert run(tracker_of(patience_s=0.5), short)[-1] == [1]
    assert run(tracker_of(patience_s=0.5), long)[-1] == [2]
    # The same number of frames is another time at another rate.
    assert run(tracker_of(patience_s=0.5), short, fps=10)[-1] == [2]


def test_who_is_not_seen_is_not_reported(tracker_of):
    assert run(tracker_of(), [[(100, 80, 40)], [], []]) == [[1], [], []]


def test_never_more_than_max_subjects(tracker_of):
    discs = [(60 + 70 * index, 80, 40) for index in range(4)]
    ids = run(tracker_of(max_subjects=2, detect_every=1), [discs] * 5)
    assert ids == [[1, 2]] * 5


def test_who_comes_takes_the_place_of_who_was_lost(tracker_of):
    here, there = (60, 80, 40), (200, 80, 40)
    shown = [[here], [here], [there], [there], [here, there], [here, there]]
    ids = run(tracker_of(max_subjects=1, detect_every=1), shown)
    assert ids[:2] == [[1], [1]]
    assert all(len(each) <= 1 for each in ids)
    assert ids[-1] == [2]


def test_of_those_who_were_lost_the_last_one_is_remembered(tracker_of):
    first, second, third = (60, 80, 40), (150, 80, 40), (240, 80, 40)
    shown = [[first, second], [second], [third], [second, third]]
    ids = run(tracker_of(max_subjects=2, detect_every=1), shown)
    assert ids == [[1, 2], [2], [3], [2, 3]]


def test_every_subject_is_followed_in_a_crop_of_its_own(tracker_of):
    tracker = tracker_of()
    tracker.step(disc_frame([(60, 80, 30), (200, 100, 80)]))
    crops = np.array([each.crop for each in tracker._subjects])
    assert crops[:, :2] == pytest.approx(np.array([(200, 100), (60, 80)])[np.argsort(-crops[:, 2])], abs=1)


def test_scores_are_those_of_the_latest_frame(tracker_of):
    class Doubting(FakeEngine):
        """Is less sure of joints and subject with every frame."""

        def __call__(self, crops):
            points = super().__call__(crops)
            share = np.float32(0.9 ** len(self.calls))
            return replace(points, score=points.score * share, subject_score=points.subject_score * share)

    tracker = tracker_of(detect_every=1000)
    tracker.engine = Doubting()
    for index in range(4):
        (found,) = tracker.step(disc_frame([(100, 80, 40)], index)).tracks
    assert found.landmarks.score == pytest.approx(0.8 * 0.9**4)
    assert found.subject_score == pytest.approx(0.9 * 0.9**4)


def test_where_fewer_may_be_followed_who_is_there_stays(tracker_of):
    tracker = tracker_of(detect_every=1)
    lost, there = (60, 80, 40), (200, 80, 40)
    assert run(tracker, [[lost, there], [there]]) == [[1, 2], [2]]
    tracker.change(tracker.engine, replace(tracker.settings, max_subjects=1))
    assert [each.id for each in tracker.step(disc_frame([there], 2)).tracks] == [2]


def test_two_tracks_on_the_same_subject_become_one(tracker_of):
    tracker = tracker_of(detect_every=2)
    apart = [(80, 80, 40), (200, 80, 40)]
    paths = [apart] * 3 + [[(140, 80, 40)]] * 30
    ids = run(tracker, paths)
    assert ids[0] == [1, 2]
    assert all(len(each) <= 1 for each in ids[3:])
    assert len(ids[-1]) == 1


def test_min_score_decides_who_is_followed(tracker_of):
    assert run(tracker_of(min_score=0.95), [[(100, 80, 40)]] * 3) == [[]] * 3


def test_smoothing_keeps_the_raw_values(tracker_of):
    rng = np.random.default_rng(0)
    tracker = tracker_of(smooth="one-euro")
    for index in range(20):
        x, y = rng.normal((100, 80), 1.5)
        (found,) = tracker.step(disc_frame([(x, y, 40)], index)).tracks
    marks = found.landmarks
    assert found.box.tolist() == [*marks.xy.min(axis=0), *marks.xy.max(axis=0)]
    assert np.abs(marks.xy - marks.xy_raw).max() > 0.05
    assert marks.xy_raw.mean(axis=0) == pytest.approx([x, y], abs=1.5)
    plain = tracker_of(smooth="none").step(disc_frame([(100, 80, 40)])).tracks[0].landmarks
    assert np.array_equal(plain.xy, plain.xy_raw)


def test_each_subject_is_smoothed_by_itself(tracker_of):
    tracker = tracker_of(smooth="one-euro")
    for index in range(3):
        left, right = tracker.step(disc_frame([(60, 80, 40), (200, 80, 40)], index)).tracks
    assert sorted(each.landmarks.xy[:, 0].mean() for each in (left, right)) == pytest.approx([60, 200], abs=2)


def test_every_stage_is_timed(tracker_of):
    tracker = tracker_of()
    watch = Stopwatch()
    tracker._watch = watch
    tracker.step(disc_frame([(100, 80, 40)]))
    assert list(watch.stages()) == ["locate", "cut", "infer", "match", "smooth"]


def test_a_picture_without_subjects_and_a_tiny_one(tracker_of):
    assert tracker_of().step(disc_frame([])).tracks == ()
    real = Tracker(FakeEngine())
    assert real.step(disc_frame([], size=(8, 8))).tracks == ()
    assert real.step(disc_frame([], size=(1, 1))).tracks == ()


def test_a_real_face_is_followed_through_its_clip(shared_data):
    from engines import open_engine
    from tracker.sources import open_source

    tracker = Tracker(open_engine("face", "eager", device="cpu"))
    with open_source(shared_data / "videos" / "faces" / "liveportrait_d20.mp4", max_frames=20) as source:
        counts = [len(tracker.step(frame).tracks) for frame in source]
    assert counts == [1] * 20


def test_a_figure_that_shrinks_in_its_crop_is_not_followed_to_a_point(tracker_of):
    class Shrinking(FakeEngine):
        """Lays landmarks of a third of their size over whatever it sees, and is sure of them."""

        def __call__(self, crops):
            points = super().__call__(crops)
            middle = points.xy.mean(axis=1, keepdims=True)
            return replace(points, xy=middle + (points.xy - middle) / 3)

    tracker = tracker_of()
    tracker.engine = Shrinking()
    assert run(tracker, [[(100, 80, 40)]] * 5) == [[]] * 5


def test_engine_and_settings_change_on_the_way(tracker_of, monkeypatch):
    tracker = tracker_of(detect_every=1)
    two = [(60, 80, 40), (200, 80, 40)]
    assert run(tracker, [two] * 3) == [[1, 2]] * 3
    plain = tracker.settings
    tracker.change(FakeEngine(), plain)
    assert run(tracker, [two]) == [[1, 2]]
    tracker.change(tracker.engine, replace(plain, max_subjects=1, smooth="one-euro"))
    assert run(tracker, [two]) == [[1]]
    moved = tracker.step(disc_frame([(66, 80, 40)], 1)).tracks[0].landmarks
    assert not np.array_equal(moved.xy, moved.xy_raw)  # who was there before is smoothed, too
    tracker.change(tracker.engine, replace(plain, min_score=0.95))
    assert run(tracker, [two]) == [[]]

    class Other(FakeEngine):
        skeleton = Skeleton("other", FACE68.joints, (), ())

    tracker.change(Other(), plain)
    (found,) = run(tracker, [two])
    assert min(found) > 2
    assert tracker.step(disc_frame(two)).skeleton.name == "other"

    def unsuitable(*_):
        raise ValueError("does not suit")

    monkeypatch.setattr(track, "make_detector", unsuitable)
    engine = tracker.engine
    with pytest.raises(ValueError, match="does not suit"):
        tracker.change(FakeEngine(), plain)
    assert tracker.engine is engine
    assert run(tracker, [two]) == [found]
    tracker.change(engine, replace(plain, min_score=0.4))  # the same detector is not made again
