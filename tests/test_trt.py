"""The exported graph, what a machine without TensorRT is told, a real plan, and GPUs where there are some.

``REQUIRE_GPU=1`` turns the skips of the tests that need a GPU into failures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import write_model

from engines import MissingCapability, load_model, open_engine
from engines import gpu as gpu_module
from engines.buckets import BatchProfile
from engines.export import Graph, export
from engines.network import as_input
from engines.parity import LIMIT_OF_SIDE, generated_crops
from engines.trt import load_toolkit

CPU = torch.device("cpu")
SMALL = BatchProfile(1, 2, 8)
CROPS = generated_crops(32, 11)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors", sharp=1))


@pytest.fixture(scope="module")
def truth(model):
    return open_engine(model, "eager", "fp32", "cpu")(CROPS)


# --- the exported graph


@pytest.mark.parametrize(("precision", "limit_px"), [("fp32", 1e-4), ("fp16", LIMIT_OF_SIDE * 32)])
def test_the_exported_graph_finds_what_eager_finds(model, truth, precision, limit_px):
    program = export(model, precision, SMALL, CPU).module()
    for count in (1, 2, 3, 8):
        crops = as_input(torch.from_numpy(CROPS[:count]), Graph(model, precision).dtype).contiguous()
        with torch.no_grad():
            xy, score, subject = program(crops)
        assert {each.dtype for each in (xy, score, subject)} == {torch.float32}
        assert np.abs(xy.numpy() - truth.xy[:count]).max() < limit_px
        np.testing.assert_allclose(score.numpy(), truth.score[:count], atol=0.01)
        np.testing.assert_allclose(subject.numpy(), truth.subject_score[:count], atol=0.01)


def test_low_precision_ends_where_it_would_overflow(model):
    program = export(model, "fp16", SMALL, CPU)
    types: dict[str, set[torch.dtype]] = {}
    for node in program.graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload) and isinstance(node.meta["val"], torch.Tensor):
            types.setdefault(node.target.overloadpacket.__name__, set()).add(node.meta["val"].dtype)
    assert types["conv2d"] == {torch.float16}
    for name in ("mean", "sum", "square", "rsqrt", "softmax", "exp", "log", "sigmoid"):
        assert types[name] == {torch.float32}, name
    assert not {"batch_norm", "instance_norm"} & set(types)


def test_weights_are_in_plain_memory_order(model):
    program = export(model, "fp16", SMALL, CPU)
    assert all(each.is_contiguous() for each in program.state_dict.values())


def test_an_engine_for_one_batch_size_only(model, truth):
    program = export(model, "fp32", BatchProfile(1, 1, 1), CPU).module()
    with torch.no_grad():
        xy, *_ = program(as_input(torch.from_numpy(CROPS[:1])).contiguous())
    np.testing.assert_allclose(xy.numpy(), truth.xy[:1], atol=1e-4)


# --- what this machine lacks


@pytest.mark.parametrize("runtime", ["tensorrt", "cudagraph"])
def test_without_a_gpu_the_reason_is_one_line(model, monkeypatch, runtime):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(MissingCapability, match=f"^runtime {runtime} needs an NVIDIA GPU") as raised:
        open_engine(model, runtime)
    assert raised.value.lacks == "gpu"
    assert "CPU build" in str(raised.value)
    with pytest.raises(ValueError, match="not on device cpu"):
        open_engine(model, runtime, device="cpu")


def test_a_driver_that_is_too_old_is_the_reason(monkeypatch):
    def complain() -> bool:
        warnings.warn(
            "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040). "
            "Please update your GPU driver",
            stacklevel=1,
        )
        return False

    monkeypatch.setattr(torch.cuda, "is_available", complain)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(MissingCapability, match=r"\(CUDA initialization: The NVIDIA driver .* 11040\)\)$"):
        gpu_module.require_gpu("tensorrt", "auto")


def test_a_driver_is_unknown_where_there_is_none(monkeypatch):
    def absent(_name: str):
        raise OSError

    monkeypatch.setattr(gpu_module.ctypes, "CDLL", absent)
    assert gpu_module.driver_version() == "unknown"


@pytest.mark.parametrize("error", [AssertionError, OSError, RuntimeError, Exception])
def test_an_import_that_fails_anyhow_names_cause_and_remedy(tmp_path, monkeypatch, capsys, error):
    package = tmp_path / "torch_tensorrt"
    package.mkdir()
    lines = (
        f"print('import error')\nraise {error.__name__}('libnvinfer.so.11: cannot open\\nshared object file')"
    )
    (package / "__init__.py").write_text(lines)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch_tensorrt", raising=False)
    with pytest.raises(MissingCapability, match=r"libnvinfer.*pip install 'kptrack\[tensorrt\]'") as raised:
        load_toolkit()
    assert "\n" not in str(raised.value)
    assert raised.value.lacks == "tensorrt"
    assert capsys.readouterr().out == ""


# --- the real thing


@pytest.mark.skipif(find_spec("torch_tensorrt") is None, reason="needs the extra tensorrt-rtx; no GPU")
def test_every_operator_converts_to_a_real_half_precision_plan(model, tmp_path):
    file = write_model(tmp_path / "tiny.safetensors")
    command = [sys.executable, Path(__file__).with_name("rtx_plan.py"), file, "fp16"]
    root = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ends"] == [
        ["image", "HALF", [-1, 3, 32, 32]],
        ["output0", "FLOAT", [-1, 68, 2]],
        ["output1", "FLOAT", [-1, 68]],
        ["output2", "FLOAT", [-1]],
    ]
    assert set(found["convolutions"]) == {"HALF"}
    assert set(found["islands"]) == {"FLOAT"}
    assert found["plan_bytes"] > 10_000
    assert "Building engine" in found["phases"]
    assert found["share"][1] > 0.5
    assert found["cancelled"]


def gpu_or_skip() -> None:
    if torch.cuda.is_available():
        return
    if os.environ.get("REQUIRE_GPU") == "1":
        pytest.fail("REQUIRE_GPU=1, and PyTorch sees no GPU")
    pytest.skip("needs a GPU")


@pytest.mark.parametrize("runtime", ["cudagraph", "tensorrt"])
def test_on_a_gpu_every_batch_size_finds_what_eager_finds(model, truth, tmp_path, monkeypatch, runtime):
    gpu_or_skip()
    if runtime == "tensorrt" and find_spec("torch_tensorrt") is None:
        pytest.skip("needs the extra tensorrt or tensorrt-rtx")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    engine = open_engine(model, runtime)
    assert engine.precision == "fp16"
    for count in (0, 1, 2, 3, 5, 11):
        found = engine(CROPS[:count])
        assert found.xy.shape == (count, 68, 2)
        if count:
            distance = np.linalg.norm(found.xy - truth.xy[:count], axis=-1)
            assert np.percentile(distance, 99) < LIMIT_OF_SIDE * 32
    # Batches beyond the largest are split, and an earlier call leaves nothing behind.
    many = np.concatenate([CROPS] * 7)
    np.testing.assert_allclose(engine(many).xy[-11:], engine(CROPS).xy, atol=LIMIT_OF_SIDE * 32)
    engine.close()
    if runtime == "tensorrt":
        assert open_engine(model, "auto").runtime == "tensorrt"
