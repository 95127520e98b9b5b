"""Files of the published sets: MATLAB matrices, and the complaint about what is not there."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError


def load_mat(path: Path, name: str) -> np.ndarray:
    """A matrix of a MATLAB file; a cell that holds only it is opened. Raises ``ValueError``."""
    try:
        with path.open("rb") as file:
            stored = loadmat(file, variable_names=[name])
    except FileNotFoundError as error:
        raise ValueError(f"{path} is not there") from error
    except NotImplementedError as error:
        raise ValueError(
            f"{path} is a MATLAB 7.3 file, which is HDF5 and cannot be read here: save it with -v7"
        ) from error
    # Where a file is torn decides which of these it is.
    except (MatReadError, OSError, ValueError, TypeError, LookupError, MemoryError, zlib.error) as error:
        raise ValueError(f"{path} is damaged or no MATLAB file: fetch it again") from error
    if name not in stored:
        raise ValueError(f"{path}: no matrix {name} in it")
    matrix = stored[name]
    matrix = np.asarray(matrix.item() if matrix.dtype == object and matrix.size == 1 else matrix)
    if matrix.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {name} is not a matrix of numbers")
    return matrix


def folder_of(root: Path, *parts: str, want: str) -> Path:
    """``root/parts``. Raises ``ValueError`` when it is no folder; ``want`` says what ``root`` should hold."""
    folder = root.joinpath(*parts)
    if not folder.is_dir():
        raise ValueError(f"no folder {'/'.join(parts)} in {root}: want {want}")
    return folder


def some(names: set[str], most: int = 3) -> str:
    """A few of many names, sorted, for a message."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(sorted(names)[:most]) + rest
