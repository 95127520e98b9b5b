"""The picture that is worked on in ``kptrack edit``."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from tracker.redraw import Redrawer, default_result
from ui.drafts import Draft, Drafts
from ui.edit import Opened, kept_inside, said_inside


class Easel:
    """A picture, ``opened``, with all that has been done to it and the way back; no window, no thread.

    ``drafts`` has its steps. ``result``: what of ``tracker.redraw.RESULTS`` it becomes, None as
    ``default_result``.
    """

    def __init__(self, result: str | None = None) -> None:
        self.opened: Opened | None = None
        self.drafts = Drafts(Draft(np.empty((0, 2), np.float32)))
        self._dragged: np.ndarray | None = None
        self._kept: list[str] = []
        self._results = {False: result or default_result(False), True: default_result(True)}
        if result not in (None, "detailed"):
            self._results[True] = result

    @property
    def landmarks(self) -> np.ndarray:
        """Where they are wanted by now ``(K, 2)``, in pixels of the picture."""
        return self.drafts.present.xy if self._dragged is None else self._dragged

    @property
    def dragging(self) -> bool:
        """Whether they are somewhere for now only."""
        return self._dragged is not None

    @property
    def style(self) -> Opened | None:
        """Whose appearance it has; None: its own."""
        return self.drafts.present.style

    @property
    def result(self) -> str:
        """What it becomes; chosen apart for a picture with a style and without one."""
        return self._results[self.style is not None]

    @property
    def unsettled(self) -> bool:
        """Whether something is lost when another picture takes its place."""
        return self.opened is not None and self.drafts.unsettled

    @property
    def said(self) -> str:
        """How many landmarks were moved, or which could not go where they were wanted."""
        assert self.opened is not None
        if self._kept:
            return f"{said_inside(self._kept)}."
        moved = int((np.abs(self.landmarks - self.opened.portrait.xy) >= 0.05).any(axis=1).sum())
        return f"{moved} of {len(self.landmarks)} moved."

    def put(self, opened: Opened) -> None:
        """Begin with another picture; the style stays."""
        self.drafts = Drafts(Draft(opened.portrait.xy, self.style))
        self.opened, self._dragged, self._kept = opened, None, []

    def drag(self, wanted: np.ndarray) -> None:
        """Have the landmarks ``(K, 2)`` there for now."""
        if self.opened is not None:
            self._dragged, self._kept = kept_inside(self.opened.portrait, wanted)

    def place(self, wanted: np.ndarray, onward: bool = False) -> None:
        """Have them there; ``onward``: it belongs to the step before."""
        if self.opened is not None:
            xy, self._kept = kept_inside(self.opened.portrait, wanted)
            self._keep(Draft(xy, self.style), onward)

    def put_back(self, joints: Collection[int]) -> None:
        """Have these, or everything where there are none, where they were found."""
        if self.opened is not None:
            xy, found = self.drafts.present.xy.copy(), self.opened.portrait.xy
            chosen = sorted(joints) or list(range(len(xy)))
            xy[chosen] = found[chosen]
            self.place(xy)

    def dress(self, style: Opened | None) -> None:
        """Give it the appearance of this one; None: its own."""
        self._keep(Draft(self.landmarks, style))

    def let_go(self) -> None:
        """End a drag where it is."""
        if self._dragged is not None:
            self.place(self._dragged)

    def undo(self) -> None:
        """One step back."""
        self._dragged, self._kept = None, []
        self.drafts.undo()

    def redo(self) -> None:
        """One step forward again."""
        self._dragged, self._kept = None, []
        self.drafts.redo()

    def choose(self, result: str) -> None:
        """Have it become this."""
        self._results[self.style is not None] = result

    def drawing(self) -> Callable[[Redrawer], np.ndarray]:
        """What draws it as it is by now, ``(H, W, 3)`` uint8 RGB, whatever becomes of it later."""
        assert self.opened is not None
        portrait, xy, result = self.opened.portrait, self.landmarks, self.result
        style = None if self.style is None else self.style.portrait
        return lambda redrawer: redrawer.redraw(portrait, xy, style, result)

    def _keep(self, draft: Draft, onward: bool = False) -> None:
        self._dragged = None
        self.drafts.keep(draft, onward)
