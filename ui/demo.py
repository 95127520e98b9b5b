"""``kptrack demo``: a moving clip with sound, made from a public-domain portrait."""

from __future__ import annotations

import math
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from tracker import Frame, Overlay, Result, Source, VideoSettings, open_sink
from tracker.values import NOBODY
from ui.failures import Exit
from ui.jobs import plan
from ui.portrait import portrait
from ui.process import Request, Runner
from ui.progress import open_progress

_FPS = 25
_SECONDS = 6
_SIZE = (1280, 720)
_SOUND_RATE = 44_100
# Notes of a slow arpeggio, in semitones above the A of 220 Hz; the clip holds each for half a second.
_MELODY = (0, 3, 7, 12, 10, 7, 3, 7, 5, 8, 12, 0)


def run_demo(output: Path, model: str, progress: str) -> Exit:
    """The whole command: the clip and its results in ``output``; prints where they are."""
    shown = open_progress(progress)
    runner = Runner(Request(model=model), shown)
    clip = output / "demo.mp4"
    shown.say(f"making {clip} …")
    write_clip(clip)
    jobs = plan([str(clip)], output)
    code = runner.run(jobs)
    if progress != "json":
        for path in jobs[0].outputs:
            if path.exists():
                print(path)
    return code


class DemoSource(Source):
    """The portrait as a picture that floats, turns and comes closer before its own blurred background."""

    name = "demo"
    width, height = _SIZE
    fps = float(_FPS)
    time_base = Fraction(1, _FPS)
    frames = _FPS * _SECONDS

    def __init__(self, sound: Path) -> None:
        """``sound`` is the file that the clip's sound comes from."""
        self.address = f"file:{sound}"
        self._portrait = portrait()
        wide = cv2.resize(self._portrait, (_SIZE[0], _SIZE[0]), interpolation=cv2.INTER_CUBIC)
        top = (_SIZE[0] - _SIZE[1]) // 2
        # Dark and without a feature that a detector could take for a second face.
        self._background = cv2.GaussianBlur(wide[top : top + _SIZE[1]], (0, 0), 60) // 2

    def __iter__(self) -> Iterator[Frame]:
        """The clip, frame by frame."""
        for index in range(self.frames):
            yield Frame(self._picture(index / self.frames), index, index / _FPS, index)
        self.ended = True

    def _picture(self, phase: float) -> np.ndarray:
        """The frame at ``phase`` 0..1 of a motion that ends where it began."""
        turn = 2 * math.pi * phase
        scale = 2.1 - 0.4 * math.cos(turn)
        angle = math.radians(14) * math.sin(2 * turn)
        move = np.array([_SIZE[0] / 2 + 150 * math.sin(turn), _SIZE[1] / 2 + 40 * math.sin(3 * turn)])
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        linear = np.array([[cosine, -sine], [sine, cosine]])
        # The face, not the middle of the portrait, stays near the middle of the frame.
        shift = move - linear @ np.array([224.0, 150.0])
        warp = np.column_stack([linear, shift])
        picture: np.ndarray = cv2.warpAffine(self._portrait, warp, _SIZE, flags=cv2.INTER_CUBIC)
        cover: np.ndarray = np.full(self._portrait.shape[:2], 255, np.uint8)
        cover = cv2.warpAffine(cover, warp, _SIZE, flags=cv2.INTER_LINEAR)[..., None] / np.float32(255)
        return np.asarray(picture * cover + self._background * (1 - cover), np.uint8)


def write_melody(path: Path) -> None:
    """Six seconds of plucked notes as a mono WAV file."""
    seconds = _SECONDS / len(_MELODY)
    time_s = np.arange(int(_SOUND_RATE * seconds)) / _SOUND_RATE
    decay = np.exp(-5 * time_s) * np.minimum(1, time_s / 0.01)
    notes = []
    for step in _MELODY:
        tone = 2 * np.pi * 220 * 2 ** (step / 12) * time_s
        notes.append(decay * (np.sin(tone) + 0.3 * np.sin(2 * tone) + 0.1 * np.sin(3 * tone)))
    samples = np.concatenate(notes)
    samples *= 0.5 * 32767 / np.abs(samples).max()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_SOUND_RATE)
        file.writeframes(samples.astype(np.int16).tobytes())


def write_clip(path: Path) -> None:
    """The demonstration clip as MP4 with sound, in place of one that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = path.with_suffix(".part.wav")
    bare = Overlay(parts=())
    try:
        write_melody(sound)
        with (
            DemoSource(sound) as source,
            open_sink(path, source, bare, VideoSettings(preset="veryfast")) as sink,
        ):
            for frame in source:
                sink.write(Result(frame, (), NOBODY))
    finally:
        sound.unlink(missing_ok=True)
