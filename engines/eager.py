"""Eager PyTorch on a CPU or a CUDA device: the reference, and what runs everywhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from engines.engine import MissingCapability, Points
from engines.model import Model
from engines.network import LandmarkNet, move
from engines.processor import can_pack, pack, rearrange
from engines.student import StudentNet

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class EagerEngine:
    """A model in PyTorch. See ``engines.open_engine`` for what ``auto`` does.

    Not for two threads at once.
    """

    runtime = "eager"

    def __init__(
        self, model: Model, precision: str = "auto", device: str = "auto", auto: bool = True
    ) -> None:
        self.skeleton = model.skeleton
        self.input_size = model.config.input_size
        self.crop_scale = model.crop_scale
        self._device = choose_device(device)
        self.precision, reason = choose_precision(precision, self._device)
        reference = not auto and precision == "fp32"
        network = model.network()
        if reference:
            network.to(self._device)
        else:
            prepare(network, self._device, self.precision)
            if self._device.type == "cpu" and can_pack(DTYPES[self.precision]):
                pack(network)
        self._network = network
        how = "as trained" if reference else "batch norm folded"
        self.describe = f"eager {self.precision} on {self._device} ({reason}; {how})"

    def __call__(self, crops: np.ndarray) -> Points:
        """See ``Engine``."""
        with exact(self._device, self.precision):
            return run(self._network, crops, self._device)

    def close(self) -> None:
        """Nothing is held that the garbage collector does not free."""


def choose_device(device: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda[:N]`` as a device that this machine has."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device {device!r} is not auto, cpu or cuda:N") from error
    if chosen.type not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r} is not auto, cpu or cuda:N")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise MissingCapability(f"no device {device}: PyTorch sees {count} CUDA devices", lacks="gpu")
    return chosen


def choose_precision(precision: str, device: torch.device) -> tuple[str, str]:
    """The precision to run in and the reason, in words."""
    if precision != "auto":
        return precision, "as asked"
    if device.type == "cuda":
        return "fp16", "a GPU"
    if has_bf16():
        return "bf16", "the processor has bf16"
    return "fp32", "the processor has no bf16"


def has_bf16() -> bool:
    """Whether the processor itself multiplies in bf16.

    PyTorch's own check says yes to every AVX-512 processor; one without AVX512-BF16 imitates it at
    half the speed of fp32.
    """
    if not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return False
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", True))  # not named on ARM


def prepare(
    network: LandmarkNet | StudentNet, device: torch.device, precision: str
) -> LandmarkNet | StudentNet:
    """The network made fast, in place: batch norm folded, channels last, convolutions in ``precision``."""
    fold_batch_norm(network)
    if device.type == "cpu":
        rearrange(network)
    move(network, device)
    for module in layers(network):
        module.to(DTYPES[precision])
    return network


def layers(network: LandmarkNet | StudentNet) -> list[nn.Module]:
    """The parts of a network that may run in low precision: all but what makes points and scores of it."""
    if isinstance(network, StudentNet):
        return [network.regressor]
    return [network.drawer, network.regressor]


def fold_batch_norm(network: nn.Module) -> None:
    """Merge every convolution with the batch norm behind it, in place; the network must be in eval mode."""
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for index in range(len(module) - 1):
            conv, norm = module[index], module[index + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[index] = fuse_conv_bn_eval(conv, norm)
                module[index + 1] = nn.Identity()


def exact(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Within it fp32 is fp32 on a GPU, where PyTorch convolves in TF32 by default, hardly finer than fp16."""
    if device.type != "cuda" or precision != "fp32":
        return nullcontext()
    cudnn = torch.backends.cudnn
    kept = {"benchmark": cudnn.benchmark, "deterministic": cudnn.deterministic}
    return cudnn.flags(enabled=cudnn.enabled, allow_tf32=False, **kept)


def run(
    network: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]], crops: np.ndarray, device: torch.device
) -> Points:
    """One pass over crops ``(N, S, S, 3)`` uint8; the arrays that come back are the caller's."""
    with torch.inference_mode():
        # Writable, because PyTorch warns of what is not.
        xy, score, subject = network(torch.from_numpy(np.require(crops, requirements=["C", "W"])).to(device))
        return Points(xy.cpu().numpy(), score.cpu().numpy(), subject.cpu().numpy())
