"""What fits this machine: ``--runtime auto``, with the reason in ``describe``, and the model for live."""

from __future__ import annotations

import logging

from engines.eager import EagerEngine, choose_device
from engines.engine import Engine, MissingCapability
from engines.model import Model

_log = logging.getLogger(__name__)


def live_model(device: str = "auto") -> str:
    """Name of the shipped face model that keeps up with a camera: without a GPU that is the student.

    Raises as ``choose_device``.
    """
    return "face" if choose_device(device).type == "cuda" else "face-fast"


def open_best(model: Model, precision: str, device: str) -> Engine:
    """A TensorRT engine that is there, else CUDA graphs, else eager; nothing that takes long to build."""
    if choose_device(device).type == "cpu":
        return EagerEngine(model, precision, device)
    engine, reason = _stored(model, precision, device)
    if engine is not None:
        return engine
    from engines.cudagraph import CudaGraphEngine

    try:
        return CudaGraphEngine(model, precision, device, reason)
    except RuntimeError as error:
        _log.warning("CUDA graphs do not run here (%s): eager PyTorch instead", error)
        return EagerEngine(model, precision, device)


def _stored(model: Model, precision: str, device: str) -> tuple[Engine | None, str]:
    """The TensorRT engine for this model and machine, or None and why there is none."""
    from engines.build import open_stored, target_of
    from engines.store import Store, UnusableEngine

    store = Store()
    try:
        # Torch-TensorRT takes seconds to load, and most have none of its engines.
        if not any(entry.meta and entry.meta.key.model == model.digest for entry in store.entries()):
            return None, "no TensorRT engine was built"
        engine = open_stored(target_of(model, precision, device), store)
    except (MissingCapability, UnusableEngine, OSError) as error:
        return None, str(error)
    return engine, "no TensorRT engine for this GPU and these versions"
