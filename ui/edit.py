"""``kptrack edit``: a picture drawn again with its landmarks moved, or with another's appearance."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from engines import Skeleton, load_model, open_engine
from engines.decoder import Painter, decoder_beside, load_decoder
from tracker import Frame, Overlay, Result, Source, Stopwatch, TrackerSettings, open_source, shown_name
from tracker.export import StillSink
from tracker.feed import is_url
from tracker.joints import joints_called
from tracker.redraw import RESULTS, NoSubjectError, Portrait, Redrawer
from tracker.sinks import part_of
from tracker.stills import PICTURES
from tracker.values import NOBODY
from ui.failures import Exit, UsageError, usage
from ui.interrupt import Cancel, hear_signals

# Frames of a video that are searched for its first subject, and how many are passed over between two of them:
# a search takes up to a tenth of a second.
_SEARCHED, _EVERY = 300, 5


@dataclass(frozen=True)
class EditOptions:
    """The options of ``kptrack edit``, for the window and for a run without one."""

    model: str = "face"
    decoder: Path | None = None  # the one beside the model
    device: str = "auto"
    settings: TrackerSettings = field(default_factory=TrackerSettings)
    result: str | None = None  # as ``default_result``
    frame: int | None = None  # of a video: the first with a subject

    def __post_init__(self) -> None:
        """Refuse a result that is none."""
        if self.result not in (None, *RESULTS):
            raise ValueError(f"result {self.result!r} is not one of {', '.join(RESULTS)}")


@dataclass(frozen=True)
class Move:
    """Joints, by one name, that are to go ``dx`` and ``dy`` pixels of the picture to the right and down."""

    name: str
    dx: float
    dy: float


@dataclass(frozen=True, eq=False)
class Opened:
    """A picture with its subject, and where it comes from: frame ``frame`` of ``frames``, if of a video."""

    portrait: Portrait
    source: str
    frame: int = 0
    frames: int | None = None

    @property
    def shown(self) -> str:
        """Its name for people."""
        name = shown_name(self.source)
        return name if self.frames is None else f"{name}, frame {self.frame}"


class OpeningCancelled(Exception):
    """What was being opened is no longer wanted."""


class Studio:
    """A landmark model and its decoder, opened to redraw with.

    While one thread opens a picture, another may ``draw``.
    """

    def __init__(self, options: EditOptions) -> None:
        """Raises ``UsageError`` for a model or decoder that is not there, else as ``open_engine`` does."""
        with usage():
            model = load_model(options.model)
            decoder = load_decoder(options.decoder or decoder_beside(options.model))
            # One picture now and then: what is exact is fast enough.
            engine = open_engine(model, "eager", "fp32", options.device)
            self.redrawer = Redrawer(engine, Painter(decoder, options.device), options.settings)
        self._in_use = threading.Lock()  # a redrawer is not for two threads at once
        self.skeleton: Skeleton = model.skeleton
        self.note = (
            ""
            if decoder.belongs_to(model)
            else (
                f"{decoder.name} was trained with the landmark model {decoder.partner} "
                f"(weights {decoder.partner_weights[:12]}), not with this one: pictures may be drawn badly"
            )
        )

    def open(self, source: str, frame: int | None = None, cancel: Cancel | None = None) -> Opened:
        """A picture, or of a video the ``frame``, from 0 on, or else the first that shows a subject.

        Raises ``SourceError`` for what cannot be read or shows nobody, ``UsageError`` for a frame that is
        not there, and ``OpeningCancelled`` at the next frame when ``cancel`` is asked for.
        """
        name = shown_name(source)
        with open_source(source) as opened:
            frames = _wanted(opened, cancel or Cancel())
            if frame is None:
                return self._search(source, opened, frames)
            if opened.still:
                raise UsageError(f"{name} is a picture: it has no frames to choose from")
            # Counted from the beginning: at a variable rate no time tells where a frame is.
            last = -1
            for found in islice(frames, frame + 1):
                last = found.index
            if last < frame:
                raise UsageError(f"{name}: there is no frame {frame}, the last is {last}")
            portrait = self._find(found.image, f"{name}, frame {frame}")
            return Opened(portrait, source, frame, opened.frames)

    def draw(self, drawing: Callable[[Redrawer], np.ndarray]) -> np.ndarray:
        """What ``drawing`` makes with the redrawer."""
        with self._in_use:
            return drawing(self.redrawer)

    def _find(self, image: np.ndarray, name: str) -> Portrait:
        with self._in_use:
            return self.redrawer.find(image, name)

    def _search(self, source: str, opened: Source, frames: Iterator[Frame]) -> Opened:
        for frame in islice(frames, 0, _SEARCHED, _EVERY):
            try:
                portrait = self._find(frame.image, opened.name)
            except NoSubjectError:
                if opened.still:
                    raise
            else:
                return Opened(portrait, source, frame.index, None if opened.still else opened.frames)
        raise NoSubjectError(
            f"{opened.name}: no subject in the first {_SEARCHED} frames; choose another with --frame"
        )


def _wanted(source: Source, cancel: Cancel) -> Iterator[Frame]:
    """Its frames, as long as they are wanted."""
    for frame in source:
        if cancel.asked:
            raise OpeningCancelled
        yield frame


def parse_move(text: str) -> Move:
    """A move as it is typed: ``left_eye:0,-4``. Raises ``UsageError``."""
    number = r"[-+]?(?:\d+\.?\d*|\.\d+)"
    match = re.fullmatch(rf"([^:]+):({number}),({number})", text)
    if match is None:
        raise UsageError(f"{text!r} is not a move such as left_eye:0,-4")
    return Move(match[1], float(match[2]), float(match[3]))


def moved(portrait: Portrait, moves: Sequence[Move]) -> tuple[np.ndarray, list[str]]:
    """Landmarks ``(K, 2)`` after the moves, and the joints that had to be kept inside of what can be redrawn.

    Raises ``UsageError`` for a joint that the skeleton does not have.
    """
    xy = portrait.xy.copy()
    with usage():
        for move in moves:
            xy[joints_called(portrait.skeleton, move.name)] += (move.dx, move.dy)
    return kept_inside(portrait, xy)


def kept_inside(portrait: Portrait, xy: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Landmarks ``(K, 2)`` within what can be redrawn, and the joints that had left it."""
    xy, left = portrait.keep_inside(xy)
    return xy, [portrait.skeleton.joints[index] for index in np.flatnonzero(left)]


def said_inside(joints: Sequence[str]) -> str:
    """The line about joints that were kept inside."""
    names = ", ".join(joints[:3]) + (f" and {len(joints) - 3} more" if len(joints) > 3 else "")
    return f"{names}: kept inside of the picture and of the square that is redrawn"


def check_output(out: Path, sources: Sequence[str], overwrite: bool) -> None:
    """Refuse a name that is no picture's, a folder's or an input's, or is taken. Raises ``UsageError``."""
    if out.suffix.lower() not in PICTURES:
        raise UsageError(f"{out}: choose a name that ends in {', '.join(PICTURES)}")
    if out.is_dir():
        raise UsageError(f"{out} is a folder: choose another name")
    for name in (out, part_of(out)):  # under which it is written
        if name.exists() and any(Path(each).exists() and name.samefile(each) for each in sources):
            raise UsageError(f"{name} is an input: choose another name")
    if out.exists() and not overwrite:
        raise UsageError(f"{out} exists: give --overwrite or another --out")


def name_beside(source: str) -> Path:
    """What to call a picture that is made of this one: in a file's folder, else where the program runs."""
    path = Path(Path(shown_name(source)).name if is_url(source) else source).absolute()
    return path.with_name(f"{path.stem}.edited.png")


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture file; it appears whole or not at all. Raises ``SinkError``."""
    with StillSink(path, Overlay(parts=()), Stopwatch()) as sink:
        sink.write(Result(Frame(picture, 0, 0.0, 0), (), NOBODY))


def run_edit(
    source: str, style: str | None, moves: Sequence[str], out: Path, overwrite: bool, options: EditOptions
) -> Exit:
    """The command without a window: moves the landmarks of ``source``, in the appearance of ``style``."""
    wanted = [parse_move(each) for each in moves]
    check_output(out, [source, *([style] if style else [])], overwrite)
    if style and options.result == "detailed":
        raise UsageError("--result detailed keeps the picture's own detail: with --style, choose another")
    studio = Studio(options)
    for move in wanted:  # before anything is searched for
        with usage():
            joints_called(studio.skeleton, move.name)
    if studio.note:
        _say(f"warning: {studio.note}")
    target = hear_signals(lambda: studio.open(source, options.frame))
    appearance = hear_signals(lambda: studio.open(style)) if style else None
    xy, kept = moved(target.portrait, wanted)
    if kept:
        _say(f"warning: {said_inside(kept)}")
    picture = studio.redrawer.redraw(
        target.portrait, xy, appearance.portrait if appearance else None, options.result
    )
    write_picture(out, picture)
    joints = int((xy != target.portrait.xy).any(axis=1).sum())
    dressed = f" in the appearance of {appearance.shown}" if appearance else ""
    _say(f"{target.shown}{dressed}: {joints} of {len(xy)} joints moved → {out}")
    return Exit.FINE


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
