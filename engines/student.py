"""The student: one small network from a crop straight to its landmarks, for machines without a GPU.

A ``LandmarkNet`` draws a picture and reads it; that is how it learns without labels, and what takes its
time. Once it has learnt, a network a quarter as expensive can learn from it (``training.distill``). It
draws nothing to check itself by, so it learns its doubts, too. Shapes are ``(B, channels, height, width)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engines.network import as_input, check_whole, conv_block
from engines.render import to_pixels
from engines.skeleton import Skeleton


@dataclass(frozen=True)
class StudentConfig:
    """Sizes of a student. The defaults take 0.14 GFLOP.

    ``pairs``: of convolutions, at an eighth of the input's size. ``width`` is best a power of two: with 24
    oneDNN is ten times slower.
    """

    input_size: int = 64
    width: int = 32
    pairs: int = 3

    def __post_init__(self) -> None:
        """Refuse sizes that three halvings do not divide, and layers of no channel."""
        check_whole(self.input_size, self.width, self.pairs)
        if self.input_size % 8 or self.input_size < 32:
            raise ValueError(f"input_size {self.input_size} is not a multiple of 8 from 32 up")
        if self.width < 1 or self.pairs < 0:
            raise ValueError(f"width {self.width}, pairs {self.pairs}: too few")


class Residual(nn.Module):
    """Two convolutions whose result is added to what they got; nothing after that, which costs a pass."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_block(channels, channels, 3)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, image: Tensor) -> Tensor:
        """The same shape."""
        added: Tensor = image + self.second(self.first(image))
        return added


class StudentNet(nn.Module):
    """Crops → landmarks and scores, as ``LandmarkNet``, without a drawing between.

    Every cell of a map an eighth of the input's size says where it takes each joint to be, and how much its
    word weighs: it need only know its surroundings, and what moves in a picture moves in the answers.

    Beside the points it gives a certainty each, the negative logarithm of the error that it expects, and
    the presence of a subject, a logit. The scores are logistic functions of these, whose four numbers are
    fitted after training.
    """

    point_calibration: Tensor
    subject_calibration: Tensor

    def __init__(self, skeleton: Skeleton, config: StudentConfig) -> None:
        super().__init__()
        width, joints = config.width, len(skeleton.joints)
        self.regressor = nn.Sequential(
            conv_block(3, width, 3, 2),
            conv_block(width, 2 * width, 3, 2),
            conv_block(2 * width, 4 * width, 3, 2),
            *(Residual(4 * width) for _ in range(config.pairs)),
            nn.Conv2d(4 * width, 4 * joints + 1, 1),
        )
        self.register_buffer("point_calibration", torch.tensor([0.0, 1.0]))
        self.register_buffer("subject_calibration", torch.tensor([0.0, 1.0]))

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Crops ``(B, S, S, 3)`` uint8 → pixels ``(B, K, 2)``, scores ``(B, K)`` and ``(B,)``, float32."""
        last: Any = self.regressor[-1]
        return self.landmarks(as_input(crops, last.weight.dtype))

    def landmarks(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same of a ``picture``."""
        points, certainty, presence = self.evidence(image)
        point_bias, point_slope = self.point_calibration.float()
        subject_bias, subject_slope = self.subject_calibration.float()
        score = torch.sigmoid(point_bias + point_slope * certainty)
        subject = torch.sigmoid(subject_bias + subject_slope * presence)
        return to_pixels(points, image.shape[-1]), score, subject

    def evidence(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of a ``picture``: points ``(B, K, 2)`` in [-1, 1], certainties ``(B, K)``, presences ``(B,)``."""
        answer = self.regressor(image)
        side = answer.shape[-1]
        # Channels last, as they lie in memory: (B, cells, 4 K + 1).
        cells = answer.float().permute(0, 2, 3, 1).flatten(1, 2)
        weight, x, y, certainty, presence = cells.split([*4 * [cells.shape[2] // 4], 1], 2)
        weight = weight.softmax(1)
        line = (2 * torch.arange(side, device=image.device) + 1) / side - 1
        x, y = x + line.repeat(side)[:, None], y + line.repeat_interleave(side)[:, None]
        points = torch.stack([(weight * each).sum(1) for each in (x, y)], 2)
        return points, (weight * certainty).sum(1), presence.mean((1, 2))
