"""Pictures as sources: one file, or a folder as a sequence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from tracker.feed import Source, SourceError
from tracker.opencv import silent_opencv
from tracker.values import Frame

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEOS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".3gp", ".ogv", ".gif", ".vob", ".mxf", ".y4m"),
)
# A sequence of pictures carries no time of its own.
_SEQUENCE_FPS = 25


def read_picture(path: Path) -> np.ndarray:
    """A picture file as ``(H, W, 3)`` uint8 RGB, turned as its EXIF says. Raises ``SourceError``."""
    try:
        # Not cv2.imread: it writes its own complaints and cannot open every name on Windows.
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"{path.name}: {error.strerror}") from error
    if not data.size:
        raise SourceError(f"{path.name}: the file is empty (0 bytes); copy or record it again")
    try:
        with silent_opencv():
            image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    except cv2.error:  # beyond OpenCV's limit on the number of pixels
        image = None
    if image is None:
        raise SourceError(f"{path.name}: not a picture that can be read: damaged, cut off or of another kind")
    return np.asarray(image, np.uint8)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that puts ``2.jpg`` before ``10.jpg``."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(each), "") if each.isdecimal() else (1, 0, each) for each in parts]


def is_result(path: Path) -> bool:
    """Whether a file's name says that kptrack wrote it, to its end or not."""
    return bool({".kptrack", ".part"} & set(path.suffixes[:-1]))


def list_inputs(folder: str | Path, recursive: bool = False) -> list[Path]:
    """Pictures and videos of a folder, in the order a person would count them.

    Own results (``*.kptrack.*``), unfinished ones (``*.part.*``) and hidden files are not inputs.
    Raises ``SourceError`` where there is none.
    """
    folder = Path(folder)
    found = [
        path
        for path in (folder.rglob("*") if recursive else folder.glob("*"))
        if path.suffix.lower() in PICTURES + VIDEOS
        and not path.name.startswith(".")
        and not is_result(path)
        and path.is_file()
    ]
    if not found:
        raise SourceError(f"{folder.name or folder}: no picture or video in this folder")
    return sorted(found, key=lambda path: ([str(each) for each in path.parent.parts], _natural(path)))


class StillSource(Source):
    """One picture file: a single frame at time 0."""

    time_base = Fraction(1, _SEQUENCE_FPS)
    fps = float(_SEQUENCE_FPS)
    frames = 1
    still = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self._image = read_picture(path)
        self.height, self.width = self._image.shape[:2]

    def __iter__(self) -> Iterator[Frame]:
        """The picture."""
        yield Frame(self._image, 0, 0.0, 0)
        self.ended = True


class FolderSource(Source):
    """The pictures of a folder as a video of 25 frames a second; all must have the size of the first."""

    time_base = Fraction(1, _SEQUENCE_FPS)
    fps = float(_SEQUENCE_FPS)

    def __init__(self, folder: Path, first: int, last: int) -> None:
        """Pictures ``first`` to before ``last``, counted from 0. Raises ``SourceError``."""
        self.name = folder.name or str(folder)
        pictures = [path for path in list_inputs(folder) if path.suffix.lower() in PICTURES]
        self._first, self._pictures = first, pictures[first:last]
        self.trimmed = len(self._pictures) < len(pictures)
        self.start_s = first / _SEQUENCE_FPS
        if not self._pictures:
            raise SourceError(f"{self.name}: no picture in this folder, or none in the part asked for")
        self.height, self.width = read_picture(self._pictures[0]).shape[:2]
        self.frames = len(self._pictures)

    def __iter__(self) -> Iterator[Frame]:
        """The pictures in natural order of their names; one that cannot be read counts as lost."""
        index = 0
        for number, path in enumerate(self._pictures, self._first):
            try:
                image = read_picture(path)
            except SourceError:
                self.lost += 1
                continue
            if image.shape[:2] != (self.height, self.width):
                raise SourceError(
                    f"{path.name}: {image.shape[1]}x{image.shape[0]} pixels, the first picture of the folder "
                    f"has {self.width}x{self.height}; give pictures of different sizes one by one"
                )
            yield Frame(image, index, number / _SEQUENCE_FPS, number)
            index += 1
        self.ended = True
