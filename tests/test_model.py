"""Model files: what goes in comes out, and what is wrong with one is said in a line."""

from __future__ import annotations

import errno
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from engines import model as module
from engines.model import FORMAT, Model, load_model
from engines.network import LandmarkNet, NetworkConfig, initialise
from engines.skeleton import CAT_HEAD

CONFIG = NetworkConfig(input_size=32, width=2, map_size=16)
CARD = {"data": "none: random weights", "numbers": {"nme": [1.5, None]}, "licence": "für Tests"}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = LandmarkNet(CAT_HEAD, CONFIG)
    initialise(network)
    network.point_calibration.copy_(torch.tensor([0.25, 1.5]))
    return Model(CAT_HEAD, CONFIG, 1.4, network.state_dict(), CARD)


@pytest.fixture
def file(model, tmp_path):
    path = tmp_path / "cat.safetensors"
    model.save(path)
    return path


def rewrite(path, change=lambda described: None, weights=lambda weights: None, kind=FORMAT):
    """Save a model file again with its description and weights changed in place."""
    with safe_open(path, framework="pt") as opened:
        described = json.loads(opened.metadata()["kptrack"])
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (not a dict)
    change(described)
    weights(tensors)
    save_file(tensors, path, metadata={"format": kind, "kptrack": json.dumps(described)})


def refusal(source):
    """The one line with which a file is refused."""
    with pytest.raises(ValueError, match=r"\S") as caught:
        load_model(source)
    assert caught.type is ValueError
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 500
    return said


def test_what_goes_in_comes_out(model, file):
    loaded = load_model(file)
    assert loaded == replace(
        model, weights=loaded.weights, name="cat", digest=hashlib.sha256(file.read_bytes()).hexdigest()
    )
    assert loaded.weights.keys() == model.weights.keys()
    for key, value in model.weights.items():
        kept = loaded.weights[key]
        assert kept.dtype == (torch.float16 if value.is_floating_point() else value.dtype)
        assert torch.equal(kept.float(), value.half().float())
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_a_loaded_model_saves_to_the_same_content(file, tmp_path):
    first = load_model(file)
    first.save(tmp_path / "again.safetensors")
    again = load_model(tmp_path / "again.safetensors")
    assert again.card == first.card
    assert all(torch.equal(again.weights[key], value) for key, value in first.weights.items())


def test_saving_replaces_what_was_there(model, file):
    replace(model, crop_scale=2.0).save(file)
    assert load_model(file).crop_scale == 2.0
    assert load_model(file).digest == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_full_disk_leaves_what_was_there_and_nothing_else(model, file, monkeypatch):
    before = file.read_bytes()

    def write_bytes(path, data):
        with path.open("wb") as part:
            part.write(data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match="No space left"):
        replace(model, crop_scale=2.0).save(file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_the_same_content_makes_the_same_file(model, file, tmp_path):
    other = tmp_path / "other.safetensors"
    turned_round = dict(reversed(model.weights.items()))
    for _ in range(8):  # the library has the metadata in any order
        replace(model, weights=turned_round).save(other)
        assert other.read_bytes() == file.read_bytes()
    load_model(file).save(other)
    assert other.read_bytes() == file.read_bytes()


def test_weights_in_any_memory_order_are_saved(model, file):
    turned = {
        key: value.to(memory_format=torch.channels_last) if value.ndim == 4 else value
        for key, value in model.weights.items()
    }
    assert not all(value.is_contiguous() for value in turned.values())
    before = load_model(file).weights
    replace(model, weights=turned).save(file)
    assert all(torch.equal(value, before[key]) for key, value in load_model(file).weights.items())


def test_every_network_of_a_model_is_fresh_float32_and_for_evaluation(file):
    model = load_model(file)
    first = model.network()
    assert not any(each.training for each in first.modules())
    assert all(value.dtype == torch.float32 for value in first.parameters())
    wanted = {key: value.float() for key, value in model.weights.items()}
    for value in first.parameters():
        value.data.zero_()
    state = model.network().state_dict()
    assert all(torch.equal(state[key].float(), value) for key, value in wanted.items())


def test_by_name_or_by_file(monkeypatch, file):
    monkeypatch.setattr(module, "WEIGHTS", file.parent)
    assert module.shipped_models() == {"cat": file}
    digests = {load_model(source).digest for source in ("cat", file, str(file))}
    assert len(digests) == 1


def test_an_unknown_name_is_answered_with_those_that_are_known(monkeypatch, file):
    monkeypatch.setattr(module, "WEIGHTS", file.parent)
    assert refusal("dog") == "no model 'dog': give a file or a shipped model (shipped: cat)"
    assert "no model" in refusal(file.parent)
    assert "no model" in refusal("")


@pytest.mark.parametrize("kept", [0, 4, 8, 200, -1, -1000])
def test_a_truncated_file(file, kept):
    file.write_bytes(file.read_bytes()[:kept])
    assert refusal(file).startswith("cat.safetensors is not a readable safetensors file")


@pytest.mark.parametrize("content", [b"no model at all, just text", b"PK\x03\x04" * 99, b"\x00" * 999])
def test_a_file_that_is_something_else(file, content):
    file.write_bytes(content)
    said = refusal(file)
    assert said.startswith("cat.safetensors is not a readable safetensors file")
    assert said.endswith("fetch it again")


def test_safetensors_of_another_program(file):
    save_file({"weight": torch.zeros(2)}, file)
    assert refusal(file) == "cat.safetensors is not a kptrack model (format None, not 'kptrack-1')"
    save_file({"weight": torch.zeros(2)}, file, metadata={"format": "pt"})
    assert "not a kptrack model (format 'pt'" in refusal(file)


def test_another_version_of_the_format(file):
    rewrite(file, kind="kptrack-2")
    assert "format 'kptrack-2', not 'kptrack-1'" in refusal(file)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"skeleton": "dog"}, "skeleton 'dog' is not one of face68, cat_head"),
        ({"skeleton": "human"}, "its joints are not those of skeleton human"),
        ({"joints": [*CAT_HEAD.joints[::-1]]}, "its joints are not those of skeleton cat_head"),
        ({"network": {"input_size": 100}}, "input_size 100"),
        ({"network": {"map_size": 0}}, "map_size 0"),
        ({"network": {"depth": 3}}, "depth"),
        ({"network": {"input_size": "32"}}, "a size of the network is '32', not a whole number"),
        ({"network": {"input_size": 32.0, "width": 2, "map_size": 16}}, "is 32.0, not a whole number"),
        ({"kind": "student", "network": {"input_size": 32.0}}, "is 32.0, not a whole number"),
        ({"network": None}, "does not fit"),
        ({"crop_scale": "wide"}, "wide"),
        ({"card": 7}, "its card is 7, not a table"),
    ],
)
def test_another_skeleton_or_network(file, change, said):
    rewrite(file, lambda described: described.update(change))
    found = refusal(file)
    assert found.startswith("cat.safetensors does not fit this version of kptrack")
    assert found.endswith("export it again")
    assert said in found


@pytest.mark.parametrize("key", ["skeleton", "joints", "network", "crop_scale", "card"])
def test_a_description_without_something(file, key):
    rewrite(file, lambda described: described.pop(key))
    assert key in refusal(file)


@pytest.mark.parametrize("text", [None, "{", "[]", '"text"', "null"])
def test_a_description_that_is_none(file, text):
    metadata = {"format": FORMAT} if text is None else {"format": FORMAT, "kptrack": text}
    save_file({"weight": torch.zeros(2)}, file, metadata=metadata)
    assert "does not fit this version of kptrack" in refusal(file)


BIAS = "drawer.output.bias"


@pytest.mark.parametrize(
    "change",
    [
        lambda weights: weights.pop(BIAS),
        lambda weights: weights.update({"drawer.output.bias2": torch.zeros(1)}),
        lambda weights: weights.update({BIAS: torch.zeros(2)}),
    ],
    ids=["missing", "unknown", "another shape"],
)
def test_weights_that_do_not_fit(file, change):
    rewrite(file, weights=change)
    assert f"1 weights are missing, unknown or of another shape, {BIAS}" in refusal(file)


def test_weights_of_another_width(file):
    rewrite(file, lambda described: described["network"].update(width=4))
    assert "weights are missing, unknown or of another shape" in refusal(file)
