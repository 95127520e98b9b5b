"""Built engines on disk: keys, damage, other users, two builders, and folders that cannot be written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from engines import store as module
from engines.parity import Parity
from engines.store import Key, Meta, Store, UnusableEngine, cache_folder

KEY = Key("a" * 64, 1, "fp16", "1:8:64", "H200", "9.0", "580.1", "tensorrt", "11.0", "2.13.0", "2.13.0")
PLAN = b"plan " * 1000


def meta_of(key: Key = KEY, plan: bytes = PLAN, created: str = "2026-11-25T10:00:00+00:00") -> Meta:
    digest = hashlib.sha256(plan).hexdigest()
    return Meta(key, "face", 61.5, created, len(plan), digest, Parity(64, 0.01, 0.05, 0.2, 0.001))


def save(store: Store, meta: Meta, plan: bytes = PLAN) -> None:
    with store.locked():
        store.save(plan, meta)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "cache" / "engines")


@pytest.fixture
def filled(store):
    save(store, meta_of())
    return store


def test_an_engine_comes_back_as_it_went(filled):
    (entry,) = filled.entries()
    assert entry.meta == meta_of()
    assert (entry.id, entry.problem) == (KEY.id, None)
    assert filled.find(KEY) == meta_of()
    assert filled.read(meta_of()) == PLAN


def test_nobody_else_can_read_or_write(filled):
    for path in (filled.folder, filled.folder / KEY.id):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", [each.name for each in fields(Key)])
def test_everything_in_the_key_counts(filled, name):
    other = replace(KEY, **{name: 2 if name == "graph" else "1:2:4" if name == "batch" else "other"})
    assert other.id != KEY.id
    if name == "batch":
        assert filled.find(other) == meta_of()  # any batch sizes do
    else:
        assert other.differing(KEY) == [name]
        assert filled.find(other) is None


def test_the_engine_for_the_batch_sizes_asked_for_wins_then_the_newest(store):
    small, large = (replace(KEY, batch=batch) for batch in ("1:1:4", "1:64:256"))
    save(store, meta_of(created="2026-11-25T10:00:00+00:00"))
    save(store, meta_of(small, created="2026-11-25T11:00:00+00:00"))
    save(store, meta_of(large, created="2026-11-25T12:00:00+00:00"))
    assert [entry.meta.key.batch for entry in store.entries()] == ["1:64:256", "1:1:4", "1:8:64"]
    assert store.find(KEY).key == KEY
    assert store.find(replace(KEY, batch="1:2:2")).key == large


def test_a_second_build_replaces_the_first(filled):
    save(filled, meta_of(plan=b"newer"), b"newer")
    assert filled.read(filled.find(KEY)) == b"newer"
    assert len(filled.entries()) == 1
    assert filled.leftovers() == []


def rewrite(folder: Path, change: object) -> None:
    described = json.loads((folder / "meta.json").read_text())
    described.update(change)
    (folder / "meta.json").write_text(json.dumps(described))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "plan").write_bytes(PLAN[:-1]),
        lambda folder: (folder / "plan").unlink(),
        lambda folder: (folder / "meta.json").unlink(),
        lambda folder: (folder / "meta.json").write_text('{"key": {"mod'),
        lambda folder: (folder / "meta.json").write_text("[]"),
        lambda folder: rewrite(folder, {"key": {"model": "b"}}),
        lambda folder: rewrite(folder, {"key": {**KEY.__dict__, "gpu": "H100"}}),
        lambda folder: rewrite(folder, {"plan_bytes": "many"}),
        lambda folder: rewrite(folder, {"parity": None}),
        lambda folder: rewrite(folder, {"extra": 1}),
        lambda folder: folder.rename(folder.with_name("0123456789abcdef")),
    ],
)
def test_what_is_damaged_is_found_but_never_used(filled, damage):
    damage(filled.folder / KEY.id)
    (entry,) = filled.entries()
    assert entry.meta is None
    assert entry.problem.startswith("damaged: ")
    assert filled.find(KEY) is None
    filled.remove(entry.id)
    save(filled, meta_of())
    assert filled.read(filled.find(KEY)) == PLAN


def test_a_plan_that_was_tampered_with_is_refused(filled):
    (filled.folder / KEY.id / "plan").write_bytes(PLAN[:-1] + b"!")
    with pytest.raises(UnusableEngine, match="damaged: build it again"):
        filled.read(filled.find(KEY))


def test_a_folder_that_others_can_write_to_is_refused(filled):
    filled.folder.chmod(0o770)
    with pytest.raises(UnusableEngine, match="not yours alone: chmod 700"):
        filled.read(meta_of())


def test_a_folder_of_somebody_else_is_refused(filled, monkeypatch):
    owner = os.geteuid()
    monkeypatch.setattr(module.os, "geteuid", lambda: owner + 1)
    with pytest.raises(UnusableEngine, match="not yours alone"):
        filled.read(meta_of())


def test_a_disk_that_is_full_leaves_what_was_there(filled, monkeypatch):
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(filled, meta_of(plan=b"newer"), b"newer")
    assert filled.read(filled.find(KEY)) == PLAN
    assert filled.leftovers() == []


def test_a_folder_that_cannot_be_made_is_an_error_before_the_build(tmp_path):
    (tmp_path / "cache").write_text("a file")
    store = Store(tmp_path / "cache" / "engines")
    assert store.entries() == []
    with pytest.raises(OSError, match="cache"), store.locked():
        pytest.fail("built all the same")


def test_a_killed_build_is_a_leftover_and_gives_the_lock_back(filled):
    program = (
        "import sys, tempfile; from pathlib import Path; from engines.store import Store\n"
        "store = Store(Path(sys.argv[1]))\n"
        "with store.locked():\n"
        "    tempfile.mkdtemp(prefix='.part-', dir=store.folder)\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, filled.folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    with other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(InterruptedError), filled.locked(waiting=give_up):
            pytest.fail("two at once")
        other.kill()
    with filled.locked(waiting=give_up) as waited:
        assert not waited
        assert len(filled.leftovers()) == 1
        for name in filled.leftovers():
            filled.remove(name)
    assert [entry.id for entry in filled.entries()] == [KEY.id]


def give_up() -> None:
    raise InterruptedError


def test_who_had_to_wait_is_told(filled):
    first = filled.locked()
    first.__enter__()
    with filled.locked(waiting=lambda: first.__exit__(None, None, None)) as waited:
        assert waited


def test_the_folder_is_where_the_user_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Store().folder == tmp_path / "kptrack" / "engines"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module.sys, "platform", "linux")
    for ignored in ("", "not/absolute"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_folder() == tmp_path / "home" / ".cache" / "kptrack"
