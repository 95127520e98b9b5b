"""The crop transform: pixels, points and the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engines.crop import cut, landmark_boxes, to_crop, to_frame

SIZE = 32
MIDDLE = (SIZE - 1) / 2

boxes = st.tuples(st.floats(-500, 2000), st.floats(-500, 2000), st.floats(8, 2000), st.floats(-4, 4))


def noise(height=90, width=120):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def box_of(x, y, side=SIZE, roll=0.0):
    """Box whose upper left pixel is frame pixel x, y."""
    return np.array([[x + (side - 1) / 2, y + (side - 1) / 2, side, roll]])


def test_the_identity_box_is_the_frame():
    frame = noise(SIZE, SIZE)
    assert np.array_equal(cut(frame, box_of(0, 0), SIZE)[0], frame)
    points = np.array([[[0, 0], [5, 7], [31, 31]]], np.float32)
    assert np.array_equal(to_frame(points, box_of(0, 0), SIZE), points)
    assert np.array_equal(to_crop(points, box_of(0, 0), SIZE), points)


@pytest.mark.parametrize(("turns", "roll"), [(0, 0), (1, np.pi / 2), (2, np.pi), (3, -np.pi / 2)])
def test_a_box_of_whole_pixels_gives_those_pixels(turns, roll):
    """Turned clockwise, so the crop shows the frame turned the other way."""
    frame = noise()
    crops = cut(frame, np.concatenate([box_of(11, 5, roll=roll), box_of(60, 40, roll=roll)]), SIZE)
    assert np.array_equal(crops[0], np.rot90(frame[5 : 5 + SIZE, 11 : 11 + SIZE], turns))
    assert np.array_equal(crops[1], np.rot90(frame[40 : 40 + SIZE, 60 : 60 + SIZE], turns))


def test_beyond_the_frame_its_border_goes_on():
    frame = noise()
    crop = cut(frame, box_of(-10, -20), SIZE)[0]
    assert np.array_equal(crop[20:, 10:], frame[:12, :22])
    assert np.array_equal(crop[:20, 10:], np.broadcast_to(frame[0, :22], (20, 22, 3)))
    assert (crop[:20, :10] == frame[0, 0]).all()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("side", "roll"), [(SIZE, 0.3), (100.0, -2.0)])
def test_a_panorama_is_cut_like_any_other_picture(side, roll, turned):
    """OpenCV warps nothing that is longer than 32,766 pixels."""
    small = noise(90, 400)
    frame = np.pad(small, ((0, 0), (33_000, 0), (0, 0)), mode="edge")
    boxes = np.array([[40.0, 5.0, side, roll], [200.0, 60.0, side, roll], [390.0, 88.0, side, roll]])
    moved = boxes + np.array([33_000, 0, 0, 0])
    if turned:
        small, frame = small.transpose(1, 0, 2), frame.transpose(1, 0, 2)
        boxes, moved = boxes[:, [1, 0, 2, 3]], moved[:, [1, 0, 2, 3]]
    near = np.abs(cut(frame, moved, SIZE).astype(int) - cut(np.ascontiguousarray(small), boxes, SIZE))
    assert near.max() <= 1
    whole = cut(frame, np.array([[16_000.0, 16_000.0, 33_400.0, 0.0]]), SIZE)
    assert whole.shape == (1, SIZE, SIZE, 3)


def test_all_of_a_panorama_fits_into_a_crop():
    ramp = np.linspace(0, 255, 70_000).astype(np.uint8)
    frame = np.broadcast_to(ramp[:, None], (2, 70_000, 3))
    crop = cut(frame, np.array([[34_999.5, 0.5, 70_000, 0]]), SIZE)[0]
    assert crop[SIZE // 2, :, 0] == pytest.approx((np.arange(SIZE) + 0.5) * 255 / SIZE, abs=3)


def test_a_whole_reduction_averages_whole_blocks():
    frame = noise(8 * SIZE, 8 * SIZE)
    crop = cut(frame, box_of(0, 0, 8 * SIZE), SIZE)[0]
    blocks = frame.reshape(SIZE, 8, SIZE, 8, 3).mean(axis=(1, 3))
    assert np.abs(crop - blocks).max() <= 1


@pytest.mark.parametrize("side", [231, 1.75 * SIZE])
def test_fine_patterns_become_grey_not_stripes(side):
    frame = np.zeros((400, 400, 3), np.uint8)
    frame[:, ::2] = 255
    crop = cut(frame, np.array([[199.5, 199.5, side, 0.1]]), SIZE)[0]
    assert crop.mean() == pytest.approx(127.5, abs=3)
    assert crop.std() < 25


@given(
    at=st.tuples(*[st.floats(4, SIZE - 5)] * 2),
    side=st.floats(SIZE, 640),
    roll=st.floats(-4, 4),
    centre=st.tuples(*[st.floats(200, 400)] * 2),
)
@settings(deadline=None, max_examples=60)
def test_a_dot_in_the_frame_appears_at_its_crop_pixel(at, side, roll, centre):
    box = np.array([[*centre, side, roll]])
    x, y = to_frame(np.array([[at]]), box, SIZE)[0, 0]
    spread = 1.2 * side / SIZE
    assume(4 * spread < min(x, y) and max(x, y) < 599 - 4 * spread)
    xs, ys = np.exp(-((np.arange(600) - np.array([[x], [y]])) ** 2) / (2 * spread**2))
    frame = np.rint(255 * ys[:, None] * xs).astype(np.uint8)[..., None].repeat(3, 2)
    seen = cut(frame, box, SIZE)[0, :, :, 0].astype(float)
    found = [np.average(np.arange(SIZE), weights=seen.sum(axis=axis)) for axis in (0, 1)]
    assert found == pytest.approx(at, abs=0.1)


@given(st.lists(boxes, min_size=1, max_size=3), st.integers(8, 256), st.integers(0, 99))
@settings(deadline=None)
def test_there_and_back(rows, size, seed):
    rows = np.array(rows)
    points = np.random.default_rng(seed).uniform(-size, 2 * size, (len(rows), 5, 2))
    there = to_frame(points, rows, size)
    assert (there.dtype, there.shape) == (np.float32, points.shape)
    # What float32 leaves of a frame's pixels, seen in the crop.
    assert to_crop(there, rows, size) == pytest.approx(points, abs=1e-3 * max(1, size / rows[:, 2].min()))


@given(boxes, st.integers(8, 256))
@settings(deadline=None)
def test_the_middle_of_a_crop_is_the_centre_of_its_box(box, size):
    middle = (size - 1) / 2
    found = to_frame(np.array([[[middle, middle], [middle + 1, middle]]]), np.array([box]), size)[0]
    assert found[0] == pytest.approx(box[:2], abs=1e-3)
    # One pixel to the right is side / size of the frame's along the box's own axis.
    along = np.array([np.cos(box[3]), np.sin(box[3])]) * box[2] / size
    assert found[1] - found[0] == pytest.approx(along, abs=1e-3)


def test_the_box_of_landmarks_frames_them():
    points = np.random.default_rng(0).uniform(50, 150, (4, 20, 2)).astype(np.float32)
    rows = landmark_boxes(points, 1.5)
    assert (rows.dtype, rows.shape) == (np.float32, (4, 4))
    assert not rows[:, 3].any()
    seen = to_crop(points, rows, 96)
    low, high = seen.min(axis=1), seen.max(axis=1)
    assert (high - low).max(axis=1) == pytest.approx([96 / 1.5] * 4, abs=1e-3)
    assert (low + high) / 2 == pytest.approx(np.full((4, 2), 47.5), abs=1e-3)


def test_no_box_no_crop():
    nothing = np.empty((0, 4), np.float32)
    assert cut(noise(), nothing, SIZE).shape == (0, SIZE, SIZE, 3)
    assert to_frame(np.empty((0, 9, 2), np.float32), nothing, SIZE).shape == (0, 9, 2)
    assert to_crop(np.empty((0, 9, 2), np.float32), nothing, SIZE).shape == (0, 9, 2)
    assert landmark_boxes(np.empty((0, 9, 2), np.float32), 1.5).shape == (0, 4)


def test_the_frame_may_be_read_only_and_stays_as_it_is():
    frame = noise()
    frame.flags.writeable = False
    crop = cut(frame, box_of(2, 3), SIZE)
    crop[:] = 0
    assert np.array_equal(frame, noise())
