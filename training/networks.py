"""What learns beside Φ and η: Ψ and the discriminators D_Y (KeypointGAN, supplement figure 10) and D_X."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.decoder import Decoder

__all__ = ["Decoder", "Discriminator", "ImageDiscriminator", "PatchDiscriminator", "frozen"]


class PatchDiscriminator(nn.Module):
    """Real or drawn, patch by patch; no norm in the first and last layer, as in the authors' code."""

    def __init__(self, width: int, inputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(inputs, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for level, stride in enumerate((2, 2, 1)):
            channels = width << level
            layers += [
                nn.Conv2d(channels, 2 * channels, 4, stride, 1),
                nn.InstanceNorm2d(2 * channels),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """``(B, L, S, S)`` → one number a patch."""
        return self.layers(image)


class Discriminator(nn.Module):
    """D_Y: three independent patch discriminators, at full, half and quarter size where large enough."""

    def __init__(self, width: int, input_size: int, layers: int = 1) -> None:
        super().__init__()
        # Below 32 px the stack of strides leaves nothing of the picture.
        self.reductions = [reduction for reduction in (1, 2, 4) if input_size // reduction >= 32]
        self.scales = nn.ModuleList(PatchDiscriminator(width, layers) for _ in self.reductions)

    def forward(self, image: Tensor) -> list[Tensor]:
        """``(B, L, S, S)`` → the answer of each scale."""
        answers = []
        for reduction, scale in zip(self.reductions, self.scales, strict=True):
            size = image.shape[-1] // reduction
            smaller = (
                image
                if reduction == 1
                else F.interpolate(image, size=(size, size), mode="bilinear", align_corners=False)
            )
            answers.append(scale(smaller))
        return answers


class ImageDiscriminator(nn.Module):
    """D_X: is ``image`` a picture, or painted, given another picture of the same subject?

    The paper shows it as a figure only, so the layers are ours. C(k,s,o) is a convolution of kernel k and
    stride s to o channels, padding 1, with a bias; IN is InstanceNorm:

        each of the two pictures by itself   C(4,2,w) IN LeakyReLU(0.2)   C(4,2,2w) IN LeakyReLU(0.2)
        both on top of each other, 4w        C(4,2,4w) IN LeakyReLU(0.2)  C(4,1,8w) IN LeakyReLU(0.2)
                                             C(4,1,1)
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.image, self.beside = (
            nn.Sequential(*self._layer(3, width, 2), *self._layer(width, 2 * width, 2)) for _ in range(2)
        )
        self.both = nn.Sequential(
            *self._layer(4 * width, 4 * width, 2),
            *self._layer(4 * width, 8 * width, 1),
            nn.Conv2d(8 * width, 1, 4, 1, 1),
        )

    @staticmethod
    def _layer(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, 4, stride, 1)
        return [conv, nn.InstanceNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True)]

    def forward(self, image: Tensor, beside: Tensor) -> Tensor:
        """``(B, 3, S, S)`` twice → one number a patch."""
        return self.both(torch.cat([self.image(image), self.beside(beside)], 1))


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Within it, gradients pass through the networks but none is kept for their weights."""
    parameters = [each for network in networks for each in network.parameters()]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
