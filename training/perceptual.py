"""The perceptual loss: fixed features of pictures, each tap divided by its own running mean."""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.index import load_arrays


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 without its classifier, up to fire9; taps: picture, conv1, fire3, fire5, fire7, fire9.

    Pictures are doubled in size first: at 128 px that answered to a shift of 4 px most strongly.
    """

    MEAN_BGR = (104.0, 117.0, 123.0)

    def __init__(self, weights: dict[str, Tensor], torchvision: bool) -> None:
        super().__init__()
        self._torchvision = torchvision  # its input is RGB, [0, 1], standardised; the other's BGR, 0..255
        for name, value in weights.items():
            self.register_buffer(name.replace(".", "_"), value.float())

    def forward(self, image: Tensor) -> list[Tensor]:
        """Images ``(B, 3, S, S)`` in [-1, 1] → features."""
        image = F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
        taps = [image]
        if self._torchvision:
            features = (image / 2 + 0.5 - _vector(image, _MEAN)) / _vector(image, _DEVIATION)
        else:
            features = (image.flip(1) + 1) * 127.5 - _vector(image, self.MEAN_BGR)
        features = F.relu(self._conv(features, "conv1", stride=2))
        taps.append(features)
        for index in range(2, 10):
            if index in (2, 4, 6):
                features = F.max_pool2d(features, 3, 2, ceil_mode=self._torchvision)
            squeezed = F.relu(self._conv(features, f"fire{index}_squeeze1x1"))
            expanded = [self._conv(squeezed, f"fire{index}_expand{k}x{k}", padding=k // 2) for k in (1, 3)]
            features = F.relu(torch.cat(expanded, 1))
            if index % 2:
                taps.append(features)
        return taps

    def _conv(self, image: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        return F.conv2d(
            image, self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias"), stride, padding
        )


class Vgg19(nn.Module):
    """VGG-19 up to conv5_2; taps: picture, conv1_2, conv2_2, conv3_2, conv4_2, conv5_2, after ReLU."""

    CHANNELS = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512, 512))

    def __init__(self, weights: dict[str, Tensor] | None) -> None:
        """``weights``: torchvision's state dict, or None for random ones."""
        super().__init__()
        layers: list[nn.Module] = []
        self._taps: set[int] = set()
        inputs = 3
        for stage in self.CHANNELS:
            for position, outputs in enumerate(stage):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
                if position == 1:
                    self._taps.add(len(layers) - 1)
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers[:-1])  # numbered as torchvision's ``features``
        if weights is None:
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        else:
            wanted = self.layers.state_dict()
            self.layers.load_state_dict({key: weights[f"features.{key}"] for key in wanted})

    def forward(self, image: Tensor) -> list[Tensor]:
        """Images ``(B, 3, S, S)`` in [-1, 1] → features."""
        taps = [image]
        features = (image / 2 + 0.5 - _vector(image, _MEAN)) / _vector(image, _DEVIATION)
        for index, layer in enumerate(self.layers):
            features = layer(features)
            if index in self._taps:
                taps.append(features)
        return taps


_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _vector(like: Tensor, values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, device=like.device).view(1, -1, 1, 1)


class Pixels(nn.Module):
    """The picture itself, in place of features of it: a study of what these are good for."""

    def forward(self, image: Tensor) -> list[Tensor]:
        """Images ``(B, 3, S, S)`` → the only tap."""
        return [image]


class PerceptualLoss(nn.Module):
    """Mean over taps of (squared error / its running mean): about 1 all through a run.

    ``across`` makes of this process's errors the mean over all that share a batch.
    """

    running: Tensor
    across: Callable[[Tensor], Tensor]

    def __init__(self, trunk: nn.Module, taps: int = 6) -> None:
        super().__init__()
        self.trunk = trunk.eval().requires_grad_(False)
        self.across = lambda errors: errors
        self.register_buffer("running", torch.zeros(taps))

    def forward(self, drawn: Tensor, target: Tensor, update: bool = True) -> Tensor:
        """Scalar loss of pictures ``(B, 3, S, S)`` in [-1, 1]; ``update`` moves the running means."""
        with torch.no_grad():
            wanted = self.trunk(target)
        errors = torch.stack(
            [(a.float() - b.float()).square().mean() for a, b in zip(self.trunk(drawn), wanted, strict=True)]
        )
        if update:
            seen = self.across(errors.detach())
            first = self.running == 0
            self.running.copy_(torch.where(first, seen, 0.99 * self.running + 0.01 * seen))
        return (errors / (self.running + 1e-8)).mean()


def open_perceptual(path: Path | None) -> PerceptualLoss:
    """The loss with the network of ``path``; without one torchvision's cached weights, else random ones.

    Takes SqueezeNet 1.1 (an ``.npz`` of ``conv1.weight``, ``fire2.squeeze1x1.weight`` …, or
    torchvision's state dict) and VGG-19 (torchvision's state dict). ``ValueError`` for anything else.
    """
    if path is None:
        cached = sorted((Path(torch.hub.get_dir()) / "checkpoints").glob("vgg19-*.pth"))
        cached += sorted((Path(torch.hub.get_dir()) / "checkpoints").glob("squeezenet1_1-*.pth"))
        if not cached:
            print(
                "warning: no --perceptual FILE and nothing cached by torchvision: random VGG-19 features,"
                " which see a small shift 1.6 to 2 times less than SqueezeNet's do and cost 13 times as much",
                file=sys.stderr,
            )
            return PerceptualLoss(Vgg19(None))
        path = cached[0]
    try:
        if path.suffix == ".npz":
            weights = {name: torch.from_numpy(value) for name, value in load_arrays(path).items()}
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        if "conv1.weight" in weights:
            return PerceptualLoss(SqueezeNet(weights, torchvision=False))
        if "features.3.squeeze.weight" in weights:
            return PerceptualLoss(SqueezeNet(_from_torchvision(weights), torchvision=True))
        return PerceptualLoss(Vgg19(weights))
    except (
        OSError,
        EOFError,
        pickle.UnpicklingError,
        KeyError,
        ValueError,
        RuntimeError,
        TypeError,
    ) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"--perceptual {path.name}: not SqueezeNet 1.1 or VGG-19 weights ({reason})"
        ) from error


def _from_torchvision(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision counts layers (``features.3.squeeze``), SqueezeNet's paper names them (``fire2``)."""
    fire = {3: 2, 4: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8, 12: 9}
    named = {}
    for key, value in weights.items():
        if match := re.fullmatch(r"features\.(\d+)\.(squeeze|expand1x1|expand3x3)\.(weight|bias)", key):
            part = "squeeze1x1" if match[2] == "squeeze" else match[2]
            named[f"fire{fire[int(match[1])]}.{part}.{match[3]}"] = value
        elif match := re.fullmatch(r"features\.0\.(weight|bias)", key):
            named[f"conv1.{match[1]}"] = value
    return named
