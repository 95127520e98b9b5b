"""The gate that every built engine passes: pixels, numbers that are none, types."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeEngine

from engines.engine import Points
from engines.parity import ParityError, check, compare, generated_crops


class Altered(FakeEngine):
    """``FakeEngine`` with its points changed."""

    describe = "altered fp16"

    def __init__(self, change):
        super().__init__()
        self._change = change

    def __call__(self, crops: np.ndarray) -> Points:
        return self._change(super().__call__(crops))


def moved(pixels: float, joints: int = 68):
    """A change by so many pixels, of the first so many joints."""

    def change(points: Points) -> Points:
        points.xy[:, :joints, 0] += pixels
        return points

    return Altered(change)


CROPS = generated_crops(32, 20)


def test_equal_engines_do_not_differ():
    assert check(FakeEngine(), moved(0), CROPS).max_px == 0


def test_the_distance_is_measured_in_pixels():
    parity = compare(FakeEngine(), moved(3, joints=34), CROPS)
    assert parity.crops == 20
    assert (parity.mean_px, parity.p99_px, parity.max_px) == pytest.approx((1.5, 3, 3), abs=1e-5)


def test_small_batches_are_tried_too():
    engine = moved(0)
    compare(FakeEngine(), engine, CROPS)
    assert engine.calls == [1, 2, 5, 12]


def test_half_a_pixel_of_128_is_allowed():
    limit = 0.5 * 32 / 128
    check(FakeEngine(), moved(0.99 * limit), CROPS)
    with pytest.raises(ParityError, match=r"altered fp16: refused.*0\.13 px.*allowed are 0\.12 px"):
        check(FakeEngine(), moved(1.01 * limit), CROPS)


def test_one_point_of_a_hundred_may_lie_elsewhere():
    def change(points: Points) -> Points:
        points.xy[0, 0] += 9 if len(points.xy) == 12 else 0
        return points

    assert check(FakeEngine(), Altered(change), CROPS).max_px > 9


@pytest.mark.parametrize("name", ["xy", "score", "subject_score"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: np.where(values == values.flat[0], np.nan, values).astype(np.float32), "not finite"),
        (lambda values: values.astype(np.float16), "float16"),
        (lambda values: values[..., None], "not float32"),
    ],
)
def test_what_is_no_result_is_refused_with_its_name(name, change, words):
    candidate = Altered(lambda points: replace(points, **{name: change(getattr(points, name))}))
    with pytest.raises(ParityError, match=f"{name}.*{words}|{words}.*{name}"):
        check(FakeEngine(), candidate, CROPS)


def test_generated_crops_are_always_the_same_and_all_different():
    crops = generated_crops(32)
    assert (crops.shape, crops.dtype) == ((64, 32, 32, 3), np.uint8)
    assert np.array_equal(crops, generated_crops(32))
    assert len({crop.tobytes() for crop in crops}) == 64
    assert crops.std(axis=(1, 2, 3)).min() > 10
