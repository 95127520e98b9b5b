"""What this machine is: for reports that only mean something together with it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("kptrack", "torch", "opencv-python", "av", "numpy", "scipy", "safetensors"),
    *("pyarrow", "PyQt6", "typer", "rich", "platformdirs"),
)

TENSORRT_PACKAGES = ("torch-tensorrt", "tensorrt", "torch-tensorrt-rtx", "tensorrt-rtx")


def machine() -> dict[str, object]:
    """Processor, usable cores, memory, system, and the GPU with its driver if there is one."""
    gpu, driver = _gpu()
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "gpu": gpu,
        "driver": driver,
    }


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str | None]:
    """Versions of kptrack and of what it stands on, or of others; None for what is not installed."""
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def usable_cores() -> int:
    """Cores this process may use, which may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resident_mb() -> float | None:
    """Memory of this process that is in RAM, in MB; None where the system does not say (not Linux)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpu() -> tuple[str | None, str | None]:
    """Name and driver of the first NVIDIA GPU, asked of its own tool: PyTorch may be a CPU build."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None, None
    query = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        name, driver = answer.splitlines()[0].rsplit(",", 1)
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return None, None
    return name.strip(), driver.strip()
