"""The strip below the picture: speed, latency and losses, in figures and over the last minute."""

from __future__ import annotations

import time

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout

from tracker.live import LiveStatus
from ui.window.plot import Plot

_NONE = "–"  # noqa: RUF001 (a dash as wide as a digit)


class _Figure(QVBoxLayout):
    """A number below the word for it."""

    def __init__(self, name: str, tip: str) -> None:
        super().__init__()
        self.setSpacing(0)
        caption = QLabel(name)
        caption.setProperty("dim", True)
        self.value = QLabel(_NONE)
        self.value.setProperty("heading", True)
        self.value.setAccessibleName(name)
        # As wide as it ever gets, so that nothing moves while numbers change.
        self.value.setMinimumWidth(self.value.fontMetrics().horizontalAdvance("0000.0 ms"))
        for label in (caption, self.value):
            label.setToolTip(tip)
            self.addWidget(label)


class Strip(QFrame):
    """Frames a second in, processed and shown; latency p50 and p95; frames that were dropped; the plot."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("strip")
        self._in = _Figure("fps in", "Frames a second that the source gives")
        self._processed = _Figure("fps processed", "Frames a second that went through the model")
        self._shown = _Figure("fps shown", "Frames a second on the screen")
        self._p50 = _Figure("latency p50", "From capture to display: half of the frames are faster")
        self._p95 = _Figure("latency p95", "From capture to display: 95 of 100 frames are faster")
        self._dropped = _Figure("dropped", "Frames left out")
        self.plot = Plot()
        figures = QGridLayout()
        figures.setHorizontalSpacing(14)
        figures.setVerticalSpacing(6)
        for row, line in enumerate(
            ((self._in, self._processed, self._shown), (self._p50, self._p95, self._dropped))
        ):
            for column, figure in enumerate(line):
                figures.addLayout(figure, row, column, Qt.AlignmentFlag.AlignTop)
        across = QHBoxLayout(self)
        across.setContentsMargins(16, 8, 12, 8)
        across.setSpacing(20)
        across.addLayout(figures)
        across.addWidget(self.plot, 1)

    def show_status(self, status: LiveStatus) -> None:
        """Show a snapshot and add it to the plot."""
        self._in.value.setText(f"{status.fps_in:.1f}")
        self._processed.value.setText(f"{status.fps_processed:.1f}")
        self._shown.value.setText(f"{status.fps_shown:.1f}")
        self._p50.value.setText(_milliseconds(status.latency_p50_ms))
        self._p95.value.setText(_milliseconds(status.latency_p95_ms))
        self._dropped.value.setText(str(sum(status.dropped.values())))
        words = {
            "infer": "before the model",
            "display": "before the screen",
            "record": "before the recording",
        }
        lines = [f"{count} {words.get(name, name)}" for name, count in status.dropped.items()]
        self._dropped.value.setToolTip("\n".join(["Frames left out, so that nothing gets old:", *lines]))
        self.plot.add(time.monotonic(), status.latency_p95_ms, status.fps_processed)

    def rest(self) -> None:
        """Nothing runs any more: no frames a second; what else was measured stays."""
        for figure in (self._in, self._processed, self._shown):
            figure.value.setText(_NONE)

    def clear(self) -> None:
        """Nothing was measured."""
        for figure in (self._in, self._processed, self._shown, self._p50, self._p95, self._dropped):
            figure.value.setText(_NONE)
        self.plot.clear()


def _milliseconds(value: float | None) -> str:
    return _NONE if value is None else f"{value:.0f} ms"
