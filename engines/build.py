"""From a model to a built TensorRT engine that finds the same landmarks."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import torch

from engines.buckets import BatchProfile, out_of_memory
from engines.convert import convert
from engines.eager import EagerEngine, choose_precision
from engines.engine import BuildCancelled, BuildError, Engine, MissingCapability, Report
from engines.export import GRAPH_VERSION, export
from engines.gpu import describe_gpu, require_gpu
from engines.model import Model
from engines.parity import Parity, check, generated_crops
from engines.store import Key, Meta, Store, UnusableEngine
from engines.trt import TensorRTEngine, Toolkit, load_toolkit

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """What an engine is built for. ``target_of`` makes one."""

    model: Model
    precision: str
    device: torch.device
    toolkit: Toolkit

    def key(self, batch: BatchProfile) -> Key:
        """The store's key of an engine for these batch sizes."""
        return _key(self.device, self.toolkit, self.model.digest, self.precision, str(batch))


def target_of(model: Model, precision: str, device: str) -> Target:
    """Raises ``MissingCapability`` without a GPU and without Torch-TensorRT."""
    chosen = require_gpu("tensorrt", device)
    return Target(model, choose_precision(precision, chosen)[0], chosen, load_toolkit())


@dataclass(frozen=True)
class Built:
    """A plan and what is known of it."""

    plan: bytes
    meta: Meta


def key_here(key: Key) -> Key:
    """What ``key`` would be if its engine were built on this machine. Raises as ``target_of``."""
    chosen = require_gpu("tensorrt", "auto")
    return _key(chosen, load_toolkit(), key.model, key.precision, key.batch)


def _key(device: torch.device, toolkit: Toolkit, model: str, precision: str, batch: str) -> Key:
    gpu = describe_gpu(device)
    return Key(
        model=model,
        graph=GRAPH_VERSION,
        precision=precision,
        batch=batch,
        gpu=gpu.name,
        capability=gpu.capability,
        driver=gpu.driver,
        flavour=toolkit.flavour,
        tensorrt=str(toolkit.trt.__version__),
        torch_tensorrt=str(toolkit.torch_tensorrt.__version__),
        torch=str(torch.__version__),
    )


def open_stored(target: Target, store: Store) -> Engine | None:
    """The engine that is there for this target, or None. Raises ``UnusableEngine`` for one not to be run."""
    meta = store.find(target.key(BatchProfile()))
    if meta is None:
        return None
    try:
        return _engine(target, store.read(meta), BatchProfile.parse(meta.key.batch))
    except UnusableEngine:
        raise
    except RuntimeError as error:
        raise UnusableEngine(f"engine {meta.key.id} does not run ({error}): build it again") from error


def open_or_build(target: Target, store: Store, report: Report) -> Engine:
    """The stored engine, or one that is built now and kept for the next time. Raises as ``build``.

    A stored engine that must not be run, and a store that cannot be written, are logged and done
    without.
    """
    if not target.model.digest:  # never saved: nothing would find its engine again
        return _open_built(target, build(target, BatchProfile(), report))
    stored = _stored(target, store)
    if stored is not None:
        return stored
    built: Built | None = None
    try:
        with store.locked(lambda: _step(report, "waiting for another build")) as waited:
            stored = _stored(target, store) if waited else None
            if stored is not None:
                return stored
            built = build(target, BatchProfile(), report)
            store.save(built.plan, built.meta)
    except OSError as error:
        _log.warning("the engine is not kept for the next time: %s", error)
    return _open_built(target, built or build(target, BatchProfile(), report))


def build_and_keep(
    target: Target, batch: BatchProfile, store: Store, report: Report, crops: np.ndarray | None
) -> Meta:
    """Build an engine, in place of one that is there, and keep it.

    Raises as ``build``, and ``OSError`` where the store cannot be written, if possible before the build.
    """
    with store.locked(lambda: _step(report, "waiting for another build")):
        built = build(target, batch, report, crops)
        store.save(built.plan, built.meta)
    return built.meta


def build(target: Target, batch: BatchProfile, report: Report, crops: np.ndarray | None = None) -> Built:
    """An engine that was compared with eager fp32 on ``crops``, or on generated ones.

    Where the GPU's memory is too small for the largest batch, one for half of it is tried, and so
    on. Raises ``BuildCancelled``, ``ParityError``, ``MissingCapability`` when the memory is too small
    for any batch, and ``BuildError`` with TensorRT's own words.
    """
    while True:
        try:
            return _build(target, batch, report, crops)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            if batch.largest == batch.smallest:
                raise MissingCapability(
                    "the GPU's memory is too small for a build", lacks="memory"
                ) from error
        torch.cuda.empty_cache()
        batch = batch.halved()
        _log.warning("out of GPU memory: building for at most %d crops at once", batch.largest)


def _build(target: Target, batch: BatchProfile, report: Report, crops: np.ndarray | None) -> Built:
    begin = time.perf_counter()
    _step(report, "exporting")
    program = export(target.model, target.precision, batch, target.device)
    with torch.cuda.device(target.device):
        plan = convert(target.toolkit, program, batch, report)
    seconds = time.perf_counter() - begin
    _step(report, "comparing with eager fp32")
    parity = _parity(target, plan, batch, crops)
    meta = Meta(
        key=target.key(batch),
        model_name=target.model.name,
        build_s=round(seconds, 1),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        plan_bytes=len(plan),
        plan_sha256=hashlib.sha256(plan).hexdigest(),
        parity=parity,
    )
    return Built(plan, meta)


def _parity(target: Target, plan: bytes, batch: BatchProfile, crops: np.ndarray | None) -> Parity:
    reference = EagerEngine(target.model, "fp32", str(target.device), auto=False)
    candidate = _engine(target, plan, batch)
    try:
        size = target.model.config.input_size
        parity = check(reference, candidate, generated_crops(size) if crops is None else crops)
        if not candidate.intact:
            raise BuildError("out of memory when the new engine ran")
        return parity
    finally:
        candidate.close()


def _stored(target: Target, store: Store) -> Engine | None:
    try:
        return open_stored(target, store)
    except (UnusableEngine, OSError) as error:
        _log.warning("%s", error)
        return None


def _open_built(target: Target, built: Built) -> Engine:
    return _engine(target, built.plan, BatchProfile.parse(built.meta.key.batch))


def _engine(target: Target, plan: bytes, batch: BatchProfile) -> TensorRTEngine:
    return TensorRTEngine(target.model, plan, target.precision, batch, target.device, target.toolkit)


def _step(report: Report, phase: str) -> None:
    if not report(phase, None):
        raise BuildCancelled
