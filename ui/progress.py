"""How a run tells how far it is: a bar, JSON lines, or nothing. Text goes to stderr, data to stdout."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from ui.failures import UsageError

if TYPE_CHECKING:
    from tracker import Status

CHOICES = ("auto", "rich", "json", "none")
_JSON_EVERY_S = 0.5


class Progress:
    """Says lines and nothing in between; the base of the others."""

    def say(self, line: str) -> None:
        """A line for people."""
        print(line, file=sys.stderr, flush=True)

    def begin(self, name: str, frames: int | None) -> None:
        """An input begins; ``frames`` is how many to expect, if anybody knows."""

    def update(self, status: Status) -> None:
        """Several times a second."""

    def end(self) -> None:
        """The input is done, well or not."""

    def report(self, entry: dict[str, object]) -> None:
        """The result of one input, for programs."""


class Bar(Progress):
    """A bar on the terminal, one input at a time."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.completed}/{task.fields[expected]} frames, {task.fields[fps]:.1f}/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )

    def say(self, line: str) -> None:
        """A line above the bar."""
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def begin(self, name: str, frames: int | None) -> None:
        """Draw an empty bar."""
        expected = "?" if frames is None else frames
        # Rich would read the brackets of a file's name as mark-up.
        self._task = self._bar.add_task(name.replace("[", "\\["), total=frames, expected=expected, fps=0.0)
        self._bar.start()

    def update(self, status: Status) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=status.done, fps=status.fps)

    def end(self) -> None:
        """Take the bar away."""
        self._bar.stop()
        self._bar.remove_task(self._task)


class JsonLines(Progress):
    """One JSON object a line on stdout."""

    def begin(self, name: str, frames: int | None) -> None:
        """Remember what the lines are about."""
        self._name, self._frames, self._next_s = name, frames, 0.0

    def update(self, status: Status) -> None:
        """A line twice a second."""
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + _JSON_EVERY_S
        self.report(
            {
                "input": self._name,
                "frame": status.done,
                "frames": self._frames,
                "fps": round(status.fps, 2),
            }
        )

    def report(self, entry: dict[str, object]) -> None:
        """The object on a line of its own."""
        print(json.dumps(entry), flush=True)


def open_progress(choice: str) -> Progress:
    """Progress by its name in ``CHOICES``; ``auto`` is a bar where a person is watching."""
    if choice not in CHOICES:
        raise UsageError(f"progress {choice!r} is not one of {', '.join(CHOICES)}")
    if choice == "json":
        return JsonLines()
    if choice == "rich" or (choice == "auto" and sys.stderr.isatty()):
        return Bar()
    return Progress()
