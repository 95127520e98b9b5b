"""From a model to a built engine that is kept, found again and trusted: real, but for TensorRT itself."""

from __future__ import annotations

import dataclasses
import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from commands import write_model
from fake_trt import GPU, tensorrt_fixture  # noqa: F401

from engines import BuildCancelled, MissingCapability, load_model, open_engine
from engines import automatic as automatic_module
from engines.buckets import BatchProfile
from engines.build import build, build_and_keep, open_or_build, open_stored, target_of
from engines.engine import BuildError
from engines.parity import LIMIT_OF_SIDE, ParityError, generated_crops
from engines.store import Store, UnusableEngine

SMALL = BatchProfile(1, 2, 8)
CROPS = generated_crops(32, 11)


def quiet(phase: str, share: float | None) -> bool:
    return True


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors", sharp=1))


@pytest.fixture(scope="module")
def truth(model):
    return open_engine(model, "eager", "fp32", "cpu")(CROPS)


def said(caplog) -> list[str]:
    return [record.message for record in caplog.records if record.name.startswith("engines")]


@pytest.fixture
def target(tensorrt, model):
    return target_of(model, "fp32", "auto")


def test_a_built_engine_finds_what_eager_finds(tensorrt, model, target, truth):
    meta = build_and_keep(target, SMALL, Store(), quiet, None)
    engine = open_stored(target, Store())
    found = engine(CROPS)
    np.testing.assert_allclose(found.xy, truth.xy, atol=1e-4)
    np.testing.assert_allclose(found.score, truth.score, atol=1e-4)
    np.testing.assert_allclose(found.subject_score, truth.subject_score, atol=1e-4)
    assert engine.describe == f"TensorRT fp32 on {GPU.name} (tensorrt 11.0.0)"
    assert (meta.key.gpu, meta.key.driver, meta.key.batch) == (GPU.name, GPU.driver, "1:2:8")
    assert meta.parity.crops == 11
    assert meta.parity.p99_px < 1e-3
    (shapes,) = tensorrt.settings["arg_inputs"]
    assert [shapes[f"{name}_shape"] for name in ("min", "opt", "max")] == [(n, 3, 32, 32) for n in (1, 2, 8)]
    assert shapes["dtype"] is torch.float32
    engine.close()


def test_half_goes_in_and_float_comes_out(tensorrt, model):
    tensorrt.types["image"] = "HALF"
    half = target_of(model, "fp16", "auto")
    assert build(half, BatchProfile(1, 1, 2), quiet, CROPS).meta.parity.p99_px < LIMIT_OF_SIDE * 32


@pytest.mark.parametrize(
    ("types", "word"),
    [
        ({"image": "HALF", "output0": "FLOAT", "output1": "FLOAT", "output2": "FLOAT"}, "HALF"),
        ({"image": "FLOAT", "output0": "HALF", "output1": "FLOAT", "output2": "FLOAT"}, "HALF"),
        ({"image": "FLOAT", "output0": "FLOAT"}, "not"),
    ],
)
def test_an_engine_of_other_types_is_refused(tensorrt, target, types, word):
    tensorrt.types = types
    with pytest.raises(ParityError, match=f"refused.*{word}"):
        build_and_keep(target, SMALL, Store(), quiet, CROPS)
    assert Store().entries() == []


def test_an_engine_that_disagrees_is_refused_with_the_figure(tensorrt, target):
    tensorrt.shift_px = 2.0
    with pytest.raises(ParityError, match=r"refused.*2\.83 px"):
        build_and_keep(target, SMALL, Store(), quiet, CROPS)
    assert Store().entries() == []


def test_an_engine_whose_scores_disagree_is_refused_with_the_figure(tensorrt, target):
    tensorrt.shift_score = -0.2
    with pytest.raises(ParityError, match=r"refused, as 1 % of its scores are 0\.20 and more"):
        build_and_keep(target, SMALL, Store(), quiet, CROPS)
    assert Store().entries() == []


def test_a_plan_is_built_in_true_precision_and_for_the_memory_of_its_batch(tensorrt, target):
    build(target, SMALL, quiet, CROPS)
    assert tensorrt.settings["disable_tf32"] is True
    assert tensorrt.features == {"resize": True}


def test_what_tensorrt_rtx_made_is_let_go_of_in_the_other_order(tensorrt, model):
    tensorrt.toolkit = dataclasses.replace(tensorrt.toolkit, flavour="tensorrt-rtx")
    engine = open_or_build(target_of(model, "fp32", "auto"), Store(), quiet)
    engine(CROPS[:2])
    tensorrt.ended.clear()
    del engine  # not even closed
    assert tensorrt.ended == ["context", "context", "cache", "config", "engine"]


def test_a_build_tells_its_phases_and_how_far_they_are(target):
    told = []
    build(target, SMALL, lambda phase, share: told.append((phase, share)) or True, CROPS)
    assert [told[0], told[-1]] == [("exporting", None), ("comparing with eager fp32", None)]
    assert [share for phase, share in told if phase == "Timing"] == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize("when", ["exporting", "Timing", "comparing with eager fp32"])
def test_a_build_can_be_cancelled_at_any_time(tensorrt, target, when):
    with pytest.raises(BuildCancelled):
        build_and_keep(target, SMALL, Store(), lambda phase, share: phase != when, CROPS)
    assert Store().entries() == []
    # The way to the progress monitor is given back.
    assert tensorrt.interpreter()._populate_trt_builder_config().progress_monitor is None


def test_a_toolkit_without_a_way_to_the_monitor_builds_all_the_same(tensorrt, target, monkeypatch):
    del tensorrt.toolkit.torch_tensorrt.dynamo.conversion
    monkeypatch.setattr(tensorrt.interpreter, "_populate_trt_builder_config", lambda self: NoMonitor)
    assert build(target, SMALL, quiet, CROPS).meta.parity.p99_px < 1e-3


NoMonitor = SimpleNamespace(
    progress_monitor=SimpleNamespace(
        phase_start=lambda *_: None, step_complete=lambda *_: True, phase_finish=lambda *_: None
    )
)


def test_a_build_that_fails_says_what_tensorrt_said(tensorrt, target):
    logging.getLogger("torch_tensorrt [TensorRT Conversion Context]").setLevel(logging.CRITICAL)
    tensorrt.failure = "Error Code 10: could not find any implementation\nfor node"
    with pytest.raises(BuildError, match="^TensorRT builds no engine: Error Code 10.* for node$"):
        build(target, SMALL, quiet, CROPS)


def test_too_little_memory_builds_for_smaller_batches(tensorrt, target, caplog):
    tensorrt.room = 2
    assert build(target, SMALL, quiet, CROPS).meta.key.batch == "1:2:2"
    assert "out of GPU memory: building for at most 4 crops at once" in caplog.messages
    tensorrt.room = 0
    with pytest.raises(MissingCapability, match="memory is too small") as raised:
        build(target, SMALL, quiet, CROPS)
    assert raised.value.lacks == "memory"


# --- opening: what is there is used, what is not fit to be is built again


def test_an_engine_is_built_once(tensorrt, target):
    for _ in range(2):
        assert open_or_build(target, Store(), quiet).runtime == "tensorrt"
    assert len(tensorrt.plans) == 1


def test_a_damaged_engine_is_said_and_built_again(tensorrt, target, caplog):
    open_or_build(target, Store(), quiet)
    (entry,) = Store().entries()
    plan = Store().folder / entry.id / "plan"
    plan.write_bytes(b"x" * len(plan.read_bytes()))
    with pytest.raises(UnusableEngine, match="damaged"):
        open_stored(target, Store())
    open_or_build(target, Store(), quiet)
    assert said(caplog) == [f"engine {entry.id} is damaged: build it again"]
    assert open_stored(target, Store()) is not None


def test_an_engine_that_tensorrt_does_not_take_is_built_again(tensorrt, target, caplog):
    open_or_build(target, Store(), quiet)
    tensorrt.plans[b"plan 1"] = tensorrt.plans.pop(b"plan 0")
    tensorrt.plans[b"plan 2"] = tensorrt.plans[b"plan 1"]
    open_or_build(target, Store(), quiet)
    assert "does not run (TensorRT does not take the plan: magic tag does not match)" in caplog.text


def test_where_nothing_can_be_kept_the_engine_runs_all_the_same(target, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert open_or_build(target, Store(), quiet)(CROPS[:1]).xy.shape == (1, 68, 2)
    assert "the engine is not kept for the next time" in caplog.text


def test_a_disk_that_is_full_costs_the_next_start_not_this_one(tensorrt, target, monkeypatch, caplog):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Store, "save", full)
    assert open_or_build(target, Store(), quiet).runtime == "tensorrt"
    assert len(tensorrt.plans) == 1
    assert "not kept for the next time: [Errno 28] No space left" in caplog.text


def test_whoever_waited_takes_what_the_other_built(tensorrt, target):
    store = Store()
    other = store.locked()
    other.__enter__()

    def report(phase: str, share: float | None) -> bool:
        if phase == "waiting for another build":
            made = build(target, SMALL, quiet, CROPS)
            store.save(made.plan, made.meta)
            other.__exit__(None, None, None)
        return True

    open_or_build(target, store, report)
    assert len(tensorrt.plans) == 1


def test_waiting_for_another_build_can_be_cancelled(tensorrt, target):
    with Store().locked(), pytest.raises(BuildCancelled):
        open_or_build(target, Store(), lambda phase, share: "waiting" not in phase)


@pytest.fixture
def on_a_gpu(tensorrt, monkeypatch):
    """``auto`` believes in the pretended GPU; CUDA graphs are only named."""
    monkeypatch.setattr(automatic_module, "choose_device", lambda _: torch.device("cuda:0"))
    graphs = SimpleNamespace(
        CudaGraphEngine=lambda model, precision, device, reason: SimpleNamespace(describe=reason)
    )
    monkeypatch.setitem(sys.modules, "engines.cudagraph", graphs)
    return tensorrt


def test_auto_takes_a_built_engine_and_builds_none(on_a_gpu, model):
    assert open_engine(model, precision="fp32").describe == "no TensorRT engine was built"
    open_engine(model, "tensorrt", "fp32")
    assert open_engine(model, precision="fp32").describe.startswith("TensorRT fp32")
    assert "for this GPU" in open_engine(model, precision="bf16").describe
    on_a_gpu.toolkit.trt.__version__ = "11.1.0"
    assert "these versions" in open_engine(model, precision="fp32").describe
    assert len(on_a_gpu.plans) == 1


def test_auto_does_without_an_engine_that_is_damaged(on_a_gpu, model):
    open_engine(model, "tensorrt", "fp32")
    (entry,) = Store().entries()
    (Store().folder / entry.id / "plan").write_bytes(b"plan X")
    assert "damaged: build it again" in open_engine(model, precision="fp32").describe


def test_auto_on_a_processor_is_eager(model):
    assert open_engine(model, device="cpu").runtime == "eager"
