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

    def same(self, other: Draft) -> bool:
        """Whether both make the same picture."""
        return self.style is other.style and np.array_equal(self.xy, other.xy)


class Drafts:
    """The drafts of one picture, one after the other."""

    def __init__(self, first: Draft) -> None:
        self._all = [first]
        self._at = 0
        self._settled = first

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

    @property
    def unsettled(self) -> bool:
        """Whether something would be lost with the present one: it is neither the first nor settled."""
        return not any(self.present.same(each) for each in (self._all[0], self._settled))

    def settle(self, draft: Draft) -> None:
        """Nothing is lost with this one any more: it was saved, or given up."""
        self._settled = draft

    def keep(self, draft: Draft, onward: bool = False) -> None:
        """Go on to another draft, if it is another; ``onward``: it is undone with the step before."""
        if draft.same(self.present):
            return
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
