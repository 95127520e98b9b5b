"""Φ, η and the landmark network that ships: the only definition of nets that run outside training.

Layers follow KeypointGAN (Jakab et al., CVPR 2020, supplement figures 7 and 9); where the
supplement and the authors' code differ, the code: η takes one channel and uses InstanceNorm, Φ
fuses its skips with 1x1 convolutions. Shapes are ``(B, channels, height, width)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.render import render, to_pixels
from engines.skeleton import Skeleton

_SELF_CHECK_SIZE = 64  # px: what the self-consistency score needs to see, at a quarter of the cost


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of Φ and η. The defaults are the paper's: 128 px, 32 channels, 16 x 16 heat maps."""

    input_size: int = 128
    width: int = 32
    map_size: int = 16

    def __post_init__(self) -> None:
        """Refuse sizes that three halvings or the heat maps do not divide."""
        check_whole(self.input_size, self.width, self.map_size)
        if self.input_size % 8 or self.input_size < 32:
            raise ValueError(f"input_size {self.input_size} is not a multiple of 8 from 32 up")
        if self.map_size < 1 or self.input_size not in [self.map_size << halvings for halvings in range(4)]:
            raise ValueError(f"map_size {self.map_size} is not input_size / 1, 2, 4 or 8")
        if self.width < 1:
            raise ValueError(f"width {self.width} is not positive")


def check_whole(*sizes: int) -> None:
    """Refuse what a file may have in place of whole numbers."""
    odd = [each for each in sizes if not isinstance(each, int)]
    if odd:
        raise ValueError(f"a size of the network is {odd[0]!r}, not a whole number")


def conv_block(inputs: int, outputs: int, kernel: int, stride: int = 1, norm: str = "batch") -> nn.Sequential:
    """Convolution, norm (``batch`` or ``instance``), ReLU; a bias only where the norm brings none."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=norm == "instance")
    normalise = nn.BatchNorm2d(outputs) if norm == "batch" else nn.InstanceNorm2d(outputs)
    return nn.Sequential(conv, normalise, nn.ReLU(inplace=True))


class Encoder(nn.Module):
    """Four levels of two convolutions, the width doubling; the last ends in a plain 1x1 convolution.

    Halves the picture at each of the first ``halvings`` (0..3) of the three steps between levels.
    """

    def __init__(self, inputs: int, outputs: int, width: int, norm: str = "batch", halvings: int = 3) -> None:
        super().__init__()
        levels = [
            nn.Sequential(conv_block(inputs, width, 7, norm=norm), conv_block(width, width, 3, norm=norm))
        ]
        for level in range(3):
            channels = width << level
            stride = 2 if level < halvings else 1
            levels.append(
                nn.Sequential(
                    conv_block(channels, 2 * channels, 3, stride, norm),
                    conv_block(2 * channels, 2 * channels, 3, norm=norm),
                )
            )
        levels[-1].append(nn.Conv2d(8 * width, outputs, 1))
        self.levels = nn.ModuleList(levels)

    def forward(self, image: Tensor) -> list[Tensor]:
        """``(B, inputs, S, S)`` → the output of each level, finest first."""
        outputs = []
        for level in self.levels:
            image = level(image)
            outputs.append(image)
        return outputs


def upsample(image: Tensor) -> Tensor:
    """Twice the size, bilinear."""
    return F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)


class Fuse(nn.Conv2d):
    """A 1x1 convolution of two pictures on top of each other, the first half the size of the other."""

    def __init__(self, below: int, skip: int) -> None:
        super().__init__(below + skip, below, 1, bias=False)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:  # type: ignore[override]
        """``(B, below, S, S)``, ``(B, skip, 2S, 2S)`` → ``(B, below, 2S, 2S)``."""
        return super().forward(torch.cat([upsample(below), skip], 1))


class SkeletonDrawer(nn.Module):
    """Φ: image ``(B, 3, S, S)`` in [-1, 1] → skeleton image ``(B, L, S, S)``, linear output near [-1, 1]."""

    def __init__(self, width: int, layers: int = 1) -> None:
        super().__init__()
        self.encoder = Encoder(3, 8 * width, width)
        self.middle = nn.Sequential(conv_block(8 * width, 8 * width, 3), conv_block(8 * width, 8 * width, 3))
        self.fuse = nn.ModuleList()
        self.refine = nn.ModuleList()
        for level in (2, 1, 0):
            skip, below = width << level, width << (level + 1)
            self.fuse.append(Fuse(below, skip))
            blocks = [conv_block(below, skip, 3)]
            if level:
                blocks.append(conv_block(skip, skip, 3))
            self.refine.append(nn.Sequential(*blocks))
        self.output = nn.Conv2d(width, layers, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        *skips, bottleneck = self.encoder(image)
        drawn = self.middle(bottleneck)
        for fuse, refine, skip in zip(self.fuse, self.refine, reversed(skips), strict=True):
            drawn = refine(fuse(drawn, skip))
        return self.output(drawn)


class PoseRegressor(nn.Module):
    """η: skeleton image ``(B, L, S, S)`` → heat-map logits ``(B, K, map, map)`` for ``soft_argmax``."""

    def __init__(self, joints: int, config: NetworkConfig, layers: int = 1) -> None:
        super().__init__()
        halvings = (config.input_size // config.map_size).bit_length() - 1
        self.encoder = Encoder(layers, joints, config.width, "instance", halvings)

    def forward(self, skeleton_image: Tensor) -> Tensor:
        """Points ``(B, K, 2)`` in [-1, 1]."""
        points, _ = soft_argmax(self.logits(skeleton_image))
        return points

    def logits(self, skeleton_image: Tensor) -> Tensor:
        """Heat-map logits ``(B, K, map, map)``."""
        return self.encoder(skeleton_image)[-1]


def soft_argmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Points ``(B, K, 2)`` in [-1, 1] and their variance ``(B, K)``, from logits ``(B, K, S, S)``.

    Per axis: mean of the logits over the other one, softmax, expectation over a corner-aligned
    grid. Always in float32. The variance, summed over both axes, is the blur of the marginals.
    """
    marginals = torch.stack([logits.float().mean(axis) for axis in (2, 3)], 2).softmax(-1)  # of x and of y
    grid = torch.linspace(-1, 1, logits.shape[-1], device=logits.device)
    # Not as a matrix product: a GPU may take less than float32 for these.
    points, squares = ((marginals * power).sum(-1) for power in (grid, grid.square()))
    return points, (squares - points.square()).sum(-1).clamp_min(1e-8)


def self_consistency(drawn: Tensor, points: Tensor, edges: Tensor) -> Tensor:
    """How well β(η(y)) explains y = Φ(x): their correlation ``(B,)`` in [-1, 1], pooled to about 64 px."""
    step = max(1, drawn.shape[-1] // _SELF_CHECK_SIZE)
    # Pooling by one would be a copy, and a slow one.
    seen = (F.avg_pool2d(drawn.float(), step) if step > 1 else drawn.float()).flatten(1)
    explained = render(points, edges, drawn.shape[-1] // step).flatten(1)
    return F.cosine_similarity(seen - seen.mean(1, keepdim=True), explained - explained.mean(1, keepdim=True))


def as_input(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pictures ``(B, H, W, 3)`` uint8 as networks take them: ``(B, 3, H, W)`` in [-1, 1], channels last."""
    return images.permute(0, 3, 1, 2).to(dtype) * (2 / 255) - 1


class LandmarkNet(nn.Module):
    """η∘Φ with scores: what ships, what every engine runs.

    The scores are logistic functions of the two doubts that the method offers for free: the blur
    of a point's heat map and the self-consistency of a subject. Their four numbers are fitted after
    training; they move no point.
    """

    edges: Tensor
    point_calibration: Tensor
    subject_calibration: Tensor

    def __init__(self, skeleton: Skeleton, config: NetworkConfig) -> None:
        super().__init__()
        layers = len(skeleton.layers)
        self.drawer = SkeletonDrawer(config.width, layers)
        self.regressor = PoseRegressor(len(skeleton.joints), config, layers)
        self.register_buffer("edges", torch.tensor(skeleton.layers), persistent=False)
        self.register_buffer("point_calibration", torch.tensor([0.0, 1.0]))
        self.register_buffer("subject_calibration", torch.tensor([0.0, 4.0]))

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Crops ``(B, S, S, 3)`` uint8 → pixels ``(B, K, 2)``, scores ``(B, K)`` and ``(B,)``, float32."""
        return self.landmarks(as_input(crops, self.drawer.output.weight.dtype))

    def landmarks(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same of a ``picture``."""
        drawn = self.drawer(image)
        points, variance = soft_argmax(self.regressor.logits(drawn))
        agreement = self_consistency(drawn, points, self.edges)
        point_bias, point_slope = self.point_calibration.float()
        subject_bias, subject_slope = self.subject_calibration.float()
        score = torch.sigmoid(point_bias - point_slope * variance.log())
        subject = torch.sigmoid(subject_bias + subject_slope * agreement)
        return to_pixels(points, image.shape[-1]), score, subject


def move(network: nn.Module, device: torch.device) -> None:
    """Bring a network to a device, in place, and its weights to channels-last memory, which is faster."""
    # PyTorch's own signatures leave out memory_format.
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def initialise(network: nn.Module) -> None:
    """The authors' start: convolutions N(0, 0.02), batch norm N(1, 0.02), biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.02)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
