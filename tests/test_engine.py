"""One contract for every runtime that can run here, held against plain eager PyTorch in fp32."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from engines import MissingCapability, Model, open_engine
from engines import eager as module
from engines.engine import PRECISIONS, RUNTIMES
from engines.network import LandmarkNet, NetworkConfig
from engines.render import normalise, render
from engines.skeleton import CAT_HEAD

CONFIG = NetworkConfig(input_size=32, width=4, map_size=16)
SIZE = CONFIG.input_size
HEAD = [(-20, 0), (20, 0), (0, 25), (-40, -15), (-35, -45), (-12, -30), (12, -30), (35, -45), (40, -15)]
EDGES = torch.tensor(CAT_HEAD.edges)
WAYS = [
    pytest.param(runtime, precision, id=f"{runtime}-{precision}", marks=pytest.mark.slow if slow else ())
    for runtime in RUNTIMES
    for slow in [runtime not in ("auto", "eager")]
    for precision in (("auto", "fp32") if slow else ("auto", "fp32", "bf16"))
]


def drawn_heads(count, seed):
    """Crops of bright cats' heads on grey with some noise, and their joints in crop pixels."""
    rng = np.random.default_rng(seed)
    scale, middle = rng.uniform(0.45, 0.6, (count, 1, 1)), rng.uniform(40, 60, (count, 1, 2))
    joints = ((np.array(HEAD) * scale + middle) * SIZE / 100).astype(np.float32)
    lines = render(normalise(torch.from_numpy(joints), SIZE), EDGES, SIZE, 12.0).numpy()
    grey = 130 + 100 * lines[:, 0, ..., None] + rng.normal(0, 4, (count, SIZE, SIZE, 3))
    return np.clip(grey, 0, 255).astype(np.uint8), joints


@pytest.fixture(scope="module")
def model():
    """A model that has learnt to find such heads, in two seconds.

    Random weights would not do: what bf16 does to their points is neither small nor like anything
    that a trained network does.
    """
    torch.manual_seed(0)
    network = LandmarkNet(CAT_HEAD, CONFIG).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for step in range(60):
        crops, joints = drawn_heads(8, seed=step)
        points = normalise(torch.from_numpy(joints), SIZE)
        wanted = render(points, EDGES, SIZE)
        drawn = network.drawer(torch.from_numpy(crops).permute(0, 3, 1, 2) / 127.5 - 1)
        loss = (drawn - wanted).square().mean()
        loss = loss + sum((network.regressor(image) - points).abs().mean() for image in (drawn, wanted))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Model(CAT_HEAD, CONFIG, 1.4, network.state_dict(), {})


@pytest.fixture(scope="module")
def heads():
    return drawn_heads(6, seed=1000)


@pytest.fixture(scope="module")
def reference(model):
    return open_engine(model, "eager", "fp32", "cpu")


@pytest.fixture(scope="module")
def opened(model):
    """Engines by runtime and precision, each opened once; what cannot run here is skipped."""
    engines = {}

    def open_one(runtime, precision):
        if (runtime, precision) not in engines:
            try:
                engines[runtime, precision] = open_engine(model, runtime, precision)
            except MissingCapability as missing:
                if runtime in ("auto", "eager"):
                    raise
                pytest.skip(str(missing))
        return engines[runtime, precision]

    yield open_one
    for engine in engines.values():
        engine.close()


def apart(one, other):
    """Distances between points, in pixels of a crop of 128."""
    return np.linalg.norm(one - other, axis=-1) * 128 / SIZE


def test_the_model_has_learnt_something(reference, heads):
    crops, joints = heads
    points = reference(crops)
    assert apart(points.xy, joints).mean() < 4
    # It follows the head, rather than to know where heads are.
    assert apart(joints, joints.mean(axis=0)).mean() > 8
    assert points.subject_score.min() > 0.9


@pytest.mark.parametrize(("runtime", "precision"), WAYS)
def test_every_runtime_keeps_the_contract(opened, reference, heads, runtime, precision):
    engine = opened(runtime, precision)
    assert (engine.skeleton, engine.input_size, engine.crop_scale) == (CAT_HEAD, SIZE, 1.4)
    assert engine.runtime in RUNTIMES
    assert engine.precision in PRECISIONS[1:]
    assert precision in ("auto", engine.precision)
    assert "\n" not in engine.describe
    assert engine.precision in engine.describe
    crops, wanted = heads[0], reference(heads[0])
    before = crops.copy()
    for count in (6, 1, 0):
        points = engine(crops[:count])
        assert [each.shape for each in (points.xy, points.score, points.subject_score)] == [
            *((count, 9, 2), (count, 9), (count,))
        ]
        for found in (points.xy, points.score, points.subject_score):
            assert (type(found), found.dtype) == (np.ndarray, np.float32)
        for score in (points.score, points.subject_score):
            assert np.all((score >= 0) & (score <= 1))
        if count:
            assert apart(points.xy, wanted.xy[:count]).mean() < (0.02 if engine.precision == "fp32" else 0.3)
            assert points.score == pytest.approx(wanted.score[:count], abs=0.02)
            assert points.subject_score == pytest.approx(wanted.subject_score[:count], abs=0.02)
    assert np.array_equal(crops, before)


@pytest.mark.parametrize(("runtime", "precision"), WAYS)
def test_results_are_the_callers(opened, heads, runtime, precision):
    engine, crops = opened(runtime, precision), heads[0]
    first = engine(crops[:1])
    kept = first.xy.copy()
    second = engine(crops[1:2])
    assert np.array_equal(first.xy, kept)
    second.xy[:] = second.score[:] = second.subject_score[:] = 0
    assert np.array_equal(engine(crops[:1]).xy, kept)


@pytest.mark.parametrize(("runtime", "precision"), WAYS)
def test_crops_in_any_memory_order(opened, heads, runtime, precision):
    engine, crops = opened(runtime, precision), heads[0][:1]
    wanted = engine(crops).xy
    turned = np.ascontiguousarray(crops[:, ::-1, :, ::-1])[:, ::-1, :, ::-1]
    locked = crops.copy()
    locked.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(engine(turned).xy, wanted)
        assert np.array_equal(engine(locked).xy, wanted)


def test_explicit_eager_fp32_is_the_network_as_it_was_trained(model, reference, heads):
    # Opening another engine of the same model must not have folded this one's batch norm.
    open_engine(model, "auto", "fp32", "cpu")
    with torch.no_grad():
        xy, score, subject = model.network()(torch.from_numpy(heads[0]))
    points = reference(heads[0])
    assert np.array_equal(points.xy, xy.numpy())
    assert np.array_equal(points.score, score.numpy())
    assert np.array_equal(points.subject_score, subject.numpy())
    assert reference.describe == "eager fp32 on cpu (as asked; as trained)"
    kinds = [type(each) for each in reference._network.modules()]
    assert kinds.count(nn.BatchNorm2d) == 15


def test_auto_folds_batch_norm(model):
    engine = open_engine(model, device="cpu")
    assert engine.runtime == "eager"
    assert "batch norm folded" in engine.describe
    assert nn.BatchNorm2d not in [type(each) for each in engine._network.modules()]


def test_where_weights_cannot_be_packed_auto_finds_the_same(model, monkeypatch, heads):
    packed = open_engine(model, device="cpu")
    monkeypatch.setattr(module, "can_pack", lambda dtype: False)
    plain = open_engine(model, device="cpu")
    assert nn.Conv2d in [type(each) for each in plain._network.modules()]
    assert apart(plain(heads[0]).xy, packed(heads[0]).xy).mean() < 0.3


def test_programs_are_compiled_for_doubled_sizes_alone(model, reference, heads, monkeypatch):
    sizes = []

    def uncompiled(network, dynamic):
        def run(crops):
            sizes.append(len(crops))
            return network(crops)

        return run

    monkeypatch.setattr(torch, "compile", uncompiled)
    engine = open_engine(model, "compile", "fp32", "cpu")
    wanted = reference(heads[0])
    for count in (3, 1, 0, 2, 5, 4):
        points = engine(heads[0][:count])
        assert points.xy == pytest.approx(wanted.xy[:count], abs=0.02)
        assert points.score.shape == (count, 9)
    assert set(sizes) == {1, 2, 4, 8}


@pytest.mark.slow
def test_models_compiled_in_one_process_keep_their_own_weights(model, heads):
    weights = {key: value * 1.1 if value.dim() == 4 else value for key, value in model.weights.items()}
    models = [model, dataclasses.replace(model, weights=weights)]
    wanted = [open_engine(each, "eager", "fp32", "cpu")(heads[0][:1]).xy for each in models]
    assert apart(*wanted).max() > 0.1
    compiled = [open_engine(each, "compile", "fp32", "cpu") for each in models]
    for truth, engine in zip(wanted, compiled, strict=True):
        assert apart(engine(heads[0][:1]).xy, truth).max() < 0.02


@pytest.mark.parametrize(
    ("onednn", "native", "wanted"),
    [
        pytest.param(True, {"avx512_bf16": True}, "bf16", id="bf16"),
        pytest.param(True, {"avx512_bf16": False}, "fp32", id="imitated"),
        pytest.param(True, {"neon": True}, "bf16", id="ARM"),
        pytest.param(False, {"avx512_bf16": True}, "fp32", id="not in oneDNN"),
    ],
)
def test_auto_takes_bf16_where_the_processor_has_it(monkeypatch, onednn, native, wanted):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: native)
    has = "bf16" if wanted == "bf16" else "no bf16"
    assert module.choose_precision("auto", torch.device("cpu")) == (wanted, f"the processor has {has}")


@pytest.mark.parametrize(
    ("kind", "precision", "tf32"), [("cuda", "fp32", False), ("cuda", "fp16", True), ("cpu", "fp32", True)]
)
def test_fp32_is_fp32_on_a_gpu_too(model, monkeypatch, kind, precision, tf32):
    seen = []
    monkeypatch.setattr(module, "run", lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    engine = open_engine(model, "eager", "fp32", "cpu")
    monkeypatch.setattr(engine, "_device", torch.device(kind))
    monkeypatch.setattr(engine, "precision", precision)
    engine(np.zeros((1, 32, 32, 3), np.uint8))
    assert seen == [tf32]
    assert torch.backends.cudnn.allow_tf32


def test_an_engine_says_what_it_runs_in_and_why(model):
    precision, reason = module.choose_precision("auto", torch.device("cpu"))
    engine = open_engine(model, device="cpu")
    assert engine.precision == precision
    assert engine.describe == f"eager {precision} on cpu ({reason}; batch norm folded)"


def test_a_model_a_file_or_a_path(model, tmp_path):
    path = tmp_path / "cat.safetensors"
    model.save(path)
    crops, _ = drawn_heads(2, seed=5)
    for source in (path, str(path)):
        engine = open_engine(source, "eager", "fp32", "cpu")
        # Half precision in the file.
        assert apart(engine(crops).xy, open_engine(model, "eager", "fp32", "cpu")(crops).xy).max() < 0.3
    with pytest.raises(ValueError, match="no model 'nobody'"):
        open_engine("nobody")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"runtime": "fast"}, f"runtime 'fast' is not one of {', '.join(RUNTIMES)}"),
        ({"precision": "int8"}, f"precision 'int8' is not one of {', '.join(PRECISIONS)}"),
        *(
            ({"device": device}, f"device '{device}' is not auto, cpu or cuda:N")
            for device in ("tpu", "mps", "cuda:x", "cuda:-1", "")
        ),
    ],
)
def test_what_does_not_exist_is_a_value_error_with_the_choices(model, options, said):
    with pytest.raises(ValueError, match=r"is not") as caught:
        open_engine(model, **options)
    assert str(caught.value) == said


@pytest.mark.parametrize("runtime", ["eager", "compile"])
def test_a_gpu_that_is_not_there_is_a_missing_capability(model, runtime):
    number = max(7, torch.cuda.device_count())
    with pytest.raises(MissingCapability, match=f"no device cuda:{number}: PyTorch sees"):
        open_engine(model, runtime, device=f"cuda:{number}")


def test_compiling_without_a_compiler_is_a_missing_capability(model, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(MissingCapability, match="install g"):
        open_engine(model, "compile", device="cpu")


def test_auto_device_is_the_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert module.choose_device("auto") == torch.device("cuda")
    assert module.choose_precision("auto", torch.device("cuda"))[0] == "fp16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert module.choose_device("auto") == torch.device("cpu")
