"""Settings as frozen values, from code or from a TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

DETECTORS = ("auto", "learned", "haar", "hog", "center")
SMOOTHERS = ("one-euro", "none")
CODECS = ("h264", "hevc", "h264_nvenc")
PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow"),
)
AUDIO = ("copy", "none")


def _choose(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} {value!r} is not one of {', '.join(choices)}")


def _within(name: str, value: object, low: float, high: float, whole: bool = False) -> None:
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{name} {value!r} is not {kind} from {low:g} to {high:g}")


@dataclass(frozen=True)
class TrackerSettings:
    """How subjects are found and followed.

    ``min_score``: a subject below it is not followed; ``max_subjects``: at most so many at once;
    ``detect_every``: frames between two searches while somebody is followed; ``detector`` and
    ``smooth``: see ``DETECTORS`` and ``SMOOTHERS``; ``patience_s``: how long a lost subject keeps its
    id. Raises ``ValueError`` for a value outside of its choices.
    """

    min_score: float = 0.5
    max_subjects: int = 4
    detect_every: int = 10
    detector: str = "auto"
    smooth: str = "one-euro"
    patience_s: float = 0.5

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        _within("min_score", self.min_score, 0, 1)
        _within("max_subjects", self.max_subjects, 1, 64, whole=True)
        _within("detect_every", self.detect_every, 1, 100_000, whole=True)
        _within("patience_s", self.patience_s, 0, 60)
        _choose("detector", self.detector, DETECTORS)
        _choose("smooth", self.smooth, SMOOTHERS)


@dataclass(frozen=True)
class VideoSettings:
    """How an annotated video is written; see ``CODECS``, ``PRESETS`` and ``AUDIO``.

    ``crf`` 0 (lossless) to 51 (worst); NVENC reads it as constant quality and has no ``preset`` of
    these names. ``faststart`` moves the index to the front on close, for playing over a network.
    """

    codec: str = "h264"
    preset: str = "superfast"
    crf: int = 20
    faststart: bool = False
    audio: str = "copy"

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        _choose("codec", self.codec, CODECS)
        _choose("preset", self.preset, PRESETS)
        _choose("audio", self.audio, AUDIO)
        _within("crf", self.crf, 0, 51, whole=True)


def load_settings(path: str | Path) -> TrackerSettings:
    """Tracker settings of a TOML file: keys at the top, named as the fields of ``TrackerSettings``.

    Raises ``ValueError`` naming the file for a key or value that is not known and for broken TOML.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from error
    known = [each.name for each in fields(TrackerSettings)]
    for name in table:
        if name not in known:
            raise ValueError(f"{path}: {name!r} is not one of {', '.join(known)}")
    try:
        return TrackerSettings(**table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
