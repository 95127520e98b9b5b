"""The last 60 seconds of latency and speed."""

from __future__ import annotations

import math
from collections import deque

import pyqtgraph as pg  # type: ignore[import-untyped]
from PyQt6.QtCore import QEvent, Qt
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from ui.window import theme

SECONDS = 60.0
_HEIGHT = 76


class _Curve(QWidget):
    """One quantity over the last 60 seconds; its axis ends at ``least_top`` or above: calm looks calm."""

    def __init__(self, name: str, least_top: float) -> None:
        super().__init__()
        self._least_top = least_top
        caption = QLabel(name)
        caption.setProperty("dim", True)
        self._plot = pg.PlotWidget()
        self._plot.setAccessibleName(f"Plot of {name}")
        self._plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._plot.setFixedHeight(_HEIGHT)
        self._line = self._plot.plot([], [], connect="finite")
        item = self._plot.getPlotItem()
        item.hideButtons()
        item.setMenuEnabled(False)
        item.setMouseEnabled(x=False, y=False)
        item.setXRange(-SECONDS, 0, padding=0)
        item.showGrid(y=True, alpha=0.15)
        for side in ("left", "bottom"):
            item.getAxis(side).setStyle(maxTickLevel=0)
        item.getAxis("left").setWidth(36)
        item.getAxis("bottom").setHeight(18)
        item.getAxis("bottom").setTicks([[(-ago, f"-{ago} s") for ago in (15, 30, 45)]])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(caption)
        column.addWidget(self._plot)
        self.show_values([], [])

    def dress(self, colours: theme.Colours) -> None:
        """Take the colours of a theme."""
        self._plot.setBackground(colours.window)
        self._line.setPen(pg.mkPen(colours.accent, width=1.5))
        for side in ("left", "bottom"):
            axis = self._plot.getPlotItem().getAxis(side)
            axis.setPen(colours.line)
            axis.setTextPen(colours.dim)

    def show_values(self, ages_s: list[float], values: list[float]) -> None:
        """Values of so many seconds ago, counted below 0; NaN where there was none."""
        self._line.setData(ages_s, values)
        known = [each for each in values if not math.isnan(each)]
        top = max([self._least_top, *(1.15 * each for each in known)])
        self._plot.setYRange(0, top, padding=0)
        self._plot.getPlotItem().getAxis("left").setTickSpacing(*_spacing(top))


class Plot(QWidget):
    """Latency (p95) and processed frames a second, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._points: deque[tuple[float, float, float]] = deque()
        self._latency = _Curve("latency p95, ms", 100)
        self._fps = _Curve("processed, frames/s", 35)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(12)
        for curve in (self._latency, self._fps):
            row.addWidget(curve)
        self._dress()

    def add(self, now_s: float, latency_ms: float | None, fps: float) -> None:
        """A point at ``now_s`` of any clock; points older than 60 s go."""
        self._points.append((now_s, math.nan if latency_ms is None else latency_ms, fps))
        while self._points[0][0] < now_s - SECONDS:
            self._points.popleft()
        ages = [at - now_s for at, _, _ in self._points]
        self._latency.show_values(ages, [each for _, each, _ in self._points])
        self._fps.show_values(ages, [each for _, _, each in self._points])

    def clear(self) -> None:
        """Forget all points."""
        self._points.clear()
        self._latency.show_values([], [])
        self._fps.show_values([], [])

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.PaletteChange:
            self._dress()

    def _dress(self) -> None:
        for curve in (self._latency, self._fps):
            curve.dress(theme.current())


def _spacing(top: float) -> tuple[float, float]:
    """Distance of the labels on an axis up to ``top``: two or three round numbers fit beside the plot."""
    unit = 10 ** math.floor(math.log10(top))
    step = next(each * unit for each in (0.2, 0.5, 1, 2, 5) if top / (each * unit) < 3)
    return step, step
