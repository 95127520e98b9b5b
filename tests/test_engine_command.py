"""``kptrack engine`` and ``--runtime tensorrt``, on a fake TensorRT."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import pytest
from clips import write_clip
from commands import command, write_model
from fake_trt import GPU, tensorrt_fixture  # noqa: F401

from engines import BuildCancelled, MissingCapability, build, load_model
from engines.store import Store
from ui import engines as module
from ui.failures import Exit

FP32 = ("--precision", "fp32", "--batch", "1:2:4")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture
def built(capfd, tensorrt, model):
    """The id of an engine in the store."""
    return json.loads(command(capfd, "engine", "build", model, *FP32, "--json").out)["id"]


def lack_a_gpu(monkeypatch):
    def refuse(*_: object) -> None:
        raise MissingCapability("runtime tensorrt needs an NVIDIA GPU (PyTorch sees none)", lacks="gpu")

    monkeypatch.setattr(build, "require_gpu", refuse)


def test_help_says_what_there_is(capfd):
    ended = command(capfd, "engine", "--help")
    assert ended.code == Exit.FINE
    for words in ("build", "list", "info", "remove", "clean"):
        assert f" {words} " in ended.out
        assert command(capfd, "engine", words, "--help").code == Exit.FINE


def test_building_tells_what_it_does_and_keeps_the_engine(capfd, tensorrt, model):
    ended = command(capfd, "engine", "build", model, *FP32)
    assert ended.code == Exit.FINE
    for line in ("exporting …", "Timing …", "Timing, 50%", "Timing, 100%", "comparing with eager fp32 …"):
        assert f"building: {line}\n" in ended.err
    (entry,) = Store().entries()
    assert f"{entry.id}  tiny fp32, batch 1:2:4, {GPU.name}, tensorrt 11.0.0" in ended.out
    assert "px from eager fp32" in ended.out
    assert command(capfd, "engine", "list").out == ended.out.replace("\n", "; runs here\n")


def test_json_has_all_that_is_known(capfd, tensorrt, model, built):
    (listed,) = json.loads(command(capfd, "engine", "list", "--json").out)
    assert listed["id"] == built
    assert listed["problem"] is None
    assert (listed["gpu"], listed["capability"], listed["driver"]) == (GPU.name, GPU.capability, GPU.driver)
    assert (listed["flavour"], listed["tensorrt"], listed["torch_tensorrt"]) == (
        "tensorrt",
        "11.0.0",
        "2.13.0",
    )
    assert set(listed["parity"]) == {"crops", "mean_px", "p99_px", "max_px", "p99_score"}
    assert len(listed["plan_sha256"]) == len(listed["model"]) == 64
    told = command(capfd, "engine", "info", model, "--json")
    assert told.code == Exit.FINE
    assert json.loads(told.out) == [{**listed, "here": "runs here"}]
    assert f"plan_sha256: {listed['plan_sha256']}" in command(capfd, "engine", "info", built).out


def test_an_engine_of_something_else_says_what(capfd, tensorrt, built, monkeypatch):
    tensorrt.toolkit.trt.__version__ = "11.1.0"
    assert (
        "does not run here: built for tensorrt 11.0.0, here 11.1.0\n" in command(capfd, "engine", "list").out
    )
    lack_a_gpu(monkeypatch)
    listed = command(capfd, "engine", "list")
    assert listed.code == Exit.FINE
    assert "does not run here: runtime tensorrt needs an NVIDIA GPU" in listed.out


def test_without_a_gpu_a_build_ends_with_4_and_one_line(capfd, tensorrt, model, monkeypatch):
    lack_a_gpu(monkeypatch)
    ended = command(capfd, "engine", "build", model)
    assert ended.code == Exit.INCAPABLE
    assert ended.err == "kptrack: runtime tensorrt needs an NVIDIA GPU (PyTorch sees none)\n"


def test_an_engine_that_disagrees_ends_with_5_and_the_figure(capfd, tensorrt, model):
    tensorrt.shift_px = 1.0
    ended = command(capfd, "engine", "build", model, *FP32)
    assert ended.code == Exit.CHECK_FAILED
    assert "1.41 px" in ended.err.splitlines()[-1]
    assert Store().entries() == []


def test_a_build_that_fails_or_cannot_be_kept_ends_with_1(capfd, tensorrt, model, tmp_path):
    tensorrt.failure = "Error Code 10"
    ended = command(capfd, "engine", "build", model, *FP32)
    assert (ended.code, ended.err.splitlines()[-1]) == (
        Exit.FAILED,
        "kptrack: TensorRT builds no engine: Error Code 10",
    )
    Store().folder.rename(tmp_path / "elsewhere")
    Store().folder.write_text("a file")
    ended = command(capfd, "engine", "build", model, *FP32)
    assert ended.code == Exit.FAILED
    assert ended.err == f"kptrack: {Store().folder}: File exists\n"
    assert not tensorrt.plans


@pytest.mark.parametrize(
    "words",
    [
        ["build", "no-such-model"],
        ["build", "--batch", "8"],
        ["build", "--precision", "int4"],
        ["remove", "no"],
    ],
)
def test_what_makes_no_sense_ends_with_2(capfd, tensorrt, model, words):
    words = [*words, str(model)] if "--" in "".join(words) else words
    ended = command(capfd, "engine", *words)
    assert ended.code == Exit.USAGE
    assert ended.err.count("\n") == 1


def test_engines_are_removed_by_model_and_by_id(capfd, tensorrt, model, built):
    assert command(capfd, "engine", "remove", "0000").code == Exit.USAGE
    assert command(capfd, "engine", "remove", built).out == f"removed {built}\n"
    built = json.loads(command(capfd, "engine", "build", model, *FP32, "--json").out)["id"]
    assert json.loads(command(capfd, "engine", "remove", model, "--json").out) == {"removed": [built]}
    ended = command(capfd, "engine", "list")
    assert (ended.out, ended.code) == ("", Exit.FINE)
    assert "no engines in" in ended.err


def test_cleaning_keeps_what_may_still_run(capfd, tensorrt, model, built, monkeypatch):
    (Store().folder / ".part-of-a-killed-build").mkdir()
    assert command(capfd, "engine", "clean").out == "removed .part-of-a-killed-build\n"
    lack_a_gpu(monkeypatch)
    assert command(capfd, "engine", "clean").out == ""
    (Store().folder / built / "meta.json").write_text("{}")
    assert command(capfd, "engine", "clean").out == f"removed {built}\n"


def test_cleaning_removes_a_file_that_is_none_of_ours(capfd, tensorrt, model, built):
    (Store().folder / "README").write_text("?")
    assert command(capfd, "engine", "clean").out == "removed README\n"
    assert [entry.id for entry in Store().entries()] == [built]


def test_cleaning_removes_what_an_update_left_behind(capfd, tensorrt, model, built):
    tensorrt.toolkit.torch_tensorrt.__version__ = "2.14.0"
    assert command(capfd, "engine", "clean").out == f"removed {built}\n"
    assert json.loads(command(capfd, "engine", "clean", "--json").out) == {"removed": []}


def test_a_damaged_engine_is_named_and_ends_with_5(capfd, tensorrt, model, built):
    plan = Store().folder / built / "plan"
    plan.write_bytes(b"!" * len(plan.read_bytes()))
    ended = command(capfd, "engine", "info", model)
    assert ended.code == Exit.CHECK_FAILED
    assert f"problem: engine {built} is damaged: build it again\n" in ended.out


def test_ctrl_c_cancels_a_build_and_leaves_nothing(capfd, tensorrt, model, monkeypatch):
    tensorrt.steps = 10**9
    begun = threading.Event()
    real = module.tell

    def tell(say, cancelled):
        report = real(say, cancelled)

        def heard(phase, share):
            begun.set()
            time.sleep(0.001)
            return report(phase, share)

        return heard

    monkeypatch.setattr(module, "tell", tell)

    def interrupt() -> None:
        begun.wait()
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    ended = command(capfd, "engine", "build", model, *FP32)
    assert ended.code == Exit.INTERRUPTED
    assert "cancelling the build; Ctrl-C again leaves at once\n" in ended.err
    assert ended.err.endswith("kptrack: the build was cancelled\n")
    assert Store().entries() == []


def test_process_builds_once_and_then_uses_what_was_built(capfd, tensorrt, model, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", count=3)
    told = []
    for number in range(2):
        ended = command(
            *(capfd, "process", clip, "-o", tmp_path / f"{number}.mp4", "--model", model),
            *("--runtime", "tensorrt", "--precision", "fp32"),
        )
        assert ended.code == Exit.FINE, ended.err
        told.append(ended.err)
    assert "building: exporting …\n" in told[0]
    assert "building" not in told[1]
    assert f"model tiny: TensorRT fp32 on {GPU.name}" in told[1]


def test_whoever_asks_to_end_ends_a_build_in_a_thread(tensorrt, model):
    with pytest.raises(BuildCancelled):
        module.open_told(load_model(model), "tensorrt", "fp32", "auto", lambda _: None, asked=lambda: True)
