"""``kptrack bench``: its rows, its stage table, and what it says where something cannot run."""

from __future__ import annotations

import itertools
import json
import signal

import numpy as np
import pytest
from clips import write_clip
from commands import command, write_model

from engines import MissingCapability, load_model
from engines.engine import PRECISIONS, RUNTIMES
from engines.parity import ParityError
from ui import bench, race
from ui.failures import Exit
from ui.interrupt import Cancel
from ui.portrait import portrait_crops

pytest.importorskip("skimage", reason="the crops are of scikit-image's portrait: pip install 'kptrack[demo]'")

ROW = {
    *("runtime", "precision", "batch", "build_s", "median_ms", "p95_ms", "p99_ms", "fps"),
    *("ratio_to_eager", "px_mean", "px_max", "skipped"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(race, "_SECONDS_A_BATCH", 0.1)


def test_every_combination_is_compared_with_plain_eager_fp32(capfd, model, tmp_path):
    report, tables = tmp_path / "b.json", tmp_path / "b.md"
    ended = command(
        *(capfd, "bench", "--model", model, "--runtimes", "eager,auto", "--precisions", "fp32,bf16"),
        *("--batch", "1,3", "--json", report, "--markdown", tables),
    )
    assert ended.code == Exit.FINE
    found = json.loads(report.read_text())
    assert set(found) == {"machine", "versions", "rows", "stages", "end_to_end_fps"}
    assert all(set(row) == ROW for row in found["rows"])
    ways = [("eager", "fp32"), ("eager", "bf16"), ("auto", "fp32"), ("auto", "bf16")]
    assert [(row["runtime"], row["precision"], row["batch"]) for row in found["rows"]] == [
        (*way, batch) for batch in (1, 3) for way in ways
    ]
    plain = found["rows"][0]
    assert (plain["ratio_to_eager"], plain["px_mean"]) == (1.0, 0.0)
    assert 0 < found["rows"][3]["px_mean"] < 1
    assert plain["median_ms"] <= plain["p95_ms"] <= plain["p99_ms"]
    assert found["stages"] == []
    assert found["end_to_end_fps"] is None
    assert tables.read_text() == ended.out
    assert "| eager | fp32 | 1 |" in ended.out


def test_a_clip_is_timed_stage_by_stage(capfd, model, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", count=8)
    report = tmp_path / "b.json"
    ended = command(
        *(capfd, "bench", "--model", model, "--runtimes", "eager", "--precisions", "fp32"),
        *("--batch", "1", "--video", clip, "--json", report),
    )
    assert ended.code == Exit.FINE
    found = json.loads(report.read_text())
    stages = {stage.pop("stage"): stage for stage in found["stages"]}
    assert {"decode", "locate", "cut", "infer", "match", "smooth", "draw", "encode"} == set(stages)
    assert all(set(stage) == {"median_ms", "cpu_ms"} for stage in stages.values())
    assert found["end_to_end_fps"] > 0
    assert "over 8 frames, 8 of them with a subject" in ended.out


def test_what_cannot_run_is_a_row_with_its_reason_in_a_word(capfd, model, tmp_path, monkeypatch):
    real = race.open_told
    failures = {
        "compile": MissingCapability("no compiler: install g++\nand more", lacks="compiler"),
        "tensorrt": ParityError("refused: 3 px"),
        "cudagraph": RuntimeError("CUDA out of memory. Tried to allocate"),
    }

    def limited(loaded, runtime, *rest):
        if runtime in failures:
            raise failures[runtime]
        return real(loaded, runtime, *rest)

    monkeypatch.setattr(race, "open_told", limited)
    report = tmp_path / "b.json"
    runtimes = ",".join(failures)
    ended = command(
        capfd, "bench", "--model", model, "--runtimes", runtimes, "--batch", "1", "--json", report
    )
    plain, *others = json.loads(report.read_text())["rows"]
    assert plain["skipped"] is None
    assert [row["skipped"] for row in others] == ["compiler", "parity", "memory"]
    assert all(row["median_ms"] is None for row in others)
    assert "skipping compile auto: no compiler: install g++\n" in ended.err


def test_what_is_cancelled_has_the_figures_of_what_is_open(model, tmp_path):
    cancel, said = Cancel(), []

    def say(line):
        said.append(line)
        cancel.asked = cancel.asked or line.startswith("warming up eager bf16")

    figures = bench.measure(str(model), ["eager"], ["fp32", "bf16", "auto"], [1, 8], None, say, cancel)
    assert [(row.precision, row.batch, row.skipped) for row in figures.rows] == [
        ("fp32", 1, None),
        ("bf16", 1, None),
        ("auto", 1, race.CANCELLED),
    ]
    assert not [line for line in said if "auto" in line]
    assert "| eager | auto | 1 | skipped: cancelled |" in figures.markdown


def test_a_precision_left_to_choose_is_told_from_the_same_one_asked_for(model):
    figures = bench.measure(str(model), ["eager"], ["auto", "fp32"], [1], None)
    plain, chosen = (row.precision for row in figures.rows)
    assert plain == "fp32"
    assert chosen in ("auto (fp32)", "auto (bf16)")


def test_ctrl_c_keeps_what_was_measured(capfd, model, tmp_path, monkeypatch):
    ways, opened = [], race.open_told

    def interrupt(loaded, runtime, precision, *rest):
        ways.append(precision)
        if precision == "bf16":
            signal.raise_signal(signal.SIGINT)
        return opened(loaded, runtime, precision, *rest)

    monkeypatch.setattr(race, "open_told", interrupt)
    ended = command(
        *(capfd, "bench", "--model", model, "--runtimes", "eager", "--precisions", "fp32,bf16,auto"),
        *("--batch", "1", "--json", tmp_path / "figures.json"),
    )
    assert ended.code == Exit.INTERRUPTED
    assert "interrupted: what was measured before is below\n" in ended.err
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    assert rows[0]["median_ms"] > 0
    assert rows[2]["skipped"] == race.CANCELLED
    assert ways == ["fp32", "bf16"]


@pytest.mark.parametrize("looks", [0, 10, 21], ids=["at once", "one by one", "overlapping"])
def test_the_timing_of_stages_is_cancelled_too(model, tmp_path, monkeypatch, looks):
    clip = write_clip(tmp_path / "clip.mp4", count=20)
    left = itertools.count(looks, -1)
    monkeypatch.setattr(Cancel, "asked", property(lambda _: next(left) <= 0))
    figures = bench.measure(str(model), [], [], [1], clip)
    assert figures.found["stages"] == []
    assert figures.found["end_to_end_fps"] is None
    assert [row.skipped for row in figures.rows] == [None]


def test_help_names_every_runtime(capfd):
    text = " ".join(command(capfd, "bench", "--help").out.split())
    assert f"Any of {','.join(RUNTIMES)}." in text
    assert f"Any of {','.join(PRECISIONS)}." in text


@pytest.mark.parametrize("words", [("--runtimes", "eager,tensort"), ("--precisions", "auto,int3")])
def test_names_are_refused_before_anything_is_timed(capfd, model, words):
    ended = command(capfd, "bench", "--model", model, "--batch", "1", *words)
    assert ended.code == Exit.USAGE
    assert ended.err.count("\n") == 1  # nothing was opened


@pytest.mark.parametrize("batch", ["", "0", "1,", "1,many", "-1"])
def test_batches_that_are_none_are_told_as_typed(capfd, model, batch):
    ended = command(capfd, "bench", "--model", model, "--batch", batch)
    assert ended.code == Exit.USAGE
    assert f"batch {batch!r} is not a list of numbers" in ended.err


def test_a_clip_that_cannot_be_read_ends_with_1(capfd, model, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    ended = command(capfd, "bench", "--model", model, "--video", tmp_path / "bad.mp4")
    assert ended.code == Exit.FAILED
    assert ended.err.splitlines()[-1].startswith("kptrack: bad.mp4")


def test_portrait_crops_show_the_face(model):
    crops = portrait_crops(load_model(model))
    assert crops.shape == (64, 32, 32, 3)
    # Skin in the middle: more red than blue, in every crop.
    middle = crops[:, 12:20, 12:20].astype(float).mean(axis=(1, 2))
    assert np.all(middle[:, 0] > middle[:, 2] + 10)
