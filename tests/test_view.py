"""The canvas: what is drawn where, and in whose pixels."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeSource, disc_frame
from windows import pixels

from engines.skeleton import FACE68
from tracker import Frame, Landmarks, Overlay, Result, Track
from tracker.live import Shown
from tracker.overlay import colour_of
from ui.window import view
from ui.window.theme import CANVAS
from ui.window.view import Canvas, fit


def shown_of(frame: Frame, xy: np.ndarray | None = None) -> Shown:
    """A picture to display, with the landmarks of one subject."""
    tracks = []
    if xy is not None:
        marks = Landmarks(xy, xy, np.full(68, 0.9, np.float32))
        tracks.append(Track(1, np.array([*xy.min(0), *xy.max(0)], np.float32), marks, 0.9))
    return Shown(Result(frame, tuple(tracks), FACE68), 0.0, FakeSource(1), 1, None)


def spread(low: float, high: float) -> np.ndarray:
    """68 landmarks on a diagonal."""
    return np.linspace((low, low), (high, high), 68).astype(np.float32)


@pytest.fixture
def canvas(qtbot):
    painted = []
    widget = Canvas(painted.append)
    widget.painted_log = painted
    qtbot.addWidget(widget)
    widget.resize(640, 400)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def is_canvas(colour: np.ndarray) -> bool:
    return "#{:02x}{:02x}{:02x}".format(*colour) == CANVAS


def test_a_result_is_fitted_with_its_landmarks():
    # A pixel that is lit, and a landmark on it, must still lie on each other when both are larger.
    image = np.zeros((40, 60, 3), np.uint8)
    image[10, 20] = 255
    xy = spread(5, 30)
    xy[7] = (20, 10)
    fitted = fit(shown_of(Frame(image, 3, 1.5, 9), xy).result, 240, 160)
    assert fitted.frame.image.shape == (160, 240, 3)
    assert (fitted.frame.index, fitted.frame.time_s, fitted.frame.pts) == (3, 1.5, 9)
    ys, xs = np.nonzero(fitted.frame.image[..., 0] > 128)
    assert np.allclose(fitted.tracks[0].landmarks.xy[7], (xs.mean(), ys.mean()), atol=0.01)
    assert np.allclose(fitted.tracks[0].box, np.array([5.5, 5.5, 30.5, 30.5]) * 4 - 0.5)


def test_a_picture_that_fits_is_not_touched():
    result = shown_of(disc_frame([(50, 50, 30)])).result
    assert fit(result, 320, 240) is result


@pytest.mark.parametrize("size", [(320, 240), (50, 400), (1, 1), (2000, 10)])
def test_the_aspect_is_kept_and_the_rest_is_dark(canvas, size):
    width, height = size
    canvas.show_picture(shown_of(Frame(np.full((height, width, 3), 200, np.uint8), 0, 0.0, 0)))
    found = (pixels(canvas) == 200).all(axis=2)
    scale = min(640 / width, 400 / height)
    ys, xs = np.nonzero(found)
    assert abs(np.ptp(xs) + 1 - width * scale) <= 1
    assert abs(np.ptp(ys) + 1 - max(1, height * scale)) <= 1
    assert abs((xs.min() + xs.max()) / 2 - 319.5) <= 1
    assert abs((ys.min() + ys.max()) / 2 - 199.5) <= 1
    assert found.sum() == (np.ptp(xs) + 1) * (np.ptp(ys) + 1)
    if not found[0, 0]:
        assert is_canvas(pixels(canvas)[0, 0])


def test_landmarks_are_drawn_in_the_pixels_of_the_screen(canvas):
    # On a picture ten times smaller than the screen, the overlay's lines are one pixel of the screen wide.
    frame = Frame(np.zeros((40, 64, 3), np.uint8), 0, 0.0, 0)
    canvas.set_overlay(Overlay(parts=("edges",)))
    canvas.show_picture(shown_of(frame, spread(5, 35)))
    drawn = pixels(canvas).max(axis=2) > 100
    assert drawn.any()
    assert drawn.sum(axis=1).max() < 10


def test_on_a_screen_of_double_density_the_picture_has_double_the_pixels(canvas, monkeypatch):
    monkeypatch.setattr(Canvas, "devicePixelRatioF", lambda self: 2.0)
    drawn = []
    monkeypatch.setattr(view, "draw", lambda result, overlay: drawn.append(result) or result.frame.image)
    canvas.show_picture(shown_of(disc_frame([(50, 50, 30)])))
    found = pixels(canvas)
    assert drawn[0].frame.image.shape == (800, 1066, 3)
    assert is_canvas(found[200, 50])
    assert not is_canvas(found[200, 60])


def test_the_overlay_changes_on_the_picture_that_is_there(canvas):
    canvas.show_picture(shown_of(disc_frame([]), spread(60, 160)))
    with_overlay = pixels(canvas)
    assert (np.abs(with_overlay.astype(int) - colour_of(1)).max(axis=2) < 12).any()
    canvas.set_overlay(Overlay(parts=()))
    assert not pixels(canvas)[50:350, 100:500].any()
    canvas.set_overlay(Overlay(parts=("points",), scale=4.0))
    assert (pixels(canvas) > 0).any(axis=2).sum() > 1.5 * (with_overlay > 30).any(axis=2).sum() / 10


def test_what_was_painted_is_told(canvas, qtbot):
    shown = shown_of(disc_frame([]))
    canvas.show_picture(shown)
    qtbot.waitUntil(lambda: shown in canvas.painted_log)


def test_the_same_picture_is_drawn_once(canvas, monkeypatch):
    calls = []
    monkeypatch.setattr(view, "draw", lambda result, overlay: calls.append(1) or result.frame.image)
    canvas.show_picture(shown_of(disc_frame([])))
    pixels(canvas)
    pixels(canvas)
    assert len(calls) == 1
    canvas.resize(500, 400)
    pixels(canvas)
    assert len(calls) == 2


def test_a_notice_lies_on_the_picture_and_goes(canvas):
    canvas.show_picture(shown_of(Frame(np.full((240, 320, 3), 200, np.uint8), 0, 0.0, 0)))
    before = pixels(canvas)
    canvas.set_notice("Connecting …")
    changed = (pixels(canvas) != before).any(axis=2)
    assert changed[300:].any()
    assert not changed[:300].any()
    assert canvas.accessibleDescription() == "Connecting …"
    canvas.set_notice("")
    assert np.array_equal(pixels(canvas), before)


def test_an_overlay_that_fails_spoils_one_picture_only(canvas, qtbot, monkeypatch):
    real = view.draw

    def broken(result, overlay):
        raise RuntimeError("no ink")

    monkeypatch.setattr(view, "draw", broken)
    with qtbot.captureExceptions() as caught:
        canvas.show_picture(shown_of(disc_frame([(160, 120, 100)])))
        found = pixels(canvas)
    assert str(caught[0][1]) == "no ink"
    assert is_canvas(found[200, 320])
    monkeypatch.setattr(view, "draw", real)
    canvas.show_picture(shown_of(disc_frame([(160, 120, 100)])))
    assert not is_canvas(pixels(canvas)[200, 320])


def test_it_is_dark_before_the_first_picture(canvas):
    assert is_canvas(pixels(canvas)[200, 320])
