"""``kptrack engine``: TensorRT engines are built, listed and removed; and building for other commands."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from engines import Engine, MissingCapability, Model, Report, load_model, open_engine
from engines.buckets import BatchProfile
from engines.build import build_and_keep, key_here, target_of
from engines.engine import PRECISIONS
from engines.model import shipped_models
from engines.store import Entry, Meta, Store, UnusableEngine
from ui.failures import Exit, UsageError, usage
from ui.interrupt import Cancel, Interrupt
from ui.portrait import portrait_crops

_T = TypeVar("_T")
_TELL_EVERY = 0.1  # of a phase
# An engine that another of these was built with is of no use any more; another GPU may come back.
_OUTDATES = {"graph", "driver", "flavour", "tensorrt", "torch_tensorrt", "torch"}


def open_told(
    model: Model,
    runtime: str,
    precision: str,
    device: str,
    say: Callable[[str], None],
    asked: Callable[[], bool] = lambda: False,
) -> Engine:
    """``open_engine``, saying what takes long; a build ends when ``asked`` to, and at Ctrl-C.

    Raises as ``open_engine``, with ``UsageError`` for what makes no sense.
    """
    if runtime == "compile":
        say("compiling, which takes half a minute and more …")

    def work(cancelled: Callable[[], bool]) -> Engine:
        report = tell(say, lambda: cancelled() or asked())
        return open_engine(model, runtime, precision, device, report)

    with usage():
        return _cancellable(work, say) if runtime == "tensorrt" else work(asked)


def build_engine(model: str, precision: str, batch: str, as_json: bool) -> Exit:
    """``build``: the whole command."""
    if precision not in PRECISIONS:
        raise UsageError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    with usage():
        loaded, profile = load_model(model), BatchProfile.parse(batch)
        target = target_of(loaded, precision, "auto")
    crops = _face_crops(loaded)
    meta = _cancellable(
        lambda cancelled: build_and_keep(target, profile, Store(), tell(_say, cancelled), crops), _say
    )
    if as_json:
        print(json.dumps(_as_json(Entry(meta.key.id, meta)), indent=2))
    else:
        print(_line(Entry(meta.key.id, meta)))
    return Exit.FINE


def list_engines(as_json: bool) -> None:
    """``list``: every engine, the newest first."""
    store = Store()
    entries = store.entries()
    if as_json:
        print(json.dumps([_as_json(each) for each in entries], indent=2))
        return
    if not entries:
        _say(f"no engines in {store.folder}; `kptrack engine build` makes one")
    for each in entries:
        print(f"{_line(each)}; {_here(each)}")


def show_engines(model: str, as_json: bool) -> Exit:
    """``info``: all that is known of a model's engines, with their plans checked."""
    store = Store()
    told = []
    for entry in _matching(store, model):
        checked = _checked(store, entry)
        told.append({**_as_json(checked), "here": _here(checked)})
    if as_json:
        print(json.dumps(told, indent=2))
    else:
        print("\n\n".join("\n".join(f"{name}: {value}" for name, value in each.items()) for each in told))
    return Exit.FINE if all(each["problem"] is None for each in told) else Exit.CHECK_FAILED


def remove_engines(model: str, as_json: bool) -> None:
    """``remove``: the engines of a model, or the one with an id."""
    store = Store()
    _remove(store, [entry.id for entry in _matching(store, model)], as_json)


def clean_engines(as_json: bool) -> None:
    """``clean``: what killed builds left behind, damaged engines, and those of other versions."""
    store = Store()
    if not store.folder.is_dir():
        _remove(store, [], as_json)
        return
    with store.locked():
        useless = [entry.id for entry in store.entries() if entry.meta is None or _outdated(entry.meta)]
        _remove(store, [*store.leftovers(), *useless], as_json)


def tell(say: Callable[[str], None], cancelled: Callable[[], bool]) -> Report:
    """A ``Report`` that says each phase, and every tenth of it."""
    last: tuple[str, int] | None = None

    def report(phase: str, share: float | None) -> bool:
        nonlocal last
        here = (phase, int((share or 0) / _TELL_EVERY))
        if here != last:
            last = here
            say(f"building: {phase}" + (f", {share:.0%}" if share else " …"))
        return not cancelled()

    return report


def _cancellable(work: Callable[[Callable[[], bool]], _T], say: Callable[[str], None]) -> _T:
    """The result of ``work``, in a thread: TensorRT would not let Python hear Ctrl-C for minutes.

    ``work`` gets what says whether Ctrl-C came; a second one leaves at once. Other threads hear neither.
    """
    main = threading.current_thread() is threading.main_thread()
    with (
        Interrupt() if main else Cancel() as cancel,
        cancel.held(),
        ThreadPoolExecutor(1, "kptrack build") as pool,
    ):
        future = pool.submit(work, lambda: cancel.asked)
        said = False
        while not future.done():
            wait([future], timeout=0.1)
            if cancel.asked and not said:
                said = True
                say(f"cancelling the build{cancel.hint}")
    return future.result()


def _face_crops(model: Model) -> np.ndarray | None:
    """Real crops to compare on, where the portrait is installed and shows what the model is for."""
    try:
        return portrait_crops(model) if model.skeleton.name == "face68" else None
    except MissingCapability:
        return None


def _matching(store: Store, model: str) -> Sequence[Entry]:
    """Engines of a model (name or file), or with an id. Raises ``UsageError`` when there is none."""
    file = shipped_models().get(model, Path(model))
    with usage():
        digest = load_model(file).digest if file.is_file() else None
    found = [
        entry
        for entry in store.entries()
        if entry.id == model
        or (entry.meta and (entry.meta.key.model == digest or entry.meta.model_name == model))
    ]
    if not found:
        raise UsageError(f"no engine of {model!r}: `kptrack engine list` shows those there are")
    return found


def _checked(store: Store, entry: Entry) -> Entry:
    try:
        if entry.meta is not None:
            store.read(entry.meta)
    except UnusableEngine as error:
        return Entry(entry.id, entry.meta, str(error))
    return entry


def _outdated(meta: Meta) -> bool:
    """Whether this installation cannot run an engine any more; where it runs none, nobody knows."""
    try:
        return bool(_OUTDATES.intersection(meta.key.differing(key_here(meta.key))))
    except MissingCapability:
        return False


def _here(entry: Entry) -> str:
    """Whether an engine runs on this machine, in words."""
    if entry.meta is None or entry.problem:
        return str(entry.problem)
    key = entry.meta.key
    try:
        here = key_here(key)
    except MissingCapability as error:
        return f"does not run here: {error}"
    odd = [f"{name} {getattr(key, name)}, here {getattr(here, name)}" for name in key.differing(here)]
    return f"does not run here: built for {'; '.join(odd)}" if odd else "runs here"


def _line(entry: Entry) -> str:
    if entry.meta is None:
        return entry.id
    meta, key = entry.meta, entry.meta.key
    return (
        f"{entry.id}  {meta.model_name} {key.precision}, batch {key.batch}, {key.gpu}, "
        f"{key.flavour} {key.tensorrt}, {meta.plan_bytes / 2**20:.1f} MiB, built in {meta.build_s:.0f} s, "
        f"{meta.parity.p99_px:.3f} px from eager fp32 (99 % of points)"
    )


def _as_json(entry: Entry) -> dict[str, Any]:
    """Plain values: id and problem, and the fields of key and meta side by side."""
    told: dict[str, Any] = {"id": entry.id, "problem": entry.problem}
    if entry.meta is not None:
        found = asdict(entry.meta)
        told |= found.pop("key") | found
    return told


def _remove(store: Store, names: Sequence[str], as_json: bool) -> None:
    for name in names:
        store.remove(name)
        if not as_json:
            print(f"removed {name}")
    if as_json:
        print(json.dumps({"removed": list(names)}))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
