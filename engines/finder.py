"""The finder: one small network that says where in a whole frame faces, people and heads of cats are.

It looks at a reduced frame and draws, for each kind of subject, a map of centres and beside it how large
the subject is and how far from the cell its centre lies. Boxes are landmark boxes as in ``engines.crop``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.eager import fold_batch_norm
from engines.model import FINDER, WEIGHTS
from engines.network import as_input, conv_block, upsample
from engines.skeleton import CAT_HEAD, FACE68, HUMAN
from engines.weightfile import Contents, FileKind, check_weights, filled

FORMAT = "kptrack-finder-1"
_FILE = FileKind(FORMAT, "a finder", "fetch or train it again")
# The kinds of subjects, in the order of the network's maps, by the names of their skeletons.
KINDS = (FACE68.name, HUMAN.name, CAT_HEAD.name)
STRIDE = 8  # px of the reduced frame to a cell
# A frame is reduced to at most this side and this many pixels, so that no shape costs more than 16:9.
_LONGER_SIDE = 320
_PIXELS = 320 * 192
_MULTIPLE = 32
# Sides are learned as the logarithm of their ratio to this one, in px of the reduced frame.
_UNIT_SIDE = 48.0
# Kept of the boxes that overlap by more than this: the best one.
_SAME_IOU = 0.3
_MOST = 16


@dataclass(frozen=True)
class FinderConfig:
    """Channels at a half, a quarter, … a thirty-second of the picture's size."""

    widths: tuple[int, ...] = (16, 32, 32, 64, 96)

    def __post_init__(self) -> None:
        """Refuse what is no such list."""
        if len(self.widths) != 5 or not all(isinstance(each, int) and each > 0 for each in self.widths):
            raise ValueError(f"widths {self.widths} are not five whole numbers from 1 up")


class _Residual(nn.Module):
    """Two convolutions and a way past them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv_block(width, width, 3)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, image: Tensor) -> Tensor:
        """Same shape."""
        return F.relu(image + self.second(self.first(image)))


class FinderNet(nn.Module):
    """Pictures ``(B, 3, H, W)`` in [-1, 1], sides multiples of 32 → maps ``(B, kinds, 4, H/8, W/8)``.

    Of the four: the centre's logit; the logarithm of the side in units of ``_UNIT_SIDE`` px; and where the
    centre lies, x and y from the cell's, in units of the side.
    """

    def __init__(self, config: FinderConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth, coarse, coarsest = config.widths
        self.stem = nn.Sequential(conv_block(3, half, 3, 2), conv_block(half, quarter, 3, 2))
        self.eighth = nn.Sequential(conv_block(quarter, eighth, 3, 2), _Residual(eighth))
        self.coarse = nn.Sequential(conv_block(eighth, coarse, 3, 2), _Residual(coarse))
        self.coarsest = nn.Sequential(
            conv_block(coarse, coarsest, 3, 2),
            *(_Residual(coarsest) for _ in range(2)),
            nn.Conv2d(coarsest, coarse, 1),
        )
        self.back = nn.Sequential(conv_block(coarse, coarse, 3), nn.Conv2d(coarse, eighth, 1))
        self.head = conv_block(eighth, eighth, 3)
        self.last = nn.Conv2d(eighth, 4 * len(KINDS), 1)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        fine = self.eighth(self.stem(image))
        coarse = self.coarse(fine)
        coarse = coarse + upsample(self.coarsest(coarse))
        maps = self.last(self.head(fine + upsample(self.back(coarse))))
        return maps.unflatten(1, (len(KINDS), 4))


def reduced(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``image`` ``(H, W, 3)`` uint8 as the network sees it, sides multiples of 32, and its scale ``(2,)``.

    Scale: pixels of the reduced picture to one of the frame's, x and y. What does not belong to the frame
    is its border repeated.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _LONGER_SIDE / max(height, width), (_PIXELS / (height * width)) ** 0.5)
    size = np.maximum(1, np.round(np.array([width, height]) * scale).astype(int))
    small = cv2.resize(image, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    right, below = (int(each) for each in -size % _MULTIPLE)
    padded = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return padded, size / [width, height]


def boxes_of(maps: np.ndarray, least_score: float) -> tuple[np.ndarray, np.ndarray]:
    """Boxes ``(N, 3)`` (centre x, centre y, side) and scores ``(N,)``, best first, from one kind's maps.

    ``maps`` ``(4, h, w)`` float32 as ``FinderNet``'s; boxes in px of the picture that it saw.
    """
    score = 1 / (1 + np.exp(-maps[0]))
    peak = (score == cv2.dilate(score, np.ones((3, 3), np.uint8))) & (score >= least_score)
    rows, columns = np.nonzero(peak)
    order = np.argsort(-score[rows, columns], kind="stable")[:_MOST]
    rows, columns = rows[order], columns[order]
    log_side, right, down = maps[1:, rows, columns]
    side = _UNIT_SIDE * np.exp(np.clip(log_side, -4, 4))
    centres = (
        np.stack([columns, rows], 1) * STRIDE + (STRIDE - 1) / 2 + np.stack([right, down], 1) * side[:, None]
    )
    boxes = np.column_stack([centres, side])
    kept: list[int] = []
    for row in range(len(boxes)):
        if not any(overlap(boxes[row], boxes[other]) > _SAME_IOU for other in kept):
            kept.append(row)
    return boxes[kept].astype(np.float32), score[rows, columns][kept]


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two upright squares (centre x, centre y, side, …)."""
    low = np.maximum(a[:2] - a[2] / 2, b[:2] - b[2] / 2)
    high = np.minimum(a[:2] + a[2] / 2, b[:2] + b[2] / 2)
    common = float(np.clip(high - low, 0, None).prod())
    return common / float(a[2] ** 2 + b[2] ** 2 - common)


def targets(boxes: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """What ``FinderNet`` should say of one kind's boxes ``(N, 3)`` in a picture of that size.

    ``(4, h, w)`` float32 as its maps, but the first one holds 1 in the cell of a centre and falls off
    around it; and ``(h, w)`` float32: how much the other three count in each cell.
    """
    rows, columns = np.mgrid[: height // STRIDE, : width // STRIDE] * STRIDE + (STRIDE - 1) / 2
    wanted = np.zeros((4, *rows.shape), np.float32)
    for x, y, side in boxes:
        spread = max(0.08 * side, 0.5 * STRIDE)
        near = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * spread**2)).astype(np.float32)
        near[np.unravel_index(near.argmax(), near.shape)] = 1.0
        log_side = np.full_like(near, np.log(side / _UNIT_SIDE))
        own = np.stack([near, log_side, (x - columns) / side, (y - rows) / side])
        wanted = np.where(near > wanted[0], own, wanted).astype(np.float32)
    return wanted, np.where(wanted[0] > 0.3, wanted[0], 0)


@dataclass(frozen=True)
class FinderModel:
    """Weights of a finder with all that is needed to use them.

    ``least_scores``: below it a peak is nobody, by kind. ``card``: data, recipe, numbers and licence.
    """

    config: FinderConfig
    least_scores: dict[str, float]
    weights: dict[str, Tensor]
    card: dict[str, object]
    digest: str = ""

    def network(self) -> FinderNet:
        """A fresh network in evaluation mode, float32."""
        return filled(FinderNet(self.config), self.weights)

    def save(self, path: Path) -> None:
        """Write the file, floating weights as fp16; it appears whole or not at all."""
        described = {
            "kinds": list(KINDS),
            "network": asdict(self.config),
            "least_scores": self.least_scores,
            "card": self.card,
        }
        _FILE.save(path, self.weights, described)


def load_finder(path: Path | None = None) -> FinderModel:
    """The finder that comes with kptrack, or that of a file.

    Raises ``ValueError`` with one line when there is none, when the file is damaged or of another
    program, and when its weights do not fit.
    """
    path = path or WEIGHTS / FINDER
    if not path.is_file():
        raise ValueError(f"no finder {path.name}: train one, or choose another detector")
    return _FILE.load(path, _assemble)


def _assemble(file: Contents) -> FinderModel:
    """Model from a file's contents; raises where it finds other subjects or a weight does not fit."""
    described = file.described
    if described["kinds"] != list(KINDS):
        raise ValueError(f"it finds {', '.join(described['kinds'])}, not {', '.join(KINDS)}")
    least = {kind: float(described["least_scores"][kind]) for kind in KINDS}
    config = FinderConfig(tuple(described["network"]["widths"]))
    check_weights(lambda: FinderNet(config), file.weights)
    return FinderModel(config, least, file.weights, described["card"], file.digest)


class Finder:
    """A finder ready to run, for one kind of subject. NumPy in, NumPy out.

    On the processor, wherever the landmarks are computed: a few milliseconds now and then, and nothing
    that could disturb the capture of a CUDA graph. Not for two threads at once.
    """

    def __init__(self, kind: str, model: FinderModel | None = None) -> None:
        """Load the weights. Raises ``ValueError`` for what is not in ``KINDS``, and as ``load_finder``."""
        if kind not in KINDS:
            raise ValueError(f"the finder does not find {kind}: it finds {', '.join(KINDS)}")
        model = model or load_finder()
        self._row, self._least_score = KINDS.index(kind), model.least_scores[kind]
        network = model.network()
        fold_batch_norm(network)
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, image: np.ndarray, least_score: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Landmark boxes ``(N, 4)`` float32 and their scores ``(N,)``, best first.

        ``image`` ``(H, W, 3)`` uint8 RGB; ``least_score`` in place of the model's own.
        """
        small, scale = reduced(image)
        with torch.inference_mode():
            maps = self._network(as_input(torch.from_numpy(small)[None]))[0, self._row].numpy()
        least = self._least_score if least_score is None else least_score
        found, scores = boxes_of(np.ascontiguousarray(maps), least)
        boxes = np.zeros((len(found), 4), np.float32)
        # The pixel centres of the reduced picture lie between those of the frame.
        boxes[:, :2] = (found[:, :2] + 0.5) / scale - 0.5
        boxes[:, 2] = found[:, 2] / float(np.sqrt(scale.prod()))
        return boxes, scores
