"""Files that wait to be processed, one after the other, in a thread: what the Batch tab shows, without Qt."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from tracker import Status, list_inputs
from ui.failures import Exit, explain
from ui.interrupt import Cancel
from ui.jobs import Job, plan, settle_existing
from ui.process import Request, Runner
from ui.progress import Progress


@dataclass(frozen=True)
class Entry:
    """One input: ``done`` of ``frames`` frames (None: nobody knows), and a line about how it went."""

    number: int
    source: str
    state: str = "waiting"  # then running, and at last done, skipped, failed or cancelled
    done: int = 0
    frames: int | None = None
    fps: float = 0.0
    note: str = ""


class Backlog:
    """A queue of inputs and the thread that works on it. Any thread may look; one changes it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[int, Entry] = {}
        self._numbers = count(1)
        self._cancel = Cancel()
        self._thread: threading.Thread | None = None
        self.failure = ""  # why the last run could not go on at all; one line

    def entries(self) -> list[Entry]:
        """A snapshot, in order."""
        with self._lock:
            return list(self._entries.values())

    @property
    def running(self) -> bool:
        """Whether the thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def cancelled(self) -> bool:
        """Whether the present run, or the last one, was told to end early."""
        return self._cancel.asked

    def add(self, sources: Sequence[str]) -> None:
        """Append inputs; a folder stands for the files in it. What waits already is not added twice.

        Raises ``SourceError`` for a folder without pictures and videos.
        """
        files = [
            str(each)
            for source in sources
            for each in (list_inputs(source) if Path(source).is_dir() else [source])
        ]
        with self._lock:
            waiting = {each.source for each in self._entries.values() if each.state == "waiting"}
            for each in dict.fromkeys(files):
                if each not in waiting:
                    entry = Entry(next(self._numbers), each)
                    self._entries[entry.number] = entry

    def remove(self, numbers: Collection[int]) -> None:
        """Take entries out, but for the one that runs."""
        with self._lock:
            for number in numbers:
                if self._entries[number].state != "running":
                    del self._entries[number]

    def start(self, request: Request, output: Path | None, overwrite: bool) -> None:
        """Work on all that waits now. Results go beside their input or into ``output``.

        Those that exist are skipped or, with ``overwrite``, replaced. Raises ``UsageError`` when two
        inputs would have one result, or the model is not there.
        """
        waiting = [each for each in self.entries() if each.state == "waiting"]
        planned = plan([each.source for each in waiting], output)
        jobs = settle_existing(planned, skip=not overwrite, overwrite=overwrite)
        numbered = {each.number: job for each, job in zip(waiting, jobs, strict=True)}
        reporter = _Reporter(self)
        runner = Runner(request, reporter)
        self.failure, self._cancel = "", Cancel()
        self._thread = threading.Thread(
            target=self._work, args=(runner, reporter, numbered), name="kptrack batch", daemon=True
        )
        self._thread.start()

    def cancel(self) -> None:
        """End after the frame in hand. Its files are closed and hold what came before."""
        self._cancel.asked = True

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; whether it has ended."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.running

    def change(self, number: int, **changes: object) -> bool:
        """Change an entry; whether it is still there."""
        with self._lock:
            if number in self._entries:
                self._entries[number] = replace(self._entries[number], **changes)  # type: ignore[arg-type]
            return number in self._entries

    def _work(self, runner: Runner, reporter: _Reporter, jobs: dict[int, Job]) -> None:
        try:
            for number, job in jobs.items():
                if self._cancel.asked:
                    break
                if self.change(number, state="running"):
                    reporter.number, reporter.line = number, ""
                    self._attempt(runner, reporter, job)
        except Exception as error:  # noqa: BLE001 (the guard of this thread: there is no engine)
            self.failure = explain(error)[0]
            self.change(reporter.number, state="failed", note=self.failure)
        runner.close()

    def _attempt(self, runner: Runner, reporter: _Reporter, job: Job) -> None:
        if not job.outputs:
            self.change(reporter.number, state="skipped", note="the results exist")
            return
        try:
            code = runner.attempt(job, self._cancel)
        except KeyboardInterrupt:  # cancelled before the first frame
            code = Exit.INTERRUPTED
        if self._cancel.asked:
            self.change(reporter.number, state="cancelled")
        elif code is Exit.FINE:
            self.change(reporter.number, state="done")
        else:
            self.change(reporter.number, state="failed", note=reporter.line.removeprefix("kptrack: "))


class _Reporter(Progress):
    """Keeps the entry of the job at work up to date."""

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self.number = 0
        self.line = ""  # what was said last

    def say(self, line: str) -> None:
        """Keep the line, for when it was the reason of a failure."""
        self.line = line

    def begin(self, name: str, frames: int | None) -> None:
        """Say how many frames to expect."""
        self._backlog.change(self.number, frames=frames)

    def update(self, status: Status) -> None:
        """Say how far it is."""
        self._backlog.change(self.number, done=status.done, fps=status.fps)

    def report(self, entry: dict[str, object]) -> None:
        """The final figures."""
        found = entry["frames_with_subject"]
        note = f"{found} of {entry['frames']} frames with a subject"
        if not found:
            note += "; a lower threshold may find one"
        self._backlog.change(self.number, done=entry["frames"], fps=entry["fps"], note=note)
