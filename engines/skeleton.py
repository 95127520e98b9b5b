"""Joints and edges of every subject kptrack knows: the only place where they are written down."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

Pair = tuple[int, int]


@dataclass(frozen=True)
class Skeleton:
    """What a model predicts: named joints in output order and the edges drawn between them.

    ``edges`` are pairs of joint indices, in drawing order. ``mirror_pairs`` are the joints that
    trade places when a picture is flipped left to right; joints in no pair stay themselves.
    ``sides`` are the edges of each channel of a skeleton image, all of them in one if there are none: a
    drawing in one colour cannot tell a left arm from a right one.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[Pair, ...]
    mirror_pairs: tuple[Pair, ...]
    sides: tuple[tuple[Pair, ...], ...] = ()

    def __post_init__(self) -> None:
        """Refuse indices that no joint has and joints that mirror twice."""
        count = len(self.joints)
        used = [index for pair in (*self.edges, *self.mirror_pairs) for index in pair]
        if len(set(self.joints)) != count:
            raise ValueError(f"skeleton {self.name}: joint names repeat")
        if any(not 0 <= index < count for index in used):
            raise ValueError(f"skeleton {self.name}: an edge or mirror pair leaves 0..{count - 1}")
        mirrored = [index for pair in self.mirror_pairs for index in pair]
        if len(set(mirrored)) != len(mirrored):
            raise ValueError(f"skeleton {self.name}: a joint stands in two mirror pairs")
        if len({len(side) for side in self.layers}) != 1 or {*self.edges} != {*sum(self.layers, ())}:
            raise ValueError(f"skeleton {self.name}: its sides are not its edges, as many on each")

    @property
    def layers(self) -> tuple[tuple[Pair, ...], ...]:
        """The edges of each channel of a skeleton image, as many in each: ``(L, E, 2)`` as an array."""
        return self.sides or (self.edges,)

    @cached_property
    def mirror(self) -> np.ndarray:
        """``(K,)`` int64: ``points[mirror]`` renames the joints of a flipped picture."""
        order = np.arange(len(self.joints))
        for left, right in self.mirror_pairs:
            order[left], order[right] = right, left
        return order

    def flip(self, points: np.ndarray, width: float) -> np.ndarray:
        """Points ``(..., K, 2)`` in pixels of a picture ``width`` wide, as its mirror image has them."""
        flipped = points[..., self.mirror, :].copy()
        flipped[..., 0] = (width - 1) - flipped[..., 0]
        return flipped


def _chain(first: int, last: int, closed: bool = False) -> tuple[Pair, ...]:
    """Edges along consecutive joints ``first..last``, back to the first if ``closed``."""
    line = tuple((index, index + 1) for index in range(first, last))
    return (*line, (last, first)) if closed else line


def _numbered(part: str, count: int) -> tuple[str, ...]:
    return tuple(f"{part}_{index}" for index in range(count))


# iBUG order; left and right are as seen in the picture, as in that annotation.
FACE68 = Skeleton(
    name="face68",
    joints=(
        *_numbered("jaw", 17),
        *_numbered("left_brow", 5),
        *_numbered("right_brow", 5),
        *_numbered("nose_bridge", 4),
        *_numbered("nose_base", 5),
        *_numbered("left_eye", 6),
        *_numbered("right_eye", 6),
        *_numbered("outer_lip", 12),
        *_numbered("inner_lip", 8),
    ),
    edges=(
        *_chain(0, 16),
        *_chain(17, 21),
        *_chain(22, 26),
        *_chain(27, 30),
        *_chain(31, 35),
        *_chain(36, 41, closed=True),
        *_chain(42, 47, closed=True),
        *_chain(48, 59, closed=True),
        *_chain(60, 67, closed=True),
    ),
    mirror_pairs=(
        *((index, 16 - index) for index in range(8)),
        *((17 + index, 26 - index) for index in range(5)),
        *((31, 35), (32, 34)),
        *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
        *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58)),
        *((60, 64), (61, 63), (65, 67)),
    ),
)

# Left and right as seen in the picture.
CAT_HEAD = Skeleton(
    name="cat_head",
    joints=(
        "left_eye",
        "right_eye",
        "mouth",
        "left_ear_outer",
        "left_ear_tip",
        "left_ear_inner",
        "right_ear_inner",
        "right_ear_tip",
        "right_ear_outer",
    ),
    edges=((3, 4), (4, 5), (6, 7), (7, 8), (5, 6), (0, 1), (0, 2), (1, 2)),
    mirror_pairs=((0, 1), (3, 8), (4, 7), (5, 6)),
)

_TRUNK = ((0, 7), (7, 8), (8, 9), (9, 10))
_RIGHT = ((0, 1), (1, 2), (2, 3), (8, 14), (14, 15), (15, 16))
_LEFT = ((0, 4), (4, 5), (5, 6), (8, 11), (11, 12), (12, 13))

# Left and right are the person's, and each is drawn in a channel of its own.
HUMAN = Skeleton(
    name="human",
    joints=(
        "pelvis",
        "r_hip",
        "r_knee",
        "r_ankle",
        "l_hip",
        "l_knee",
        "l_ankle",
        "spine",
        "neck",
        "head",
        "head_top",
        "l_shoulder",
        "l_elbow",
        "l_wrist",
        "r_shoulder",
        "r_elbow",
        "r_wrist",
    ),
    edges=(*_RIGHT[:3], *_LEFT[:3], *_TRUNK, *_LEFT[3:], *_RIGHT[3:]),
    mirror_pairs=((1, 4), (2, 5), (3, 6), (11, 14), (12, 15), (13, 16)),
    sides=((*_TRUNK, *_RIGHT), (*_TRUNK, *_LEFT)),
)

# All 32 joints stored with Human3.6M; the 16 edges are those that KeypointGAN draws.
HUMAN36M_32 = Skeleton(
    name="human36m_32",
    joints=(
        *("hip", "r_hip", "r_knee", "r_ankle", "r_ball", "r_toes"),
        *("l_hip", "l_knee", "l_ankle", "l_ball", "l_toes"),
        *("pelvis", "thorax", "neck_base", "head_centre", "head_back"),
        *("l_collar", "l_shoulder", "l_elbow", "l_wrist", "l_wrist_2"),
        *("l_thumb", "l_little", "l_little_2"),
        *("r_collar", "r_shoulder", "r_elbow", "r_wrist", "r_wrist_2"),
        *("r_thumb", "r_little", "r_little_2"),
    ),
    edges=(
        *((1, 11), (2, 1), (3, 2), (5, 3), (6, 11), (7, 6), (8, 7), (10, 8)),
        *((13, 11), (15, 13), (17, 13), (18, 17), (19, 18), (25, 13), (26, 25), (27, 26)),
    ),
    mirror_pairs=(
        *((right, right + 5) for right in range(1, 6)),
        *((left, left + 8) for left in range(16, 24)),
    ),
)

SKELETONS = {each.name: each for each in (FACE68, CAT_HEAD, HUMAN, HUMAN36M_32)}
