"""One probe a run: ``python -m ui.probes NAME`` prints a line or fails with what is missing.

Each runs in a process of its own, because a library that is missing or of the wrong kind can end
the process instead of raising.
"""

from __future__ import annotations

import shutil
import sys
from importlib import import_module
from pathlib import Path


def torch() -> str:
    """PyTorch loads; device and precision that ``auto`` takes."""
    from engines.eager import choose_device, choose_precision

    device = choose_device("auto")
    precision, reason = choose_precision("auto", device)
    return f"auto is {precision} on {device}: {reason}"


def weights() -> str:
    """Every shipped model loads."""
    from engines.model import load_model, shipped_models

    if not shipped_models():
        raise RuntimeError("no model file in engines/weights; give commands a file with --model")
    return ", ".join(f"{name} ({load_model(name).skeleton.name})" for name in shipped_models())


def opencv() -> str:
    """OpenCV loads and has the face cascades."""
    import cv2

    folder = Path(cv2.__file__).parent / "data"
    names = ("haarcascade_frontalface_default.xml", "haarcascade_profileface.xml")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing or not hasattr(cv2, "CascadeClassifier"):
        raise RuntimeError("no face cascades: install opencv-python 4.x, not 5")
    return f"{len(list(folder.glob('*.xml')))} cascades"


def video() -> str:
    """PyAV loads and its FFmpeg writes H.264 and AAC."""
    # By name: what uses PyAV, and may import it, is tracker's reading and writing of files.
    av = import_module("av")
    missing = [name for name in ("libx264", "aac") if name not in av.codecs_available]
    if missing:
        raise RuntimeError(
            f"PyAV was built without {', '.join(missing)}: install the wheel of the package index"
        )
    encoders = [name for name in ("libx264", "libx265", "h264_nvenc", "aac") if name in av.codecs_available]
    return f"FFmpeg {av.ffmpeg_version_info} with {', '.join(encoders)}"


def qt() -> str:
    """Qt opens an application without a screen."""
    from ui.window.display import begin_qt

    return begin_qt("-platform", "offscreen")


def display() -> str:
    """Qt opens an application on the screen."""
    from ui.window.display import begin_qt

    return begin_qt()


def compiler() -> str:
    """A C++ compiler is there."""
    found = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if found is None:
        raise RuntimeError("no C++ compiler: install g++")
    return found


def tensorrt() -> str:
    """Torch-TensorRT loads, which it only does beside a GPU."""
    from engines.gpu import require_gpu
    from engines.trt import load_toolkit

    require_gpu("tensorrt", "auto")
    toolkit = load_toolkit()
    return f"{toolkit.flavour} {toolkit.trt.__version__}"


PROBES = {probe.__name__: probe for probe in (torch, weights, opencv, video, qt, display, compiler, tensorrt)}

if __name__ == "__main__":
    print(PROBES[sys.argv[1]]())
