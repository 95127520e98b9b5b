"""Light and dark: readable both, and followed while the window is open."""

from __future__ import annotations

import numpy as np
import pyqtgraph  # type: ignore[import-untyped]
import pytest
from PyQt6.QtGui import QColor, QIcon, QPalette
from PyQt6.QtWidgets import QApplication, QCheckBox
from windows import pixels

from ui.window import icons, theme
from ui.window.plot import Plot
from ui.window.theme import DARK, LIGHT, Colours


@pytest.fixture
def app(qapp):
    """The application, undressed again at the end."""
    style, palette = qapp.style().name(), qapp.palette()
    yield qapp
    qapp.setStyleSheet("")
    qapp.setStyle(style)
    qapp.setPalette(palette)


def dress(monkeypatch, app: QApplication, colours: Colours) -> None:
    """Have the system be light or dark."""
    monkeypatch.setattr(theme, "current", lambda: colours)
    theme.follow_system(app)


def contrast(one: str, other: str) -> float:
    """Ratio of the luminances of two colours, 1 to 21, as WCAG 2 defines it."""

    def luminance(name: str) -> float:
        shares = [each / 255 for each in QColor(name).getRgb()[:3]]
        linear = [each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in shares]
        return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_everything_can_be_read(colours):
    for ground in (colours.window, colours.raised, colours.base, colours.note, colours.problem):
        assert contrast(colours.text, ground) >= 7
    for ground in (colours.window, colours.base):
        assert contrast(colours.dim, ground) >= 4.5
        assert contrast(colours.accent, ground) >= 3
        assert contrast(colours.faint, ground) >= 2
    assert contrast(colours.on_accent, colours.accent) >= 4.5
    assert contrast(theme.CANVAS_TEXT, theme.CANVAS) >= 7


def test_the_window_is_dressed_anew_when_the_system_changes(qtbot, app, monkeypatch):
    dress(monkeypatch, app, LIGHT)
    plot, box = Plot(), QCheckBox("Boxes")
    for widget in (plot, box):
        qtbot.addWidget(widget)
        widget.show()
    assert app.palette().color(QPalette.ColorRole.Window) == QColor(LIGHT.window)
    light = pixels(plot)
    monkeypatch.setattr(theme, "current", lambda: DARK)
    app.styleHints().colorSchemeChanged.emit(app.styleHints().colorScheme())
    assert app.palette().color(QPalette.ColorRole.Window) == QColor(DARK.window)
    dark = pixels(plot)
    assert light.mean() > 200
    assert dark.mean() < 60
    # The outline of an empty box is seen.
    outline = QColor(DARK.faint)
    found = (pixels(box) == (outline.red(), outline.green(), outline.blue())).all(axis=2)
    assert found.sum() > 20


def test_icons_take_the_colour_of_the_text(app, monkeypatch):
    for colours in (LIGHT, DARK):
        dress(monkeypatch, app, colours)
        pixmap = icons.icon(icons.start).pixmap(32, 32)
        assert pixmap.toImage().pixelColor(14, 16).name() == colours.text
        faded = icons.icon(icons.start).pixmap(32, 32, QIcon.Mode.Disabled)
        assert faded.toImage().pixelColor(14, 16).alpha() < 150
    red = icons.icon(icons.record).pixmap(32, 32).toImage().pixelColor(16, 16)
    assert red.name() == theme.RECORD


def test_the_plot_keeps_a_minute(qtbot):
    plot = Plot()
    qtbot.addWidget(plot)
    latency, fps = plot.findChildren(pyqtgraph.PlotWidget)
    for second in range(200):
        plot.add(float(second), None if second < 150 else 400.0, 25.0)
    ages, values = latency.listDataItems()[0].getData()
    assert (ages[0], ages[-1], len(ages)) == (-60, 0, 61)
    assert np.isnan(values[:11]).all()
    assert (values[11:] == 400).all()
    assert latency.viewRange()[1][1] > 400  # room for what is high, and calm for what is low
    assert fps.viewRange()[1][1] == 35
    plot.clear()
    assert not latency.listDataItems()[0].getData()[0]
