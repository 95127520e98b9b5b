"""``kptrack demo``: moving clips with sound, made from a portrait and a cat in the public domain."""

from __future__ import annotations

import math
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from engines import load_model
from engines.skeleton import CAT_HEAD
from tracker import Frame, Overlay, Result, Source, VideoSettings, open_sink
from tracker.values import NOBODY
from ui.failures import Exit
from ui.jobs import plan
from ui.portrait import cat, portrait
from ui.process import Request, Runner
from ui.progress import open_progress

_FPS = 25
_SECONDS = 6
_SIZE = (1280, 720)
_SOUND_RATE = 44_100
# Notes of a slow arpeggio, in semitones above the A of 220 Hz; the clip holds each for half a second.
_MELODY = (0, 3, 7, 12, 10, 7, 3, 7, 5, 8, 12, 0)


@dataclass(frozen=True)
class Scene:
    """What a clip shows: a picture whose point ``middle`` (x, y) stays near the middle of the frame.

    It comes as close as ``scale`` (frame pixels a picture pixel), give or take ``closer``.
    """

    name: str
    picture: Callable[[], np.ndarray]
    middle: tuple[float, float]
    scale: float
    closer: float


PORTRAIT = Scene("portrait", portrait, (224.0, 150.0), 2.1, 0.4)
CAT = Scene("cat", cat, (255.0, 130.0), 1.5, 0.2)


def run_demo(output: Path, model: str | None, progress: str) -> Exit:
    """The whole command: clips and their results in ``output``; prints where they are.

    Without ``model`` a face and a cat, each with its own.
    """
    shown = open_progress(progress)
    shows = [(_scene_of(model), model)] if model else [(PORTRAIT, "face"), (CAT, "cat")]
    for scene, name in shows:
        clip = output / f"{scene.name}.mp4"
        runner = Runner(Request(model=name), shown)
        shown.say(f"making {clip} …")
        write_clip(clip, scene)
        jobs = plan([str(clip)], output)
        code = runner.run(jobs)
        if progress != "json":
            for path in jobs[0].outputs:
                if path.exists():
                    print(path)
        if code != Exit.FINE:
            return code
    return Exit.FINE


def _scene_of(model: str) -> Scene:
    return CAT if load_model(model).skeleton == CAT_HEAD else PORTRAIT


class DemoSource(Source):
    """A picture that floats, turns and comes closer before its own blurred background."""

    name = "demo"
    width, height = _SIZE
    fps = float(_FPS)
    time_base = Fraction(1, _FPS)
    frames = _FPS * _SECONDS

    def __init__(self, scene: Scene, sound: Path) -> None:
        """``sound`` is the file that the clip's sound comes from."""
        self.address = f"file:{sound}"
        self._scene, self._shown = scene, scene.picture()
        wide = cv2.resize(self._shown, (_SIZE[0], _SIZE[0]), interpolation=cv2.INTER_CUBIC)
        top = (_SIZE[0] - _SIZE[1]) // 2
        # Dark and without a feature that a detector could take for a second face.
        self._background = cv2.GaussianBlur(wide[top : top + _SIZE[1]], (0, 0), 60) // 2

    def __iter__(self) -> Iterator[Frame]:
        """The clip, frame by frame."""
        for index in range(self.frames):
            yield Frame(self._picture(index / (_FPS * _SECONDS)), index, index / _FPS, index)
        self.ended = True

    def _picture(self, phase: float) -> np.ndarray:
        """The frame at ``phase`` 0..1 of a motion that ends where it began."""
        turn = 2 * math.pi * phase
        scale = self._scene.scale - self._scene.closer * math.cos(turn)
        angle = math.radians(14) * math.sin(2 * turn)
        move = np.array([_SIZE[0] / 2 + 150 * math.sin(turn), _SIZE[1] / 2 + 40 * math.sin(3 * turn)])
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        linear = np.array([[cosine, -sine], [sine, cosine]])
        shift = move - linear @ np.array(self._scene.middle)
        warp = np.column_stack([linear, shift])
        picture: np.ndarray = cv2.warpAffine(self._shown, warp, _SIZE, flags=cv2.INTER_CUBIC)
        cover: np.ndarray = np.full(self._shown.shape[:2], 255, np.uint8)
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


def write_clip(path: Path, scene: Scene = PORTRAIT) -> None:
    """The demonstration clip as MP4 with sound, in place of one that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = path.with_suffix(".part.wav")
    bare = Overlay(parts=())
    try:
        write_melody(sound)
        with (
            DemoSource(scene, sound) as source,
            open_sink(path, source, bare, VideoSettings(preset="veryfast")) as sink,
        ):
            for frame in source:
                sink.write(Result(frame, (), NOBODY))
    finally:
        sound.unlink(missing_ok=True)
