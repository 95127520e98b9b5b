"""What learns beside Φ and η: the discriminator D_Y (KeypointGAN, supplement figure 10), and Ψ."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from engines.decoder import Decoder

__all__ = ["Decoder", "Discriminator", "PatchDiscriminator"]


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
