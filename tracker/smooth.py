"""Steadier landmarks: the One-Euro filter over all joints of a subject at once.

Casiez, Roussel, Vogel: "1 € Filter", CHI 2012: a low-pass whose cut-off rises with speed, so that a
still face does not tremble and a moving one does not lag. Speed is in subject sizes a second and time
is the source's: the same head gives the same result at any distance and frame rate.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

# Cut-off of a still joint in Hz, its rise per subject size a second, and the cut-off of the speed itself.
MIN_CUTOFF_HZ = 1.5
BETA = 20.0
SPEED_CUTOFF_HZ = 1.0


class Smoother(Protocol):
    """Steadies the landmarks of one track."""

    def __call__(self, xy: np.ndarray, size: float, time_s: float) -> np.ndarray:
        """Steadied ``(K, 2)`` float32 for ``xy`` of a subject ``size`` pixels large at ``time_s``."""
        ...


def unsmoothed(xy: np.ndarray, size: float, time_s: float) -> np.ndarray:
    """The landmarks as they are: the smoother ``none``."""
    return xy


class OneEuro:
    """One-Euro over ``(K, 2)`` coordinates of one track; see the module."""

    def __init__(
        self,
        min_cutoff_hz: float = MIN_CUTOFF_HZ,
        beta: float = BETA,
        speed_cutoff_hz: float = SPEED_CUTOFF_HZ,
    ) -> None:
        self._min_cutoff_hz, self._beta = min_cutoff_hz, beta
        self._speed_cutoff_hz = np.array(speed_cutoff_hz)
        self._time_s: float | None = None
        self._xy = self._speed = np.empty(0)

    def __call__(self, xy: np.ndarray, size: float, time_s: float) -> np.ndarray:
        """See ``Smoother``. A time that is not later than the last gives the last result."""
        if self._time_s is None:
            self._xy, self._speed = xy.astype(np.float64), np.zeros(xy.shape)
        elif time_s > self._time_s:
            step_s = time_s - self._time_s
            speed = (xy - self._xy) / step_s
            self._speed += _weight(self._speed_cutoff_hz, step_s) * (speed - self._speed)
            cutoff_hz = self._min_cutoff_hz + self._beta * np.abs(self._speed) / max(size, 1.0)
            self._xy += _weight(cutoff_hz, step_s) * (xy - self._xy)
        else:
            return self._xy.astype(np.float32)
        self._time_s = time_s
        return self._xy.astype(np.float32)


def _weight(cutoff_hz: np.ndarray, step_s: float) -> np.ndarray:
    """Share of the new value in a first-order low-pass of that cut-off."""
    turn = 2 * np.pi * cutoff_hz * step_s
    return np.asarray(turn / (turn + 1))
