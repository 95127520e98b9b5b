"""Pictures and what lies beside them: ``index.npz`` of a set, labels; their arrays have a row a picture."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np


def load_arrays(path: Path, *wanted: str) -> dict[str, np.ndarray]:
    """The arrays of an npz file. Raises ``ValueError`` when it is damaged or lacks one that is ``wanted``."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except FileNotFoundError as error:
        raise ValueError(f"{path} is not there") from error
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged or no npz file: fetch it again") from error
    if missing := set(wanted) - arrays.keys():
        raise ValueError(f"{path}: no array {', '.join(sorted(missing))}")
    if "name" in wanted and (short := [key for key in wanted if len(arrays[key]) != len(arrays["name"])]):
        raise ValueError(f"{path}: {short[0]} has not as many rows as name")
    return arrays


def label_files(data: Path) -> list[tuple[Path, Path]]:
    """Files ``data/labels/NAME_train.npz``, each with the folder ``data/train/NAME/images`` that it is of."""
    return [
        (path, data / "train" / path.stem.removesuffix("_train") / "images")
        for path in sorted((data / "labels").glob("*_train.npz"))
    ]


def read_labelled(labels: Path, images: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Pictures in ``images`` and their joints ``(N, K, 2)`` float32 in pixels.

    ``labels`` is an npz with ``name`` and ``pts``. Raises ``ValueError`` when it or a picture cannot be read.
    """
    arrays = load_arrays(labels, "name", "pts")
    return [read_picture(images / str(name)) for name in arrays["name"]], arrays["pts"].astype(np.float32)


def read_picture(path: Path) -> np.ndarray:
    """A picture ``(H, W, 3)`` uint8 RGB as it is stored. Raises ``ValueError`` when it is missing or none."""
    # Not turned as its EXIF says: labels and boxes that lie beside a picture count the stored pixels.
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise ValueError(f"{path} is missing or no picture")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
