from __future__ import annotations

import numpy as np
import pytest

import tracker
from tracker.values import Frame, Landmarks, Track


def test_a_frame_cannot_be_written_to():
    frame = Frame(np.zeros((4, 6, 3), np.uint8), 0, 0.0, 0)
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0] = 1


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 4), (1, 4, 6, 3)])
def test_a_frame_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="frame: shape"):
        Frame(np.zeros(shape, np.uint8), 0, 0.0, 0)


def test_a_frame_of_floats_is_refused():
    with pytest.raises(ValueError, match="float32 is not uint8"):
        Frame(np.zeros((4, 6, 3), np.float32), 0, 0.0, 0)


def test_landmarks_must_agree_in_number():
    good = np.zeros((5, 2), np.float32)
    Landmarks(good, good, np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="raw landmarks: shape"):
        Landmarks(good, good[:4], np.zeros(5, np.float32))


def test_a_track_has_a_box_of_four():
    good = np.zeros((5, 2), np.float32)
    with pytest.raises(ValueError, match="track box"):
        Track(1, np.zeros(3, np.float32), Landmarks(good, good, np.zeros(5, np.float32)), 0.5)


def test_every_exported_name_exists():
    assert all(getattr(tracker, name) is not None for name in tracker.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        tracker.nonsense  # noqa: B018


def test_settings_are_checked(tmp_path):
    assert tracker.TrackerSettings().max_subjects == 4
    with pytest.raises(ValueError, match="detector 'magic' is not one of auto, learned, haar, hog, center"):
        tracker.TrackerSettings(detector="magic")
    with pytest.raises(ValueError, match="min_score 2 is not a number from 0 to 1"):
        tracker.TrackerSettings(min_score=2)
    with pytest.raises(ValueError, match="max_subjects 1.5 is not a whole number"):
        tracker.TrackerSettings(max_subjects=1.5)
    with pytest.raises(ValueError, match="crf 99"):
        tracker.VideoSettings(crf=99)


def test_settings_come_from_toml(tmp_path):
    path = tmp_path / "tracker.toml"
    path.write_text("min_score = 0.25\nsmooth = 'none'\n")
    assert tracker.load_settings(path) == tracker.TrackerSettings(min_score=0.25, smooth="none")
    path.write_text("colour = 3\n")
    with pytest.raises(ValueError, match="tracker.toml: 'colour' is not one of min_score"):
        tracker.load_settings(path)
    path.write_text("= 3\n")
    with pytest.raises(ValueError, match="tracker.toml: not TOML"):
        tracker.load_settings(path)
    with pytest.raises(ValueError, match="No such file"):
        tracker.load_settings(tmp_path / "none.toml")
