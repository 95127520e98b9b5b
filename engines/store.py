"""Where built TensorRT engines live, and what must match before one of them is run.

A plan is a program: it is read only out of the application's own folder, which nobody else can
write to, and only when its hash is the one in ``meta.json`` beside it. An engine's folder is named
after its key and appears whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from engines.buckets import BatchProfile
from engines.parity import Parity

_PLAN, _META, _LOCK, _PART = "plan", "meta.json", ".lock", ".part-"
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Key:
    """All that a plan depends on. ``model`` is the model file's digest, ``batch`` as in ``1:8:64``."""

    model: str
    graph: int
    precision: str
    batch: str
    gpu: str
    capability: str
    driver: str
    flavour: str
    tensorrt: str
    torch_tensorrt: str
    torch: str

    @property
    def id(self) -> str:
        """Name of the engine's folder."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]

    def differing(self, other: Key) -> list[str]:
        """Names of what is not the same; the batch sizes do not count, as any of them runs."""
        names = [each.name for each in fields(self) if each.name != "batch"]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


@dataclass(frozen=True)
class Meta:
    """A built engine: its key and how it came about. ``created`` is UTC in ISO 8601."""

    key: Key
    model_name: str
    build_s: float
    created: str
    plan_bytes: int
    plan_sha256: str
    parity: Parity


@dataclass(frozen=True)
class Entry:
    """A folder of the store; ``problem`` says why it is not an engine, or ``meta`` what engine it is."""

    id: str
    meta: Meta | None = None
    problem: str | None = None


class UnusableEngine(RuntimeError):
    """A stored engine that must not be run; the message says why and what to do."""


class Store:
    """Built engines in a folder. Raises ``OSError`` where the folder cannot be read or written."""

    def __init__(self, folder: Path | None = None) -> None:
        """The user's own store, or one in ``folder``."""
        self.folder = folder or cache_folder() / "engines"

    def entries(self) -> list[Entry]:
        """Everything that is there, the engine built last first."""
        if not self.folder.is_dir():
            return []
        names = sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))
        found = [self._entry(name) for name in names]
        return sorted(found, key=lambda entry: entry.meta.created if entry.meta else "", reverse=True)

    def find(self, key: Key) -> Meta | None:
        """The engine of ``key`` built last, for any batch sizes; one for ``key``'s own wins."""
        metas = [each.meta for each in self.entries() if each.meta and not each.meta.key.differing(key)]
        exact = [meta for meta in metas if meta.key == key]
        return next(iter(exact + metas), None)

    def read(self, meta: Meta) -> bytes:
        """The plan. Raises ``UnusableEngine`` unless nobody else could have written it and it is whole."""
        status = self.folder.stat()
        if status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise UnusableEngine(f"{self.folder} is not yours alone: chmod 700 it and build again")
        try:
            plan = (self.folder / meta.key.id / _PLAN).read_bytes()
        except OSError as error:
            raise UnusableEngine(f"engine {meta.key.id} cannot be read ({error.strerror})") from error
        if hashlib.sha256(plan).hexdigest() != meta.plan_sha256:
            raise UnusableEngine(f"engine {meta.key.id} is damaged: build it again")
        return plan

    def save(self, plan: bytes, meta: Meta) -> None:
        """Keep an engine, in place of one with the same key; only while the store is ``locked``."""
        part = Path(tempfile.mkdtemp(prefix=_PART, dir=self.folder))
        try:
            _write(part / "new" / _PLAN, plan)
            _write(part / "new" / _META, json.dumps(asdict(meta), indent=2).encode())
            target = self.folder / meta.key.id
            if target.exists():
                target.rename(part / "old")
            (part / "new").rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Delete an entry, or what is left of one."""
        path = self.folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def leftovers(self) -> list[str]:
        """Names of what killed builds left behind; only while the store is ``locked``."""
        return sorted(path.name for path in self.folder.glob(_PART + "*"))

    @contextmanager
    def locked(self, waiting: Callable[[], None] = lambda: None) -> Iterator[bool]:
        """Within it no other process builds into this folder: two at once spoil each other's timing.

        ``waiting`` is called again and again while another process is at it, and what it raises ends
        the wait; the value is whether there was one. The lock ends with the process that holds it.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        waited = False
        with open(self.folder / _LOCK, "w") as file:
            while not _lock(file.fileno()):
                waited = True
                waiting()
                time.sleep(_LOOK_EVERY_S)
            yield waited

    def _entry(self, name: str) -> Entry:
        try:
            meta = _parse(json.loads((self.folder / name / _META).read_bytes()))
            if meta.key.id != name:
                raise ValueError("its key is another's")
            if (self.folder / name / _PLAN).stat().st_size != meta.plan_bytes:
                raise ValueError("its plan is not whole")
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())[:100]
            return Entry(name, problem=f"damaged: {reason}")
        return Entry(name, meta)


def cache_folder() -> Path:
    """The application's folder among the user's caches."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if Path(named).is_absolute():  # the specification wants others ignored
        return Path(named) / "kptrack"
    home = Path.home()
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "kptrack"


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(path: Path, content: bytes) -> None:
    """A file that is on the disk when this returns: the folder is renamed only after that."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _parse(found: dict[str, Any]) -> Meta:
    """Meta of JSON values; raises where a field is missing, unknown or of another type."""
    meta = Meta(**{**found, "key": Key(**found["key"]), "parity": Parity(**found["parity"])})
    like: dict[object, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
    for value in (meta, meta.key, meta.parity):
        for each in fields(value):
            if not isinstance(getattr(value, each.name), like.get(each.type, (object,))):
                raise TypeError(f"{each.name} is no {each.type}")
    BatchProfile.parse(meta.key.batch)
    return meta
