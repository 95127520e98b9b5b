"""The NVIDIA GPU that an engine runs on, and one line where there is none."""

from __future__ import annotations

import ctypes
import warnings
from dataclasses import dataclass

import torch

from engines.eager import choose_device
from engines.engine import MissingCapability


@dataclass(frozen=True)
class Gpu:
    """What a built engine depends on: name, compute capability (``9.0``) and driver version."""

    name: str
    capability: str
    driver: str


def require_gpu(runtime: str, device: str) -> torch.device:
    """The CUDA device for ``runtime``: ``auto`` or ``cuda[:N]`` as one that this machine has.

    Raises ``MissingCapability`` with the reason where there is none, ``ValueError`` for another device.
    """
    with warnings.catch_warnings(record=True) as told:
        # PyTorch warns of a driver that is too old: that is the reason, and belongs into the line.
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if device == "cpu":
        raise ValueError(f"runtime {runtime} runs on a GPU, not on device cpu")
    if not available:
        if torch.version.cuda is None:
            reason = "this PyTorch is a CPU build"
        elif told:
            reason = str(told[-1].message).partition(". ")[0]
        else:
            reason = "PyTorch sees none"
        raise MissingCapability(f"runtime {runtime} needs an NVIDIA GPU ({reason})", lacks="gpu")
    chosen = choose_device(device)
    return torch.device("cuda", torch.cuda.current_device() if chosen.index is None else chosen.index)


def describe_gpu(device: torch.device) -> Gpu:
    """Name, compute capability and driver of a CUDA device."""
    major, minor = torch.cuda.get_device_capability(device)
    return Gpu(torch.cuda.get_device_name(device), f"{major}.{minor}", driver_version())


def driver_version() -> str:
    """Version of the NVIDIA driver as its management library tells it, or ``unknown``."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return "unknown"
    text = ctypes.create_string_buffer(96)
    if nvml.nvmlInit_v2():
        return "unknown"
    failed = nvml.nvmlSystemGetDriverVersion(text, len(text))
    nvml.nvmlShutdown()
    return "unknown" if failed else text.value.decode()
