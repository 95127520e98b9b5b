"""A prepared network rearranged for a processor: the same landmarks in less time, without a compiler.

At batch 1 half of the time goes into other things than multiplication: oneDNN puts every weight into
an order of its own in every pass, ReLUs and sums are passes over memory of their own, and instance norm
copies a picture into another memory order and back.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.network import Fuse, upsample
from engines.student import Residual

_KEPT = 4  # sizes of batches whose weights stay in order: a video's subjects come and go


def rearrange(network: nn.Module) -> None:
    """Do the same in fewer steps of plain PyTorch, in place."""
    _replace(network, Fuse, SplitFuse)
    _replace(network, nn.InstanceNorm2d, InstanceNorm)
    _replace(network, Residual, AddedTo)


class SplitFuse(nn.Module):
    """``Fuse`` with a convolution for either picture.

    A 1x1 convolution is linear and keeps to its pixel. So it may come before the upsampling, at a quarter
    of the pixels, and the results for two parts may be added instead of concatenating the parts.
    """

    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        channels = fuse.out_channels
        below, skip = fuse.weight.detach().split([channels, fuse.in_channels - channels], 1)
        self.below = _pointwise(below)
        self.skip = Add(_pointwise(skip))

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """See ``Fuse``."""
        fused: Tensor = self.skip(skip, upsample(self.below(below)))
        return fused


class Add(nn.Module):
    """A convolution whose result is added to another picture, which may be overwritten."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, image: Tensor, onto: Tensor) -> Tensor:
        """The sum."""
        return onto + self.conv(image)


class AddedTo(nn.Module):
    """``Residual``, its batch norm folded, as a convolution that is added to the picture."""

    def __init__(self, residual: Residual) -> None:
        super().__init__()
        self.first = residual.first
        conv = residual.second[0]
        assert isinstance(conv, nn.Conv2d)
        self.second = Add(conv)

    def forward(self, image: Tensor) -> Tensor:
        """See ``Residual``."""
        added: Tensor = self.second(self.first(image), image)
        return added


class InstanceNorm(nn.Module):
    """``nn.InstanceNorm2d``. Of a single picture batch norm takes the same statistics, and copies nothing."""

    def __init__(self, norm: nn.InstanceNorm2d) -> None:
        super().__init__()
        self.eps = norm.eps

    def forward(self, image: Tensor) -> Tensor:
        """``(B, C, H, W)`` → the same."""
        if len(image) == 1:
            return F.batch_norm(image, None, None, training=True, eps=self.eps)
        return F.instance_norm(image, eps=self.eps)


def can_pack(dtype: torch.dtype) -> bool:
    """Whether ``pack`` has been tried on such a processor: x86 with what oneDNN needs for ``dtype``."""
    if platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available():
        return False
    return dtype == torch.float32 or (
        dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def pack(network: nn.Module) -> None:
    """Keep weights in oneDNN's order and take ReLUs and sums into the convolutions, in place.

    Only to be run after that, not compiled, moved or saved. The functions are those that PyTorch's
    compiler calls; they are no public interface, but pyproject.toml asks for exactly one PyTorch.
    """
    for name, child in list(network.named_children()):
        setattr(network, name, _packed(child))


def _packed(module: nn.Module) -> nn.Module:
    if isinstance(module, nn.Conv2d):
        return PackedConv(module)
    if isinstance(module, Add):
        return PackedConv(module.conv)
    if not isinstance(module, nn.Sequential):
        pack(module)
        return module
    layers: list[nn.Module] = []
    for layer in _flat(module):
        last = layers[-1] if layers else None
        if isinstance(layer, nn.ReLU) and isinstance(last, PackedConv):
            last.then = "relu"
        else:
            layers.append(_packed(layer))
    return nn.Sequential(*layers)


def _flat(sequence: nn.Sequential) -> Iterator[nn.Module]:
    """The layers that do something, without the sequences they may be wrapped in."""
    for layer in sequence:
        if isinstance(layer, nn.Sequential):
            yield from _flat(layer)
        elif not isinstance(layer, nn.Identity):
            yield layer


def _replace(network: nn.Module, kind: type[nn.Module], make: Callable[[Any], nn.Module]) -> None:
    """Put what ``make`` makes of them in the place of all modules of a kind, in place."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, kind):
                setattr(parent, name, make(child))


class PackedConv(nn.Module):
    """A convolution with its weight in oneDNN's order and ``then``, "relu" or "none", in the same pass.

    Which order that is depends on the picture's size and the batch's; in another one's the convolution is
    right but takes up to twenty times as long. So each gets its own when it first comes by.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.then = "none"
        self.bias = None if conv.bias is None else conv.bias.detach()
        self._how = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.weight = conv.weight.detach()
        self._packed: dict[torch.Size, Tensor] = {}

    def forward(self, image: Tensor, onto: Tensor | None = None) -> Tensor:
        """The convolution, or its sum with ``onto``, which is overwritten."""
        found: Tensor
        weight = self._weight_for(image.shape)
        if onto is None:
            found = torch.ops.mkldnn._convolution_pointwise(
                image, weight, self.bias, *self._how, self.then, [], ""
            )
        else:
            found = torch.ops.mkldnn._convolution_pointwise_.binary(
                onto, image, weight, self.bias, *self._how, "add", 1.0, None, [], ""
            )
        return found

    def _weight_for(self, shape: torch.Size) -> Tensor:
        if shape not in self._packed:
            if len(self._packed) == _KEPT:
                del self._packed[next(iter(self._packed))]
            self._packed[shape] = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, *self._how, list(shape)
            )
        return self._packed[shape]


def _pointwise(weight: Tensor) -> nn.Conv2d:
    """A 1x1 convolution with this weight and no bias."""
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False)
    conv.weight = nn.Parameter(weight.clone())
    return conv
