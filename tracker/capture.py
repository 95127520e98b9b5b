"""Keeps a live source open: reads it, notices when it falls silent, opens it again.

Reading can hang inside a driver or a library, where nothing can end it. So each connection has a reading
thread of its own, and a second thread watches it: a reader that hangs is abandoned, and what it reads
after that goes nowhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Thread

import numpy as np

from tracker.channel import Closed
from tracker.faults import one_line
from tracker.feed import Source, SourceError
from tracker.pace import Pace
from tracker.timing import Stopwatch
from tracker.values import Frame

# connecting: no picture yet; live: pictures come; stalled: none for two seconds; reconnecting: it broke off
# and is tried again, after 0.5 to 10 s; ended: a file is over; failed: it is not tried again.
STATES = ("connecting", "live", "stalled", "reconnecting", "ended", "failed")
# FFmpeg gives up after 10 s, by itself and without leaving a thread behind, so the watch waits longer.
SOURCE_TIMEOUT_S = 10.0
_OPEN_S = 25.0
_SILENT_S = 12.0
_STALLED_S = 2.0
_PAUSES_S = (0.5, 10.0)  # before the first new attempt, and at most; they double in between
# A connection that lasted this long was a good one: the next pause is short again.
_GOOD_S = 10.0
_LOOK_EVERY_S = 0.05
_HANDOVER_S = 3.0  # a camera that hangs is not waited for any longer
# Larger pictures, at up to six in memory, are gigabytes.
_LARGEST = (7680, 4320)
# A picture without a brighter value is black; told after some seconds of it.
_BLACK = 16
_BLACK_FOR_S = 3.0

Take = Callable[[Frame, Source, int], None]
_END = object()


@dataclass(frozen=True)
class CaptureStatus:
    """State in ``STATES``, a line about it, and how often pictures came again after a break."""

    state: str
    message: str
    reconnects: int
    source: Source | None  # the newest that gave a picture
    error: Exception | None  # what it failed of, in state failed or reconnecting


class Capture:
    """Owner of the threads that read one source.

    ``open_source`` opens it, in a reading thread. ``take`` is given every frame when it is due, its source
    and the number of its connection, which ``number`` draws. ``patient``: a source that does not open is
    tried again, as one is that had given live pictures. ``loop``: a file begins again at its end. ``after``
    are stopped ones, which may not have given a camera back yet that this one is to open.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        take: Take,
        number: Callable[[], int],
        *,
        patient: bool = False,
        loop: bool = False,
        after: Sequence[Capture] = (),
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._open, self._take, self._number = open_source, take, number
        self._patient, self._loop, self._after = patient, loop, after
        self._watch = stopwatch or Stopwatch()
        self._stopping = Event()
        self._readers: list[_Reader] = []
        self._connected = 0  # connections that gave pictures
        self._heard: _Reader | None = None  # the last of these
        self._source: Source | None = None
        self._state, self._message = "connecting", ""
        self._error: Exception | None = None
        self._thread = Thread(target=self._run, name="kptrack capture", daemon=True)

    def start(self) -> None:
        """Start; once."""
        self._thread.start()

    def stop(self) -> None:
        """Give no more frames. Does not block."""
        self._stopping.set()
        for reader in self._readers:
            reader.abandon()

    def join(self, deadline_s: float) -> bool:
        """Wait until that time of ``time.monotonic``; whether every thread has ended."""
        _join(self._thread, deadline_s)
        for reader in self._readers:
            _join(reader.thread, deadline_s)
        return not any(each.is_alive() for each in (self._thread, *(each.thread for each in self._readers)))

    def status(self) -> CaptureStatus:
        """A snapshot, from any thread."""
        return CaptureStatus(
            self._state, self._message, max(0, self._connected - 1), self._source, self._error
        )

    def _run(self) -> None:
        """Connect, watch, and connect again after a pause, until it is over."""
        pause_s = _PAUSES_S[0]
        given_back_s = time.monotonic() + _HANDOVER_S
        while any(not each.join(0) for each in self._after) and time.monotonic() < given_back_s:
            if self._stopping.wait(_LOOK_EVERY_S):
                return
        self._after = ()
        while not self._stopping.is_set():
            reader = _Reader(self._open, self._take, self._number(), self._loop, self._watch)
            self._readers = [each for each in self._readers if each.thread.is_alive()] + [reader]
            reader.thread.start()
            error = self._follow(reader)
            reader.abandon()
            if self._stopping.is_set():
                return
            if error is None:
                self._state, self._message, self._error = "ended", "", None
                return
            self._message, self._error = one_line(error), error
            live = self._source is not None and self._source.live and self._connected > 0
            if not (self._patient or live):
                self._state = "failed"
                return
            self._state = "reconnecting"
            if reader.lasted_s() >= _GOOD_S:
                pause_s = _PAUSES_S[0]
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, _PAUSES_S[1])

    def _follow(self, reader: _Reader) -> Exception | None:
        """Keep the state until the connection is over; why it broke off, None for a file's end."""
        while True:
            over = reader.over.wait(_LOOK_EVERY_S)
            source = reader.source
            if reader.frames and reader is not self._heard:
                self._heard, self._source = reader, source
                self._connected += 1
            if over or self._stopping.is_set():
                return reader.error
            silent_s = time.monotonic() - reader.heard_s
            if source is None or not reader.frames:
                if silent_s > _OPEN_S:
                    return SourceError(f"no picture within {_OPEN_S:g} s; it does not answer")
                continue
            silence = f"{source.name}: no picture for {silent_s:.0f} s"
            # A slow camera is not a silent one.
            slow_s = 4 / source.fps
            if silent_s > max(_SILENT_S, 2 * slow_s):
                return SourceError(silence)
            stalled = silent_s > max(_STALLED_S, slow_s)
            self._message = silence if stalled else reader.complaint(source)
            self._state, self._error = "stalled" if stalled else "live", None


class _Reader:
    """One connection in a thread that may hang."""

    def __init__(
        self, open_source: Callable[[], Source], take: Take, number: int, loop: bool, watch: Stopwatch
    ) -> None:
        self._open, self._take, self._number = open_source, take, number
        self._loop, self._watch = loop, watch
        self._abandoned = Event()
        self._pace = Pace()
        self._looked_s = 0.0
        self._black_since_s: float | None = None
        self._begin_s = self.heard_s = time.monotonic()
        self.source: Source | None = None
        self.frames = 0
        self.error: Exception | None = None
        self.over = Event()
        self.thread = Thread(target=self._run, name="kptrack read", daemon=True)

    def abandon(self) -> None:
        """Take nothing more of it, whenever it may come back."""
        self._abandoned.set()

    def lasted_s(self) -> float:
        """From its beginning to its last picture."""
        return self.heard_s - self._begin_s

    def complaint(self, source: Source) -> str:
        """What is wrong with the pictures, if anything is."""
        since_s = self._black_since_s
        if not source.live or since_s is None or self.heard_s - since_s < _BLACK_FOR_S:
            return ""
        return f"{source.name}: the picture is black; covered, or held by another program"

    def _run(self) -> None:
        """The thread; its one guard."""
        try:
            while self._play() and self._loop and not self._abandoned.is_set():
                pass
        except Closed:
            pass
        except Exception as error:  # noqa: BLE001 (kept for the one who watches)
            self.error = error
        finally:
            self.over.set()

    def _play(self) -> bool:
        """Read the source once; whether it came to its end. A live one that ends has broken off."""
        with self._open() as source:
            if self._abandoned.is_set():
                return False
            _check_size(source)
            self.source = source
            frames = iter(source)
            first = True
            while True:
                with self._watch("read"):
                    frame = next(frames, _END)
                if frame is _END:
                    break
                if not isinstance(frame, Frame):
                    raise SourceError(f"{source.name}: gave no picture")
                if not source.live:
                    self._wait_for(frame, source, first)
                if self._abandoned.is_set():
                    return False
                first = False
                self.heard_s = time.monotonic()
                self._examine(frame.image)
                self.frames += 1
                self._take(frame, source, self._number)
            if source.live:
                raise SourceError(f"{source.name}: the stream is over")
            return True

    def _wait_for(self, frame: Frame, source: Source, first: bool) -> None:
        """Hold a file's frame back until it is due."""
        if first and self.frames:
            self._pace.repeat(frame.time_s, 1 / source.fps)
        # Also a file at one picture in ten seconds is not silent.
        self.heard_s = self._pace.due_s(frame.time_s)
        self._abandoned.wait(max(0.0, self.heard_s - time.monotonic()))

    def _examine(self, image: np.ndarray) -> None:
        """Notice a picture that stays black; a look a second costs nothing."""
        if self.heard_s - self._looked_s < 1.0:
            return
        self._looked_s = self.heard_s
        if image[::8, ::8].max() >= _BLACK:
            self._black_since_s = None
        elif self._black_since_s is None:
            self._black_since_s = self.heard_s


def _check_size(source: Source) -> None:
    if source.width * source.height > _LARGEST[0] * _LARGEST[1]:
        width, height = _LARGEST
        raise SourceError(
            f"{source.name}: {source.width}x{source.height} pixels are more than live takes "
            f"({width}x{height}); reduce it, or use `kptrack process`"
        )


def _join(thread: Thread, deadline_s: float) -> None:
    if thread.is_alive():
        thread.join(max(0.0, deadline_s - time.monotonic()))
