"""Scenes to learn finding from: subjects of stored pictures, whose boxes are known, put into other places.

Nobody drew a box: pictures were cut around their subjects, so where these are is known beforehand. A
border that a pasted picture leaves must not say where to look; so borders are soft or not there at all,
as often as not around pieces of pictures that show nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from engines.finder import KINDS, STRIDE, targets
from engines.skeleton import CAT_HEAD, FACE68, HUMAN
from training.augment import random_colours
from training.collage import (
    blended,
    box_of,
    ellipse,
    painted_over,
    plain_wall,
    rectangle,
    silhouette,
    soft_shape,
    taken,
    warped,
    window,
)
from training.stored import StoredSet, load_sets

FOLDERS = {FACE68.name: "faces", HUMAN.name: "humans", CAT_HEAD.name: "cats"}
# What a set counts beside the others of its kind: no one room and no one low resolution is all there is.
_WEIGHTS = {
    **{"ytf": 0.45, "videoframes": 0.2, "helen": 0.35},
    **{"asirra_unlab": 0.4, "breeds_unlab": 0.45, "asirra100_unlab_lowres": 0.15},
    **{"yoga": 0.22, "darebee": 0.14, "kth": 0.1, "misc": 0.13, "schoolroom": 0.06, "tread": 0.08},
    **{
        "gaitroom": 0.08,
        "gaitlab": 0.06,
        "gmdcsa24": 0.04,
        "sports2d": 0.04,
        "taichi": 0.02,
        "tracked": 0.03,
    },
}
# Width and height in px: about 16:9, square, upright, as a webcam; most are small, as they cost less.
_SIZES = ((320, 192), (256, 160), (224, 224), (160, 256), (224, 160), (160, 128))
_SMALLEST = {FACE68.name: 0.08, HUMAN.name: 0.16, CAT_HEAD.name: 0.08}  # of the frame's shorter side
_LARGEST = {FACE68.name: 1.0, HUMAN.name: 1.0, CAT_HEAD.name: 1.0}
_ROLL = {FACE68.name: 14.0, HUMAN.name: 4.0, CAT_HEAD.name: 18.0}  # degrees, one standard deviation
_STRETCH = 0.07  # of the logarithm of height over width, one standard deviation
_MOST_FRAMES = 24  # of a clip; the others hardly differ
_SHARES = (0.28, 0.44, 0.28)  # of the kinds: people look more different than heads do
_EMPTY = 0.15  # share of scenes without anybody


@dataclass(frozen=True)
class Scene:
    """A picture and what the finder should say of it.

    ``image`` ``(H, W, 3)`` uint8 RGB; ``boxes`` landmark boxes ``(N, 3)`` by kind; ``ignored`` squares
    ``(M, 3)`` by kind, in which nobody knows.
    """

    image: np.ndarray
    boxes: dict[str, list[np.ndarray]]
    ignored: dict[str, list[np.ndarray]]

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Maps ``(kinds, 4, h, w)``, weights of sizes ``(kinds, h, w)`` and of centres ``(kinds, h, w)``."""
        height, width = self.image.shape[:2]
        rows, columns = np.mgrid[: height // STRIDE, : width // STRIDE] * STRIDE + (STRIDE - 1) / 2
        maps, sized, counted = [], [], []
        for kind in KINDS:
            own, weights = targets(np.array(self.boxes[kind]).reshape(-1, 3), height, width)
            known = np.ones_like(weights)
            for x, y, side in self.ignored[kind]:
                known[np.maximum(abs(columns - x), abs(rows - y)) < side / 2] = 0
            known[own[0] == 1] = 1
            maps.append(own)
            sized.append(weights)
            counted.append(known)
        return np.stack(maps), np.stack(sized), np.stack(counted)


class _Kind:
    """Everything stored of one kind of subject."""

    def __init__(self, name: str, sets: list[StoredSet]) -> None:
        self.name, self.sets = name, sets
        weights = np.array([_WEIGHTS.get(each.name, 1 / len(sets)) for each in sets])
        self._weights = weights / weights.sum()
        self._outlines: dict[tuple[int, int], np.ndarray | None] = {}

    def draw(
        self, rng: np.random.Generator, outlined: bool = True
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """A picture, its landmark box ``(3,)`` and, if wanted and known, its silhouette."""
        number = int(rng.choice(len(self.sets), p=self._weights))
        chosen = self.sets[number]
        clip = chosen.clips[rng.integers(len(chosen.clips))]
        row = int(rng.choice(clip[:: -(-len(clip) // _MOST_FRAMES)]))
        image, box = chosen.images[row], chosen.boxes[row]
        if self.name != HUMAN.name or not outlined:
            return image, box, None
        if (number, row) not in self._outlines:
            self._outlines[number, row] = silhouette(image, box)
        outline = self._outlines[number, row]
        return image, box if outline is None else box_of(outline), outline


class Scenes:
    """Scenes from all stored pictures; scene ``number`` depends on the seed and its number alone.

    ``boxes``: where people are in their pictures, ``(N, 3)`` a set, first of all sets to learn from and then
    of the held-out ones, if that is known better than from how the pictures were cut. Raises ``ValueError``
    where they are of other pictures.
    """

    def __init__(
        self, data: Path, seed: int, held_out: bool = False, boxes: list[np.ndarray] | None = None
    ) -> None:
        self._seed = seed
        self._kinds: dict[str, _Kind] = {}
        for name, folder in FOLDERS.items():
            sets = load_sets(data / folder / "train", held_out)
            if name == HUMAN.name and boxes is not None:
                own_boxes = boxes[-len(sets) :] if held_out else boxes[: len(sets)]
                if [len(each) for each in own_boxes] != [len(each.boxes) for each in sets]:
                    raise ValueError("the boxes of people are of other pictures than those in --data")
                for each, own in zip(sets, own_boxes, strict=True):
                    each.boxes[:] = own
            self._kinds[name] = _Kind(name, sets)

    def __len__(self) -> int:
        """How many pictures there are."""
        return sum(len(each.images) for kind in self._kinds.values() for each in kind.sets)

    def describe(self) -> str:
        """What there is, in a line."""
        counts = {name: sum(len(each.images) for each in kind.sets) for name, kind in self._kinds.items()}
        return ", ".join(f"{count} of {name}" for name, count in counts.items())

    def batch(
        self,
        number: int,
        size: int,
        other: Callable[[np.random.Generator, int, int], Scene] | None = None,
        share: float = 0.0,
    ) -> list[Scene]:
        """Scenes of one shape; a ``share`` of them ``other`` makes, told a width and a height."""
        rng = np.random.default_rng([self._seed, number])
        width, height = _SIZES[rng.integers(len(_SIZES))]
        makers = [other if other and rng.random() < share else self.scene for _ in range(size)]
        return [make(rng, width, height) for make in makers]

    def scene(self, rng: np.random.Generator, width: int, height: int) -> Scene:
        """A random scene."""
        boxes: dict[str, list[np.ndarray]] = {name: [] for name in KINDS}
        ignored: dict[str, list[np.ndarray]] = {name: [] for name in KINDS}
        count = 0 if rng.random() < _EMPTY else int(rng.choice([1, 2, 3, 4], p=[0.55, 0.25, 0.12, 0.08]))
        name = str(rng.choice(KINDS, p=_SHARES))
        canvas: np.ndarray | None = None
        if count and rng.random() < 0.45:
            canvas = self._whole(rng, width, height, name, boxes, ignored)
            count -= 1
        if canvas is None:
            canvas = self._place(rng, width, height)
        if count == 0 or rng.random() < 0.5:
            for _ in range(int(rng.integers(1, 4))):
                self._paste_piece(rng, canvas, boxes)
        for _ in range(count):
            name = name if rng.random() < 0.6 else str(rng.choice(KINDS, p=_SHARES))
            self._paste(rng, canvas, name, boxes, ignored)
        return Scene(taken(canvas, rng), boxes, ignored)

    # A subject.

    def _whole(
        self,
        rng: np.random.Generator,
        width: int,
        height: int,
        name: str,
        boxes: dict[str, list[np.ndarray]],
        ignored: dict[str, list[np.ndarray]],
    ) -> np.ndarray:
        """A stored picture as the scene, going on beyond its border as if the place did."""
        image, box, _ = self._kinds[name].draw(rng)
        low = max(_SMALLEST[name], 0.25)
        side = min(width, height) * np.exp(rng.uniform(np.log(low), np.log(_LARGEST[name] * 1.1)))
        own, warp = _placed(rng, box, side, width, height, name)
        beyond = float(rng.random())
        if beyond < 0.55:
            canvas = warped(image, warp, width, height, cv2.BORDER_REPLICATE)
        else:
            blurred = cv2.resize(cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA), (width, height))
            behind = blurred if beyond < 0.75 else self._place(rng, width, height)
            mask = warped(rectangle(rng, image.shape[:2], box), warp, width, height, cv2.BORDER_CONSTANT)
            canvas = blended(behind, warped(image, warp, width, height, cv2.BORDER_REPLICATE), mask)
        _note(name, own, boxes, ignored)
        return canvas

    def _paste(
        self,
        rng: np.random.Generator,
        canvas: np.ndarray,
        name: str,
        boxes: dict[str, list[np.ndarray]],
        ignored: dict[str, list[np.ndarray]],
    ) -> None:
        """A subject into a scene, where it hides no other."""
        height, width = canvas.shape[:2]
        image, box, outline = self._kinds[name].draw(rng)
        occupied = [each for others in boxes.values() for each in others]
        for _ in range(8):
            side = min(width, height) * np.exp(rng.uniform(np.log(_SMALLEST[name]), np.log(_LARGEST[name])))
            own, warp = _placed(rng, box, side, width, height, name)
            if not any(_near(own, each) for each in occupied):
                break
        else:
            return
        if outline is not None and rng.random() < 0.75:
            mask = outline
        elif name == HUMAN.name or rng.random() < 0.35:
            mask = rectangle(rng, image.shape[:2], box)
        else:
            mask = ellipse(rng, image.shape[:2], box)
        image = cv2.LUT(image, random_colours(rng)[None]) if rng.random() < 0.7 else image
        mask = warped(mask, warp, width, height, cv2.BORDER_CONSTANT)
        canvas[:] = blended(canvas, warped(image, warp, width, height, cv2.BORDER_REPLICATE), mask)
        _note(name, own, boxes, ignored)

    # Places and pieces that show nobody.

    def _place(self, rng: np.random.Generator, width: int, height: int) -> np.ndarray:
        kind = float(rng.random())
        if kind < 0.25:
            image, box = self._emptied(rng)
            side = min(width, height) * float(rng.uniform(0.2, 0.8))
            _, warp = _placed(rng, box, side, width, height, FACE68.name)
            return warped(image, warp, width, height, cv2.BORDER_REPLICATE)
        if kind < 0.4:
            return plain_wall(rng, width, height)
        if kind < 0.65:
            return window(rng, self._piece(rng), width, height, least=0.6)
        # As dead leaves lie: pieces of many pictures over each other, large ones below.
        canvas = plain_wall(rng, width, height)
        for reach in np.geomspace(1.0, float(rng.uniform(0.08, 0.4)), int(rng.integers(5, 16))):
            self._lay(rng, canvas, reach)
        return canvas

    def _paste_piece(
        self, rng: np.random.Generator, canvas: np.ndarray, boxes: dict[str, list[np.ndarray]]
    ) -> None:
        before = canvas.copy()
        self._lay(rng, canvas, float(np.exp(rng.uniform(np.log(0.1), np.log(0.8)))))
        for each in (own for others in boxes.values() for own in others):
            x, y, half = each[0], each[1], 0.7 * each[2]
            part = (
                slice(max(0, int(y - half)), int(y + half) + 1),
                slice(max(0, int(x - half)), int(x + half) + 1),
            )
            canvas[part] = before[part]

    def _lay(self, rng: np.random.Generator, canvas: np.ndarray, reach: float) -> None:
        """A piece over a scene; ``reach``: about its size, of the scene's shorter side."""
        height, width = canvas.shape[:2]
        across, down = (max(4, int(min(width, height) * reach * rng.uniform(0.5, 1.6))) for _ in range(2))
        piece = window(rng, self._piece(rng), across, down, least=0.4)
        piece = cv2.LUT(piece, random_colours(rng)[None])
        mask = soft_shape(rng, across, down)
        x = int(rng.integers(-across // 2, width - across // 2 + 1))
        y = int(rng.integers(-down // 2, height - down // 2 + 1))
        left, top = max(0, x), max(0, y)
        right, below = min(width, x + across), min(height, y + down)
        inner = (slice(top - y, below - y), slice(left - x, right - x))
        outer = (slice(top, below), slice(left, right))
        canvas[outer] = blended(canvas[outer], piece[inner], mask[inner])

    def _piece(self, rng: np.random.Generator) -> np.ndarray:
        """A part of a stored picture beside its subject, or one whose subject was painted over."""
        if rng.random() < 0.2:
            return self._emptied(rng)[0]
        image, (x, y, side), _ = self._kinds[KINDS[rng.integers(len(KINDS))]].draw(rng, outlined=False)
        height, width = image.shape[:2]
        half = 0.5 * side
        left, right = int(max(0, x - half)), int(min(width, x + half))
        top, below = int(max(0, y - half)), int(min(height, y + half))
        pieces = [image[:, :left], image[:, right:], image[:top], image[below:]]
        pieces = [each for each in pieces if min(each.shape[:2]) >= 10]
        return pieces[rng.integers(len(pieces))] if pieces else image[:12, :12]

    def _emptied(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A picture whose subject was painted over with what is around it, and where that was."""
        for _ in range(4):
            image, box, outline = self._kinds[KINDS[rng.integers(len(KINDS))]].draw(rng)
            mask: np.ndarray = np.zeros(image.shape[:2], np.uint8)
            if outline is not None:
                mask = cv2.dilate((outline > 0.2).astype(np.uint8), np.ones((11, 11), np.uint8))
            elif box[2] < 0.7 * min(mask.shape):
                x, y, side = box
                axes = (round(0.62 * side), round(0.68 * side))
                cv2.ellipse(mask, (round(x), round(y - 0.05 * side)), axes, 0, 0, 360, 1, -1)
            if 0 < mask.mean() < 0.6:
                return painted_over(image, mask), box
        return self._piece(rng), np.array([6.0, 6.0, 12.0])


def _placed(
    rng: np.random.Generator, box: np.ndarray, side: float, width: int, height: int, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Where a box of ``side`` px comes to lie, and the map ``(2, 3)`` from its picture to the scene."""
    half = 0.42 * side
    centre = np.array([_between(rng, half, width - 1 - half), _between(rng, half, height - 1 - half)])
    scale = side / box[2]
    roll = np.radians(rng.standard_normal() * _ROLL[name])
    mirrored = -1.0 if rng.random() < 0.5 else 1.0
    stretch = np.exp(rng.standard_normal() * _STRETCH / 2)
    turn = scale * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    turn = turn * (mirrored / stretch, stretch)
    return np.array([*centre, side]), np.column_stack([turn, centre - turn @ box[:2]])


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high)) if low < high else (low + high) / 2


def _near(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether one box, with what is around it, would hide a part of the other."""
    return bool(np.abs(a[:2] - b[:2]).max() < 0.62 * (a[2] + b[2]))


def _note(
    name: str, own: np.ndarray, boxes: dict[str, list[np.ndarray]], ignored: dict[str, list[np.ndarray]]
) -> None:
    boxes[name].append(own)
    x, y, side = own
    if name == HUMAN.name:  # people have faces too, and where is not known
        ignored[FACE68.name].append(np.array([x, y - 0.15 * side, 0.8 * side]))


def stacked(scenes: Sequence[Scene]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pictures ``(B, H, W, 3)`` of scenes of one shape, and their ``Scene.arrays``."""
    arrays = [scene.arrays() for scene in scenes]
    return (
        np.stack([scene.image for scene in scenes]),
        *(np.stack([each[column] for each in arrays]) for column in range(3)),  # type: ignore[return-value]
    )
