"""Unlabelled pictures → training batches: a target, where its appearance comes from, and a second view."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from engines import crop
from training.augment import ThinPlateWarps, crop_maps, hide_blocks, jittered_boxes, random_colours
from training.config import TrainConfig
from training.index import load_arrays, read_picture

_SAME_PICTURE_BITS = 4  # of 256: frames closer than this by difference hash say nothing about motion
_HELD_OUT = 20  # one identity in so many is kept for the label-free score


@dataclass(frozen=True)
class Batch:
    """One step's pictures: ``(B, S, S, 3)`` uint8, maps ``(B, 3, 3)`` from crop to stored picture.

    ``image`` is what is to be drawn and redrawn; ``other`` gives its appearance; ``view`` is another
    crop of the picture of ``image``, in other colours. ``mirrored`` ``(B,)``: ``view`` is flipped
    against ``image``. ``boxes`` ``(B, 3)``: landmark box as estimated; ``trusted`` ``(B,)``: on this picture.
    """

    image: Tensor
    other: Tensor
    view: Tensor
    maps: Tensor
    view_maps: Tensor
    mirrored: Tensor
    boxes: Tensor
    trusted: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on another device."""
        return Batch(
            **{each.name: getattr(self, each.name).to(device, non_blocking=True) for each in fields(self)}
        )


def as_input(images: Tensor) -> Tensor:
    """Crops ``(B, S, S, 3)`` uint8 → ``(B, 3, S, S)`` float32 in [-1, 1], channels last in memory."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


@dataclass(frozen=True)
class StoredSet:
    """One folder of pictures (``images/`` and ``index.npz``), decoded."""

    name: str
    images: list[np.ndarray]
    boxes: np.ndarray  # (N, 3) centre and longer side of the landmark box
    estimated: np.ndarray  # (N,) bool: the box was found on this very picture
    clips: list[np.ndarray]  # frame numbers of each clip; a still is a clip of one
    hashes: np.ndarray  # (N, 32) uint8 difference hash


def load_set(folder: Path, held_out: bool) -> StoredSet:
    """The held-out identities of a folder, or all the others.

    Raises ``ValueError`` when the folder has no readable index or picture.
    """
    index = load_arrays(folder / "index.npz", "name")
    identity = index.get("identity", index["name"])
    keep = np.array([_is_held_out(str(each)) for each in identity]) == held_out
    images = [read_picture(folder / "images" / str(name)) for name in index["name"][keep]]
    video = index["video"][keep] if "video" in index else np.full(keep.sum(), "")
    stills = [np.array([number]) for number in np.flatnonzero(video == "")]
    clips = [np.flatnonzero(video == each) for each in np.unique(video) if each != ""]
    source = index["box_from"][keep] if "box_from" in index else np.full(keep.sum(), "haar")
    hashes = np.array([_difference_hash(image) for image in images]).reshape(len(images), 32)
    boxes = (
        index["box"][keep].astype(np.float64) if "box" in index else np.array([_middle(x) for x in images])
    )
    return StoredSet(folder.name, images, boxes.reshape(-1, 3), source == "haar", stills + clips, hashes)


def _middle(image: np.ndarray) -> tuple[float, float, float]:
    """The landmark box of a picture cut around its subject, which shows twice that box: stored sets do."""
    height, width = image.shape[:2]
    return (width - 1) / 2, (height - 1) / 2, max(height, width) / 2


def _is_held_out(identity: str) -> bool:
    return hashlib.sha256(identity.encode()).digest()[0] % _HELD_OUT == 0


def _difference_hash(image: np.ndarray) -> np.ndarray:
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (17, 16), interpolation=cv2.INTER_AREA)
    return np.packbits(grey[:, 1:] > grey[:, :-1])


class Pictures:
    """Sets to draw batches from; a batch depends on the seed and its number alone, so a run can resume."""

    def __init__(self, folder: Path, config: TrainConfig, held_out: bool = False) -> None:
        subfolders = sorted(path.parent for path in folder.glob("*/index.npz"))
        if not subfolders:
            raise ValueError(f"no sets under {folder}: want {folder}/SET/index.npz and {folder}/SET/images")
        loaded = (load_set(each, held_out) for each in subfolders)
        self.sets = [each for each in loaded if each.images]
        if not self.sets:
            raise ValueError(f"no pictures under {folder}")
        weights = np.array([config.set_weights.get(each.name, 1.0 / len(self.sets)) for each in self.sets])
        self._weights = weights / weights.sum()
        self._config = config
        self._warps = ThinPlateWarps(config.network.input_size, np.random.default_rng(config.seed))

    def __len__(self) -> int:
        """How many pictures there are."""
        return sum(len(each.images) for each in self.sets)

    def batch(self, number: int, size: int | None = None) -> Batch:
        """Batch ``number`` of the run."""
        rng = np.random.default_rng([self._config.seed, number])
        samples = [self._sample(rng) for _ in range(size or self._config.batch)]
        columns = {key: torch.from_numpy(np.stack([each[key] for each in samples])) for key in samples[0]}
        return Batch(**columns)

    def batches(self, first: int, workers: int = 2, ahead: int = 6) -> Iterator[Batch]:
        """Batches from ``first`` on, without end, prepared in threads."""
        with ThreadPoolExecutor(workers) as pool:
            waiting: list[Future[Batch]] = [pool.submit(self.batch, first + index) for index in range(ahead)]
            number = first + ahead
            while True:
                ready = waiting.pop(0).result()
                waiting.append(pool.submit(self.batch, number))
                number += 1
                yield ready

    def _sample(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        config, size = self._config, self._config.network.input_size
        chosen = self.sets[rng.choice(len(self.sets), p=self._weights)]
        clip = chosen.clips[rng.integers(len(chosen.clips))]
        frame = int(rng.choice(clip))
        other = self._other_frame(chosen, clip, frame, rng)

        crop_boxes = jittered_boxes(np.repeat(self._crop_box(chosen, frame), 2, 0), config.jitter, rng)
        flipped = rng.random(2) < 0.5
        image, view = (
            self._cut(chosen.images[frame], box, flip) for box, flip in zip(crop_boxes, flipped, strict=True)
        )
        colours, other_colours = random_colours(rng), random_colours(rng)
        image = _recolour(image, colours)
        if rng.random() < config.masked:
            appearance = hide_blocks(image, rng)
        else:
            other_box = jittered_boxes(self._crop_box(chosen, other), config.jitter, rng)[0]
            if other == frame:
                appearance = self._warps.cut(chosen.images[frame], other_box, rng)
                appearance = appearance[:, ::-1] if flipped[0] else appearance
            else:
                appearance = self._cut(chosen.images[other], other_box, flipped[0])
            appearance = _recolour(appearance, colours)
        maps = crop_maps(crop_boxes, size, flipped)
        return {
            "image": image,
            "other": np.ascontiguousarray(appearance),
            "view": _recolour(view, other_colours),
            "maps": maps[0],
            "view_maps": maps[1],
            "mirrored": np.array(flipped[0] != flipped[1]),
            "boxes": chosen.boxes[frame].astype(np.float32),
            "trusted": np.float32(chosen.estimated[frame]),
        }

    def _crop_box(self, chosen: StoredSet, frame: int) -> np.ndarray:
        x, y, side = chosen.boxes[frame]
        return np.array([[x, y, side * self._config.crop_scale, 0.0]])

    def _cut(self, image: np.ndarray, box: np.ndarray, flip: bool) -> np.ndarray:
        cut = crop.cut(image, box[None], self._config.network.input_size)[0]
        return cut[:, ::-1] if flip else cut

    @staticmethod
    def _other_frame(chosen: StoredSet, clip: np.ndarray, frame: int, rng: np.random.Generator) -> int:
        """Another frame of the clip that is not nearly the same picture, or the frame itself."""
        for candidate in rng.permutation(clip)[:4]:
            changed = np.unpackbits(chosen.hashes[candidate] ^ chosen.hashes[frame]).sum()
            if candidate != frame and changed > _SAME_PICTURE_BITS:
                return int(candidate)
        return frame


def _recolour(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    return cv2.LUT(np.ascontiguousarray(image), table[None])
