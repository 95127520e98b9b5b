from __future__ import annotations

import numpy as np
import pytest

from tracker.smooth import OneEuro, unsmoothed


def test_it_is_the_published_filter():
    """Joint by joint the same as the authors' own implementation, at uneven times."""
    oracle = pytest.importorskip("OneEuroFilter", reason="pip install OneEuroFilter: the authors' filter")
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.01, 0.1, 50))
    signal = np.cumsum(rng.normal(size=(50, 3, 2)), axis=0).astype(np.float32)
    filters = [oracle.OneEuroFilter(freq=25, mincutoff=0.8, beta=0.3, dcutoff=1.2) for _ in range(6)]
    ours = OneEuro(min_cutoff_hz=0.8, beta=0.3, speed_cutoff_hz=1.2)
    for time_s, xy in zip(times, signal, strict=True):
        wanted = [each(float(x), time_s) for each, x in zip(filters, xy.reshape(-1), strict=True)]
        # A size of 1 pixel: the published filter knows no sizes.
        assert ours(xy, 1.0, time_s) == pytest.approx(np.reshape(wanted, (3, 2)), abs=1e-4)


def test_the_formula_by_hand():
    """The second value of a step from 0 to 1 after 0.1 s, worked out from the paper's equations."""

    def weight(cutoff):
        return 1 / (1 + 1 / (2 * np.pi * cutoff * 0.1))

    ours = OneEuro(min_cutoff_hz=1.0, beta=0.5, speed_cutoff_hz=1.0)
    ours(np.zeros((1, 2), np.float32), 1.0, 0.0)
    result = ours(np.ones((1, 2), np.float32), 1.0, 0.1)
    speed = weight(1.0) * 10
    assert result == pytest.approx(np.full((1, 2), weight(1.0 + 0.5 * speed)), abs=1e-6)


def run(signal, size=100.0, fps=30.0):
    smooth = OneEuro()
    return np.stack([smooth(xy, size, index / fps) for index, xy in enumerate(signal)])


def test_a_still_face_trembles_less_and_a_moving_one_hardly_lags():
    rng = np.random.default_rng(1)
    still = (50 + rng.normal(0, 0.5, (200, 68, 2))).astype(np.float32)
    assert run(still)[50:].std(axis=0).mean() < 0.6 * still[50:].std(axis=0).mean()
    # Half a face a second.
    moving = np.repeat(np.arange(200)[:, None, None] * 50 / 30, 2, axis=2).astype(np.float32)
    assert np.abs(run(moving)[50:] - moving[50:]).max() < 1.0


def test_size_and_frame_rate_do_not_change_the_result():
    path = np.sin(np.arange(120) / 10)[:, None, None] * np.ones((1, 4, 2)) * 20
    near = run((path * 5).astype(np.float32), size=500)
    assert near == pytest.approx(5 * run(path.astype(np.float32), size=100), abs=1e-2)
    slow = run(path[::2].astype(np.float32), fps=15)
    assert np.abs(slow - run(path.astype(np.float32), fps=30)[::2]).max() < 1.0


def test_time_that_stands_still_changes_nothing():
    smooth = OneEuro()
    first = smooth(np.zeros((2, 2), np.float32), 10, 1.0)
    assert np.array_equal(smooth(np.ones((2, 2), np.float32), 10, 1.0), first)


def test_none_is_none():
    xy = np.ones((3, 2), np.float32)
    assert unsmoothed(xy, 1.0, 0.0) is xy
