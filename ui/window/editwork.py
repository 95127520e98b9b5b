"""What the window of ``kptrack edit`` has done by threads: pictures are opened, drawn and saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tracker.redraw import Portrait, Redrawer
from ui.drafts import Draft, Drafts
from ui.edit import EditOptions, Opened, OpeningCancelled, Studio, check_output, write_picture
from ui.interrupt import Cancel
from ui.window.errands import Done, Errands


@dataclass(frozen=True, eq=False)
class Redrawn:
    """What was drawn, of which portrait; ``alone``: only the square."""

    portrait: Portrait
    picture: np.ndarray
    alone: bool


@dataclass(frozen=True, eq=False)
class Saved:
    """What was written: the draft of these."""

    path: Path
    drafts: Drafts
    draft: Draft


class EditWork:
    """One thread opens, another draws and saves: to open a late frame of a long video can take minutes.

    ``done`` has an ``Opened`` of the kind that was asked for, a ``Redrawn`` or a ``Saved``.
    """

    def __init__(self, options: EditOptions) -> None:
        self._options = options
        self._studio: Studio | None = None  # made by the thread that opens: nothing is drawn before
        self._opening, self._drawing = Errands("edit open"), Errands("edit")
        self._cancels: dict[str, Cancel] = {}

    @property
    def note(self) -> str:
        """What is to be said about the model, once something is open."""
        return self._studio.note if self._studio is not None else ""

    def open(self, kind: str, source: str, frame: int | None = None) -> None:
        """Open a picture or a frame; an older opening of this ``kind`` ends."""
        self.end_opening(kind)
        cancel = self._cancels[kind] = Cancel()

        def fetch() -> Opened:
            if self._studio is None:
                self._studio = Studio(self._options)
            return self._studio.open(source, frame, cancel)

        self._opening.ask(kind, fetch)

    def end_opening(self, kind: str) -> None:
        """An opening of this kind that is under way is no longer wanted; it tells of no end."""
        if kind in self._cancels:
            self._cancels[kind].asked = True

    def redraw(self, portrait: Portrait, drawing: Callable[[Redrawer], np.ndarray], alone: bool) -> None:
        """Draw this to be shown."""
        self._drawing.ask("redraw", lambda: Redrawn(portrait, self._draw(drawing), alone))

    def save(
        self, path: Path, inputs: Sequence[str], drafts: Drafts, drawing: Callable[[Redrawer], np.ndarray]
    ) -> None:
        """Draw this, which is the present one of ``drafts``, into a file that is none of ``inputs``."""
        draft = drafts.present

        def write() -> Saved:
            check_output(path, inputs, overwrite=True)
            write_picture(path, self._draw(drawing))
            return Saved(path, drafts, draft)

        self._drawing.ask("save", write, every=True)

    def done(self) -> Done | None:
        """Something that has ended and has not been told of; None where there is nothing."""
        for errands in (self._drawing, self._opening):
            while (done := errands.done()) is not None:
                if not isinstance(done.error, OpeningCancelled):
                    return done
        return None

    def pending(self, *kinds: str) -> bool:
        """Whether something of these kinds, or of any, waits, runs or has not been told of."""
        return any(errands.pending(*kinds) for errands in (self._opening, self._drawing))

    def close(self) -> None:
        """Do nothing more. Does not wait for what is being done."""
        for kind in self._cancels:
            self.end_opening(kind)
        self._opening.close()
        self._drawing.close()

    def _draw(self, drawing: Callable[[Redrawer], np.ndarray]) -> np.ndarray:
        assert self._studio is not None
        return self._studio.draw(drawing)
