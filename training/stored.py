"""Unlabelled pictures as they lie on the disk: stills and clips with an index, or folders of frames."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.index import load_arrays, read_picture

_HELD_OUT = 20  # one identity in so many is kept for the label-free score
# Clips of frames are cut for the whole clip so that a person fills about this much of them.
_CLIP_SHARE = 0.8


@dataclass(frozen=True)
class StoredSet:
    """One folder of pictures (``images/`` and ``index.npz``), decoded."""

    name: str
    images: list[np.ndarray]
    boxes: np.ndarray  # (N, 3) centre and longer side of the landmark box
    estimated: np.ndarray  # (N,) bool: the box was found on this very picture
    clips: list[np.ndarray]  # frame numbers of each clip; a still is a clip of one
    hashes: np.ndarray  # (N, 32) uint8 difference hash
    still_camera: np.ndarray  # (N,) bool: the frames of its clip show the same piece of the world


def load_sets(folder: Path, held_out: bool) -> list[StoredSet]:
    """The held-out identities of all sets in ``folder``, or all the others; if one half is empty, the other.

    A set is a folder with ``images/`` and ``index.npz``, or with ``clips.json`` and a folder of frames a
    clip. Raises ``ValueError`` when there are none or one cannot be read.
    """
    loaders = {"index.npz": _load_indexed, "clips.json": _load_clips}
    found = [(path, load) for name, load in loaders.items() for path in folder.glob(f"*/{name}")]
    if not found:
        raise ValueError(
            f"no sets under {folder}: want {folder}/SET/index.npz and {folder}/SET/images,"
            f" or {folder}/SET/clips.json and {folder}/SET/CLIP"
        )
    for half in (held_out, not held_out):
        loaded = [load(path.parent, half) for path, load in sorted(found, key=lambda each: each[0])]
        if kept := [each for each in loaded if each.images]:
            return kept
    raise ValueError(f"no pictures under {folder}")


def _load_indexed(folder: Path, held_out: bool) -> StoredSet:
    index = load_arrays(folder / "index.npz", "name")
    identity = index.get("identity", index["name"])
    keep = np.array([_is_held_out(str(each)) for each in identity]) == held_out
    images = [read_picture(folder / "images" / str(name)) for name in index["name"][keep]]
    video = index["video"][keep] if "video" in index else np.full(keep.sum(), "")
    stills = [np.array([number]) for number in np.flatnonzero(video == "")]
    clips = [np.flatnonzero(video == each) for each in np.unique(video) if each != ""]
    source = index["box_from"][keep] if "box_from" in index else np.full(keep.sum(), "haar")
    boxes = (
        index["box"][keep].astype(np.float64)
        if "box" in index
        else np.array([_middle(image, 0.5) for image in images])
    )
    return _stored(folder.name, images, boxes, stills + clips, source == "haar", np.zeros(len(images), bool))


def _load_clips(folder: Path, held_out: bool) -> StoredSet:
    path = folder / "clips.json"
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        still = {clip: not isinstance(about["boxes"][0], list) for clip, about in described.items()}
    except (OSError, ValueError, AttributeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{path} is damaged or no list of clips: fetch it again") from error
    images: list[np.ndarray] = []
    clips: list[np.ndarray] = []
    still_camera: list[bool] = []
    for clip in sorted(still):
        if _is_held_out(clip) != held_out:
            continue
        frames = sorted((folder / clip).glob("*.jpg"))
        if not frames:
            raise ValueError(f"{folder / clip} has no frames (*.jpg), but {path.name} names it")
        clips.append(np.arange(len(frames)) + len(images))
        images += [read_picture(frame) for frame in frames]
        still_camera += [still[clip]] * len(frames)
    boxes = np.array([_middle(image, _CLIP_SHARE) for image in images])
    return _stored(
        folder.name, images, boxes, clips, np.zeros(len(images), bool), np.array(still_camera, bool)
    )


def _stored(
    name: str,
    images: list[np.ndarray],
    boxes: np.ndarray,
    clips: list[np.ndarray],
    estimated: np.ndarray,
    still_camera: np.ndarray,
) -> StoredSet:
    hashes = np.array([_difference_hash(image) for image in images]).reshape(len(images), 32)
    return StoredSet(name, images, boxes.reshape(-1, 3), estimated, clips, hashes, still_camera)


def _middle(image: np.ndarray, share: float) -> tuple[float, float, float]:
    """The landmark box of a picture that was cut around its subject, whose box is ``share`` of it."""
    height, width = image.shape[:2]
    return (width - 1) / 2, (height - 1) / 2, max(height, width) * share


def _is_held_out(identity: str) -> bool:
    return hashlib.sha256(identity.encode()).digest()[0] % _HELD_OUT == 0


def _difference_hash(image: np.ndarray) -> np.ndarray:
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (17, 16), interpolation=cv2.INTER_AREA)
    return np.packbits(grey[:, 1:] > grey[:, :-1])
