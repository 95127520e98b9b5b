from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from fakes import SHAPE

from engines.engine import MissingCapability
from engines.finder import Finder, overlap
from engines.skeleton import CAT_HEAD, FACE68, HUMAN
from tracker.config import DETECTORS, TrackerSettings
from tracker.detect import (
    _HOG_SHAPE,
    _PROFILE,
    Centred,
    Haar,
    Hog,
    Learned,
    OrPortrait,
    best_detector,
    make_detector,
)
from tracker.locate import Locator
from tracker.match import Subject
from tracker.smooth import unsmoothed
from tracker.sources import open_source

IMAGE = np.zeros((240, 320, 3), np.uint8)


class Counting:
    """Finds what it was given and remembers how it was asked."""

    def __init__(self, *boxes):
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)
        self.asked = []

    def __call__(self, image, thorough):
        self.asked.append(thorough)
        return self.boxes.copy()


def locator(detector, skeleton=FACE68, **settings):
    return Locator(detector, skeleton, 1.5, TrackerSettings(**settings))


def subject(xy, crop, number=1):
    return Subject(number, np.asarray(xy, np.float32), np.ones(len(xy)), 0.9, np.array(crop), unsmoothed, 0.0)


def square(x=100.0, y=80.0, size=40.0):
    return subject(SHAPE * size + (x, y), [x, y, size * 1.5, 0.0])


def test_a_detection_becomes_a_crop():
    boxes = locator(Counting([50, 60, 40, 0]))(IMAGE, [])
    assert boxes == pytest.approx(np.array([[50, 60, 60, 0]]))


def test_a_subject_is_looked_for_around_its_landmarks():
    each = square()
    boxes = locator(Counting(), HUMAN)(IMAGE, [each])
    low, high = each.xy.min(axis=0), each.xy.max(axis=0)
    assert boxes.shape == (1, 4)
    assert boxes[0, :2] == pytest.approx((low + high) / 2, abs=0.5)
    assert boxes[0, 2] == pytest.approx(60)


def test_the_side_of_a_crop_does_not_jump():
    each = square(size=80.0)
    each.crop = np.array([100, 80, 60, 0.0])  # as if it had been half as large
    side = locator(Counting(), HUMAN)(IMAGE, [each])[0, 2]
    assert side == pytest.approx((60 + 120) / 2, abs=0.5)


def test_searches_are_rare_while_somebody_is_there_and_constant_while_nobody_is():
    detector = Counting()
    locate = locator(detector, detect_every=5)
    for _ in range(10):
        locate(IMAGE, [])
    assert detector.asked == [True, False, False, False, False] * 2
    detector.asked.clear()
    for _ in range(11):
        locate(IMAGE, [square()])
    assert detector.asked == [False, False]


def test_no_search_when_all_places_are_taken():
    detector = Counting()
    locate = locator(detector, detect_every=1, max_subjects=2)
    locate(IMAGE, [square()])
    assert len(detector.asked) == 1
    locate(IMAGE, [square(), square(200)])
    assert len(detector.asked) == 1


def test_a_detection_of_somebody_who_is_followed_is_left_out():
    locate = locator(Counting([102, 82, 40, 0], [220, 80, 40, 0]), detect_every=1)
    boxes = locate(IMAGE, [square()])
    assert boxes[:, 0] == pytest.approx([100, 220], abs=2)


def test_a_lost_subject_is_searched_for_where_it_was_and_anew():
    detector = Counting([102, 82, 40, 0])
    each = square()
    each.seen = False
    boxes = locator(detector)(IMAGE, [each])
    assert len(boxes) == 2
    assert boxes[0] == pytest.approx(each.crop)


def leaning(degrees, skeleton):
    """A subject whose eyes, where it has any, lie on a line that leans so much."""
    rng = np.random.default_rng(0)
    xy = rng.uniform(-15, 15, (len(skeleton.joints), 2))
    for side, x in (("left_eye", -10), ("right_eye", 10)):
        for index, joint in enumerate(skeleton.joints):
            if joint.startswith(side):
                xy[index] = (x, 0)
    turn = np.radians(degrees)
    xy = xy @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + 100
    return subject(xy, [100, 100, 60, 0.0])


@pytest.mark.parametrize(
    ("skeleton", "degrees", "wanted"),
    [
        *((FACE68, 10, 0), (FACE68, 40, 25), (FACE68, -40, -25), (FACE68, 80, 45), (FACE68, -170, -45)),
        *((CAT_HEAD, 40, 25), (HUMAN, 40, 0)),
    ],
)
def test_crops_turn_with_heads_that_lean_far_and_never_with_bodies(skeleton, degrees, wanted):
    each = leaning(degrees, skeleton)
    locate = locator(Counting(), skeleton)
    for _ in range(12):
        box = locate(IMAGE, [each])[0]
    assert np.degrees(box[3]) == pytest.approx(wanted, abs=0.5)


def test_a_profile_keeps_the_roll_it_had():
    each = leaning(0, FACE68)
    each.xy[36:48] = (100, 100)
    each.crop = np.array([100, 100, 60, 0.3])
    assert locator(Counting())(IMAGE, [each])[0, 3] == pytest.approx(0.3)


def test_eyes_that_are_near_each_other_but_no_profiles_turn_the_crop():
    each = leaning(0, FACE68)  # in a box of 40 px
    across = 4 * np.array([np.cos(np.radians(40)), np.sin(np.radians(40))])
    each.xy[36:42], each.xy[42:48] = 100 - across, 100 + across
    assert np.degrees(locator(Counting())(IMAGE, [each])[0, 3]) == pytest.approx(25 / 2, abs=0.5)


def test_the_middle_of_the_frame():
    boxes = Centred(1.5)(np.zeros((100, 201, 3), np.uint8))
    assert boxes[0] == pytest.approx([100, 49.5, 100 / 1.5, 0])
    assert boxes[1, 2] == pytest.approx(50)


def test_the_middle_is_a_last_resort_for_portraits():
    detector = OrPortrait(Counting(), 1.5)
    portrait, wide = np.zeros((200, 160, 3), np.uint8), np.zeros((160, 320, 3), np.uint8)
    assert len(detector(portrait, thorough=True)) == 2
    assert len(detector(portrait, thorough=False)) == 0
    assert len(detector(wide, thorough=True)) == 0
    photograph = np.zeros((700, 650, 3), np.uint8)  # too large to show one face alone
    assert len(detector(photograph, thorough=True)) == 0


def test_what_a_detector_finds_is_not_replaced_by_the_middle():
    portrait = np.zeros((200, 160, 3), np.uint8)
    assert OrPortrait(Counting([50, 60, 40, 0]), 1.5)(portrait)[0] == pytest.approx([50, 60, 40, 0])


KINDS = {"learned": Learned, "haar": Haar, "hog": Hog, "center": Centred}


@pytest.mark.parametrize("skeleton", [FACE68, CAT_HEAD, HUMAN])
def test_auto_is_the_best_detector_and_the_middle_of_portraits(skeleton):
    detector = make_detector("auto", skeleton, 1.5)
    assert isinstance(detector, OrPortrait)
    assert isinstance(detector.detector, KINDS[best_detector(skeleton)])


def test_auto_is_the_middle_where_nothing_finds_such_subjects():
    unknown = replace(HUMAN, name="dog")
    assert best_detector(unknown) == "center"
    assert isinstance(make_detector("auto", unknown, 1.25), Centred)


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_can_be_asked_for(name):
    assert TrackerSettings(detector=name).detector == name
    skeleton = HUMAN if name == "hog" else FACE68
    if name != "auto":
        assert isinstance(make_detector(name, skeleton, 1.25), KINDS[name])


class Squares:
    """Stands in for OpenCV's detectors: finds ``squares`` and remembers the size of what it searched."""

    def __init__(self, *squares, sure=()):
        self.squares, self.sure, self.sizes = squares, sure, []

    def detectMultiScale(self, gray, **_):
        self.sizes.append(gray.shape)
        return (self.squares, np.array(self.sure)) if self.sure else self.squares


def placed(squares, shape, scale):
    """The boxes in a frame of squares (x, y, side) that were found at ``scale`` times its size."""
    x, y, side = np.array(squares, float).T
    across, down, longer = shape
    centres = [(each + 0.5) / scale - 0.5 for each in (x + across * side, y + down * side)]
    return np.column_stack([*centres, longer * side / scale, np.zeros(len(squares))])


def test_cascades_search_a_small_picture_and_tell_places_in_the_large_one():
    faces, found = Haar(FACE68), Squares((20, 30, 40, 40), (200, 50, 60, 60))
    faces._cascades = dict.fromkeys(faces._cascades, Squares()) | {_PROFILE: found}
    boxes = faces(np.zeros((480, 640, 3), np.uint8))
    assert found.sizes == [(240, 320)]
    largest_first = [(200, 50, 60), (20, 30, 40)]
    assert boxes == pytest.approx(placed(largest_first, _PROFILE.shape, 0.5), abs=1e-3)


def test_a_quick_search_takes_one_view_in_turn_and_a_thorough_one_the_first_that_finds():
    faces = Haar(FACE68)
    asked = []
    faces._look = lambda gray, view, steps: (
        asked.append((view.cascade, view.mirrored)) or np.ones((int(view is _PROFILE), 4), np.float32)
    )
    frontal, left, _, right = ((each.cascade, each.mirrored) for each in faces._round)
    for _ in range(5):
        faces(IMAGE, thorough=False)
    assert asked == [frontal, left, frontal, right, frontal]
    asked.clear()
    faces(IMAGE, thorough=True)
    assert asked == [frontal, left]


def test_hog_enlarges_small_pictures_and_tells_the_surest_first():
    people = Hog(HUMAN)
    people._hog = Squares((10, 20, 48, 96), (40, 10, 64, 128), sure=(0.3, 0.9))
    boxes = people(np.zeros((100, 160, 3), np.uint8))
    assert people._hog.sizes == [(250, 400)]
    assert boxes == pytest.approx(placed([(40, 10, 128), (10, 20, 96)], _HOG_SHAPE, 2.5), abs=1e-3)


def test_the_finders_order_is_kept(monkeypatch):
    found = np.array([[50, 60, 40, 0], [90, 60, 70, 0]], np.float32)
    monkeypatch.setattr(Finder, "__call__", lambda self, image: (found, np.array([0.9, 0.4])))
    assert np.array_equal(Learned(FACE68)(IMAGE), found)


@pytest.mark.parametrize("size", [(100, 1000), (60, 400), (400, 31), (3, 5)])
def test_hog_bears_pictures_smaller_than_its_window(size):
    # In a process of its own: OpenCV used to write beyond them, which ends the program.
    code = (
        "import numpy as np\nfrom engines.skeleton import HUMAN\nfrom tracker.detect import Hog\n"
        f"print(Hog(HUMAN)(np.full({(*size, 3)}, 90, np.uint8)).shape[1])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "4\n"), ended.stderr


@pytest.mark.parametrize(
    ("name", "skeleton"), [("haar", HUMAN), ("hog", FACE68), ("hog", CAT_HEAD), ("learned", None)]
)
def test_detectors_and_skeletons_must_fit(name, skeleton):
    skeleton = skeleton or replace(HUMAN, name="dog")
    with pytest.raises(ValueError, match=f"'{name}' does not find {skeleton.name}; choose auto or center"):
        make_detector(name, skeleton, 1.25)


def test_missing_cascades_name_the_line_to_install(monkeypatch):
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(MissingCapability, match="pip install 'opencv-python>=4.12,<5'"):
        Haar(FACE68)
    monkeypatch.delattr(cv2, "HOGDescriptor")
    with pytest.raises(MissingCapability, match="pip install 'opencv-python>=4.12,<5'"):
        Hog(HUMAN)


def test_labelled_faces_are_found_where_their_landmarks_are(shared_data):
    """Frontal and profile boxes against the labels, in units of the labelled box."""
    folder = shared_data / "faces"
    labels = np.load(folder / "labels" / "helen_train.npz", allow_pickle=False)
    faces = Haar(FACE68)
    errors = []
    for name, xy in list(zip(labels["name"], labels["pts"], strict=True))[:60]:
        image = cv2.cvtColor(cv2.imread(str(folder / "train" / "helen" / "images" / name)), cv2.COLOR_BGR2RGB)
        boxes = faces(image)
        low, high = xy.min(axis=0), xy.max(axis=0)
        side = (high - low).max()
        if len(boxes):
            errors.append(np.abs(boxes[0, :3] - (*((low + high) / 2), side)) / side)
    assert len(errors) >= 54
    assert np.median(errors, axis=0) == pytest.approx(np.zeros(3), abs=0.09)


def test_heads_of_cats_are_found_where_their_landmarks_are(shared_data):
    """The middle half of every picture is the landmark box."""
    cats, errors = Haar(CAT_HEAD), []
    paths = sorted((shared_data / "cats" / "train" / "breeds_unlab" / "images").glob("*.jpg"))[1::20]
    for path in paths:
        image = cv2.copyMakeBorder(cv2.imread(str(path)), 60, 60, 60, 60, cv2.BORDER_REPLICATE)
        boxes = cats(image)
        middle = (image.shape[1] - 1) / 2
        if len(boxes):
            errors.append((boxes[0, :3] - (middle, middle, 96)) / 96)
    assert len(errors) >= 0.85 * len(paths)
    assert np.median(errors, axis=0) == pytest.approx(np.zeros(3), abs=0.06)


def test_a_mirrored_picture_gives_mirrored_boxes(shared_data):
    with open_source(shared_data / "videos" / "faces" / "liveportrait_d20.mp4") as source:
        image = next(iter(source)).image
    faces = Haar(FACE68)
    small = cv2.resize(image, (320, 320), interpolation=cv2.INTER_AREA)
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    here = faces._look(gray, _PROFILE, 1.1)
    mirrored = next(view for view in faces._round if view.mirrored)
    there = faces._look(cv2.flip(gray, 1), mirrored, 1.1)
    assert len(here) == len(there) > 0
    assert here[0, 0] == pytest.approx(319 - there[0, 0], abs=1e-3)
    assert here[0, 1:] == pytest.approx(there[0, 1:])


def in_a_frame(shared_data, clip, number):
    """A frame of a whole clip, RGB."""
    with open_source(shared_data / "videos" / clip) as source:
        return next(frame.image for frame in source if frame.index == number)


@pytest.mark.parametrize("detector", [Hog, Learned])
@pytest.mark.parametrize(
    ("clip", "number", "wanted"),
    [
        ("humans/assemblyai_walking.mp4", 60, (756, 285, 508)),
        ("humans/yoga_trikonasana_145609.mp4", 0, (405, 280, 313)),
        ("humans/kth_person01_handclapping_d1.avi", 20, (82, 64, 95)),
    ],
)
def test_people_are_found_where_their_joints_are(shared_data, detector, clip, number, wanted):
    image = in_a_frame(shared_data, clip, number)
    boxes = detector(HUMAN)(image, thorough=True)
    assert max(overlap(box, np.array(wanted)) for box in boxes) > 0.4  # others sit there, too


@pytest.mark.parametrize(
    ("skeleton", "clip", "wanted"),
    [
        (FACE68, "faces/liveportrait_d18.mp4", (245, 297, 221)),
        (CAT_HEAD, "cats/mstryjek_white-cat-treat_630x354.mp4", (257, 105, 254)),
    ],
)
def test_the_finder_finds_heads(shared_data, skeleton, clip, wanted):
    image = in_a_frame(shared_data, clip, 0)
    boxes = Learned(skeleton)(image, thorough=True)
    assert overlap(boxes[0], np.array(wanted)) > 0.4
