"""What has been done to a picture so far, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ui.edit import Opened


@dataclass(frozen=True, eq=False)
class Draft:
    """Where the landmarks ``(K, 2)`` are by now, and whose appearance the picture has; None: its own."""

    xy: np.ndarray
    style: Opened | None = None


class Drafts:
    """The drafts of one picture, one after the other."""

    def __init__(self, first: Draft) -> None:
        self._all = [first]
        self._at = 0

    @property
    def present(self) -> Draft:
        """The draft that is looked at."""
        return self._all[self._at]

    @property
    def can_undo(self) -> bool:
        """Whether there is one before it."""
        return self._at > 0

    @property
    def can_redo(self) -> bool:
        """Whether the last step was one back."""
        return self._at + 1 < len(self._all)

    def keep(self, draft: Draft, onward: bool = False) -> None:
        """Go on to another draft; ``onward``: it belongs to the step before, and is undone with it."""
        del self._all[self._at + 1 :]
        if onward and self._at:
            self._all[self._at] = draft
        else:
            self._all.append(draft)
            self._at += 1

    def undo(self) -> None:
        """One step back, if there is one."""
        self._at -= self.can_undo

    def redo(self) -> None:
        """One step forward again."""
        self._at += self.can_redo
