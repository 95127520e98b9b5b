"""Unlabelled pictures → training batches: a target, where its appearance comes from, and a second view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from engines import crop
from engines.skeleton import SKELETONS
from training.augment import ThinPlateWarps, crop_maps, hide_blocks, jittered_boxes, random_colours
from training.config import TrainConfig
from training.negatives import Negatives
from training.processes import ALONE, Processes
from training.puppets import Puppets
from training.stored import StoredSet, load_sets
from training.workers import made_ahead

_SAME_PICTURE_BITS = 4  # of 256: frames closer than this by difference hash say nothing about motion


@dataclass(frozen=True)
class Batch:
    """One step's pictures: ``(B, S, S, 3)`` uint8, maps ``(B, 3, 3)`` from crop to stored picture.

    ``image`` is what is to be drawn and redrawn; ``other`` gives its appearance; ``view`` is another
    crop of the picture of ``image``, in other colours. ``mirrored`` ``(B,)``: ``view`` is flipped
    against ``image``. ``boxes`` ``(B, 3)``: landmark box as estimated; ``trusted`` ``(B,)``: on this picture.
    ``puppets`` ``(P, S, S, 3)`` uint8 with ``puppet_poses`` ``(P, K, 2)``, normalised; P may be 0.
    ``negatives`` ``(N, S, S, 3)`` uint8 show nobody; N may be 0.
    """

    image: Tensor
    other: Tensor
    view: Tensor
    maps: Tensor
    view_maps: Tensor
    mirrored: Tensor
    boxes: Tensor
    trusted: Tensor
    puppets: Tensor
    puppet_poses: Tensor
    negatives: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on another device; a GPU takes it from pinned memory, while it computes."""
        tensors = {each.name: getattr(self, each.name) for each in fields(self)}
        if device.type == "cuda":
            tensors = {name: tensor.pin_memory() for name, tensor in tensors.items()}
        return Batch(**{name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()})


class Pictures:
    """Sets to draw batches from; a batch depends on the seed and its number alone, so a run can resume.

    Of several ``processes`` each makes its share of the same batch.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainConfig,
        held_out: bool = False,
        puppets: Puppets | None = None,
        negatives: Negatives | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.sets = load_sets(folder, held_out)
        self._processes = processes
        self._puppets, self._negatives = puppets, negatives
        self._scenes = [image for each in self.sets for image in each.images[::10]] if puppets else []
        weights = np.array([config.set_weights.get(each.name, 1.0 / len(self.sets)) for each in self.sets])
        self._weights = weights / weights.sum()
        self._config = config
        self._warps = ThinPlateWarps(config.network.input_size, np.random.default_rng(config.seed))

    def __len__(self) -> int:
        """How many pictures there are."""
        return sum(len(each.images) for each in self.sets)

    def batch(self, number: int, size: int | None = None) -> Batch:
        """Batch ``number`` of the run, or this process's share of it; or all ``size`` samples of it."""
        return _as_batch(self._arrays(number, size))

    def batches(self, first: int) -> Iterator[Batch]:
        """Batches from ``first`` on, without end, made ahead as ``made_ahead`` does."""
        return map(_as_batch, made_ahead(self._arrays, first))

    def _arrays(self, number: int, size: int | None = None) -> dict[str, np.ndarray]:
        indices = range(size) if size else self._processes.share(range(self._config.batch))
        samples = [
            self._sample(np.random.default_rng([self._config.seed, number, 2, index])) for index in indices
        ]
        columns = {key: np.stack([each[key] for each in samples]) for key in samples[0]}
        puppets, poses = self._drawn(number)
        return {
            **columns,
            "puppets": puppets,
            "puppet_poses": poses,
            "negatives": self._without_subject(number),
        }

    def _drawn(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        size = self._config.network.input_size
        if self._puppets is None:
            joints = len(SKELETONS[self._config.skeleton].joints)
            return np.empty((0, size, size, 3), np.uint8), np.empty((0, joints, 2), np.float32)
        return self._puppets.batch(number, self._config.puppets, size, self._scenes, self._processes)

    def _without_subject(self, number: int) -> np.ndarray:
        size = self._config.network.input_size
        if self._negatives is None:
            return np.empty((0, size, size, 3), np.uint8)
        return self._negatives.batch(number, self._config.negatives, size, self._processes)

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
            if chosen.still_camera[frame]:
                other_box = crop_boxes[0]  # the same background: what differs is the person
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


def _as_batch(arrays: dict[str, np.ndarray]) -> Batch:
    return Batch(**{key: torch.from_numpy(each) for key, each in arrays.items()})


def _recolour(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    return cv2.LUT(np.ascontiguousarray(image), table[None])
