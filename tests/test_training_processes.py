"""Two processes that train one model: they do what one does, in step, and only one of them writes."""

from __future__ import annotations

import dataclasses
import io
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import redirect_stderr
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from faces import TINY, tiny_config, write_data
from people import poses

from engines import load_model
from engines.skeleton import FACE68, HUMAN
from training import checkpoint
from training.__main__ import main
from training.images import Pictures
from training.learner import Learner
from training.perceptual import PerceptualLoss, Pixels
from training.poses import load_prior
from training.processes import ALONE, Joined, Processes, ToldElsewhere, open_processes
from training.projection import project
from training.puppets import Puppets
from training.run import Run, TrainingStopped
from training.train import train

if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
    pytest.skip("this PyTorch has no torch.distributed with gloo", allow_module_level=True)

CPU = torch.device("cpu")
STEPS = tiny_config("pool=6", "batch=6")  # a pool that is soon full, halves of an odd number
SHORT = tiny_config("regressor_steps=2", "warm_start_steps=1", "steps=3", "pool=6")
WAYS = ("alike", "still", "halves")
PATIENCE_S = 300


def make_cheap(patch: pytest.MonkeyPatch) -> None:
    """Leave out of a run what costs time and is not shared: nets that judge and pictures to look at."""
    patch.setattr("training.train.open_perceptual", lambda path: PerceptualLoss(Pixels(), taps=1))
    patch.setattr("training.train.label_free_score", lambda *_: {})
    patch.setattr("training.train.write_grid", lambda *_: None)
    patch.setattr("training.regressor.reading_error", lambda *_: 0.0)


class Alike(Joined):
    """Each has all of the batch, and no share of it: the mean over both is then what either has."""

    def __init__(self):
        super().__init__()
        self.count = 1

    def share(self, everything):
        return everything

    def whole(self, share):
        return share

    def mean(self, value):
        return super().mean(value) / 2


def steps(data: Path, way: str, together: Processes) -> dict:
    """Losses of a few steps, the gradients of the first and the state after the last.

    Two are fed the same batch (``alike``), or halves of one: with the statistics of batch norm fixed
    (``still``), or not (``halves``).
    """
    shares = together if way in ("still", "halves") else ALONE
    pictures = Pictures(data / "train", STEPS, processes=shares)
    prior = load_prior(data / "prior", FACE68, STEPS)
    found: dict = {"losses": []}
    with pytest.MonkeyPatch.context() as patch:
        # bf16 is rounded differently in batches of another size.
        patch.setattr("training.learner.autocast", lambda device: torch.autocast("cpu", enabled=False))
        perceptual = PerceptualLoss(Pixels(), taps=1)
        learner = Learner(STEPS, FACE68, torch.from_numpy(prior.mean), perceptual, CPU, together)
        if way == "still":
            learner.drawer.eval()
            learner.decoder.eval()
        for number in range(-1, 3):
            batch = pictures.batch(number + 1)
            batch = dataclasses.replace(batch, trusted=(batch.boxes[:, 0] > 47).float())
            real = shares.share(prior.sample(STEPS.batch, np.random.default_rng(number + 1)))
            losses = learner.step(number, batch, real) if number > 0 else learner.warm_step(number, batch)
            found["losses"].append({name: together.mean(each).item() for name, each in losses.items()})
            if number == 1:
                found["gradients"] = {
                    f"{net}.{name}": each.grad.clone()
                    for net in ("drawer", "decoder", "discriminator", "regressor")
                    for name, each in getattr(learner, net).named_parameters()
                }
    return {**found, "state": tensors_of(learner.state_dict())}


def tensors_of(state: object, path: str = "") -> dict[str, torch.Tensor]:
    """All tensors in nested dictionaries and lists, by where they are."""
    if isinstance(state, torch.Tensor):
        return {path: state.clone()}
    pairs = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else ()
    return {name: each for key, value in pairs for name, each in tensors_of(value, f"{path}/{key}").items()}


def runs(data: Path, folder: Path, together: Processes) -> dict:
    """How whole runs of two processes end; ``folder/one`` holds the beginning of one process's run."""
    found: dict = {}

    def outcome(name: str, resume: bool = False, config=SHORT, out=None) -> None:
        written: list[str] = []
        end: bool | tuple[str, str]
        save = checkpoint.save

        def noted(path, *rest):
            written.append(path.name)
            save(path, *rest)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoint, "save", noted)
            try:
                end = train(Run(data, out or folder / name, None, ""), config, resume, CPU, None, together)
            except (ValueError, OSError, TrainingStopped, ToldElsewhere) as error:
                end = (type(error).__name__, str(error))
        found[name] = SimpleNamespace(end=end, written=written)

    outcome("one", resume=True)
    second = together.rank == 1
    step = Learner.step

    def disturbed(self, number, batch, poses):
        if second and number == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, number, batch, poses)

    def broken(self, number, batch, poses):
        losses = step(self, number, batch, poses)
        return {**losses, "cycle": torch.tensor(float("nan"))} if second and number == 2 else losses

    def full(path, *rest):
        raise OSError(f"{path.name} could not be written")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "step", disturbed)
        outcome("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Learner, "step", broken)
        outcome("broken")
    outcome("apart", resume=True, out=folder / ("nowhere" if second else "one"))
    outcome("uneven", config=tiny_config("batch=5"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", full)
        outcome("full")
    return found


def member(rank: int, ports: tuple[int, int], data: Path, folder: Path) -> None:
    """One of the two processes; what it has found goes to a file."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(ports[0]),
    )
    found: dict = {}
    with pytest.MonkeyPatch.context() as patch:
        make_cheap(patch)
        with open_processes("cpu") as (together, device):
            assert device == CPU
            for way in WAYS:
                found[way] = steps(data, way, Alike() if way == "alike" else together)
            found["runs"] = runs(data, folder, together)
    os.environ["MASTER_PORT"] = str(ports[1])
    line = ["train", "face-lite", "--data", str(data), "--out", str(folder / "line"), "--set", "batch=5"]
    with redirect_stderr(io.StringIO()) as said:
        found["code"] = main(line)
    found["said"] = said.getvalue()
    torch.save(found, folder / f"{rank}.pt")


def free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("faces"))


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    make_cheap(monkeypatch)


@pytest.fixture(scope="module")
def both(data, tmp_path_factory):
    """What two processes have found, ``ranks``, beside what one finds, ``one``, all in one ``folder``."""
    folder = tmp_path_factory.mktemp("both")
    with pytest.MonkeyPatch.context() as patch:
        make_cheap(patch)
        assert train(Run(data, folder / "one", None, ""), SHORT, False, CPU, stop_at=2)
    start, ports, threads = multiprocessing.get_context("spawn"), free_ports(), torch.get_num_threads()
    members = [start.Process(target=member, args=(rank, ports, data, folder)) for rank in (0, 1)]
    for each in members:
        each.start()
    try:
        torch.set_num_threads(1)  # as they do: sums are the same to the last bit
        one = {way: steps(data, way, ALONE) for way in WAYS}
        deadline = time.monotonic() + PATIENCE_S
        for each in members:
            each.join(max(0.0, deadline - time.monotonic()))
        assert [each.exitcode for each in members] == [0, 0]
    finally:
        torch.set_num_threads(threads)
        for each in members:
            each.kill()
            each.join()
    ranks = [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]
    return SimpleNamespace(one=one, ranks=ranks, folder=folder)


def test_two_that_are_fed_the_same_batch_have_the_losses_of_one(both):
    for rank in both.ranks:
        for here, there in zip(rank["alike"]["losses"], both.one["alike"]["losses"], strict=True):
            assert here == pytest.approx(there, abs=1e-4)


def test_halves_of_a_batch_have_its_losses_and_gradients(both):
    # With the statistics of batch norm fixed: they are the one thing that each process has of its half alone.
    one = both.one["still"]
    for rank in both.ranks:
        for here, there in zip(rank["still"]["losses"], one["losses"], strict=True):
            assert here == pytest.approx(there, abs=1e-4)
        for name, gradient in one["gradients"].items():
            assert torch.allclose(rank["still"]["gradients"][name], gradient, atol=1e-5, rtol=1e-3), name
        for name in ("/pool/images", "/mean_shape", "/perceptual_running"):
            assert torch.allclose(rank["still"]["state"][name], one["state"][name], atol=1e-3), name


def test_batch_norm_alone_tells_two_halves_from_one_batch(both):
    one, two = (each["halves"]["losses"][2] for each in (both.one, both.ranks[0]))
    assert two["reading"] == pytest.approx(one["reading"], abs=1e-5)  # η has no batch norm
    assert two["cycle"] == pytest.approx(one["cycle"], rel=0.1)
    assert two["cycle"] != pytest.approx(one["cycle"], abs=1e-6)


def test_two_stay_in_the_same_state(both):
    first, second = (rank["halves"]["state"] for rank in both.ranks)
    assert first.keys() == second.keys()
    assert len(first) > 100
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_the_shares_of_a_batch_are_the_batch(data):
    whole = Pictures(data / "train", STEPS).batch(5)
    figures = Puppets(project(poses(10, 0), HUMAN, np.random.default_rng(0)), HUMAN, 1.25, 0)
    drawn = figures.batch(5, 6, 32, [])
    for rank in range(3):
        one_of_three = Joined.__new__(Joined)
        one_of_three.rank, one_of_three.count = rank, 3
        share = Pictures(data / "train", STEPS, processes=one_of_three).batch(5)
        for name in ("image", "other", "view", "maps", "boxes"):
            assert torch.equal(getattr(share, name), getattr(whole, name)[rank::3]), name
        for here, there in zip(figures.batch(5, 6, 32, [], one_of_three), drawn, strict=True):
            assert np.array_equal(here, there[rank::3])


def test_a_run_of_one_goes_on_with_two_and_the_first_writes(both):
    first, second = (rank["runs"]["one"] for rank in both.ranks)
    assert (first.end, second.end) == (True, True)
    assert (set(first.written), second.written) == ({"checkpoint.pt"}, [])
    assert checkpoint.load(both.folder / "one" / "checkpoint.pt", SHORT)["step"] == 3
    entries = [json.loads(line) for line in (both.folder / "one" / "log.jsonl").read_text().splitlines()]
    assert [each["step"] for each in entries if "cycle" in each] == [2, 3]
    assert load_model(both.folder / "one" / "model.safetensors").card["step"] == 3


def test_a_signal_to_one_stops_both_at_the_same_step_and_one_goes_on(both, data):
    first, second = (rank["runs"]["two"] for rank in both.ranks)
    assert (first.end, second.end) == (False, False)
    assert first.written == [
        "regressor.pt",
        "checkpoint.pt",
        "checkpoint.pt",
    ]  # the second after the warm start
    assert second.written == []
    assert not (both.folder / "two" / "model.safetensors").exists()
    assert checkpoint.load(both.folder / "two" / "checkpoint.pt", SHORT)["step"] == 2
    assert train(Run(data, both.folder / "two", None, ""), SHORT, True, CPU)
    assert checkpoint.load(both.folder / "two" / "checkpoint.pt", SHORT)["step"] == 3


@pytest.mark.parametrize(
    ("name", "kind", "complaint"),
    [
        ("broken", "TrainingStopped", "the loss cycle is not finite near step 3"),
        ("full", "OSError", "regressor.pt could not be written"),
        ("apart", "ValueError", "--out must be a folder that all see"),
        ("uneven", "ValueError", "2 processes cannot share a batch of 5"),
    ],
)
def test_what_fails_in_one_ends_both_and_is_told_once(both, name, kind, complaint):
    (told, why), second = (rank["runs"][name].end for rank in both.ranks)
    assert told == kind
    assert complaint in why
    assert second == ("ToldElsewhere", f"{kind} in another process")


def test_a_broken_loss_leaves_the_last_good_checkpoint(both):
    assert checkpoint.load(both.folder / "broken" / "checkpoint.pt", SHORT)["step"] == 0


def test_a_batch_that_two_cannot_share_is_one_line_and_2(both):
    assert [rank["code"] for rank in both.ranks] == [2, 2]
    assert both.ranks[1]["said"] == ""
    assert both.ranks[0]["said"].splitlines() == [
        "kptrack: 2 processes cannot share a batch of 5: start a number of them that divides it,"
        " or --set batch=4"
    ]


def test_one_gpu_is_not_given_to_several(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="cuda:0 is one for several processes"), open_processes("cuda:0"):
        pass


@pytest.mark.slow
def test_torchrun_trains_and_stops(data, tmp_path):
    settings = [part for each in [*TINY, "regressor_steps=100000"] for part in ("--set", each)]
    line = ["-m", "training", "train", "face-lite", "--data", str(data), "--out", str(tmp_path), *settings]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    root = Path(__file__).parent.parent
    with subprocess.Popen([*launch, *line], stderr=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stderr is not None
        for text in process.stderr:
            if "regressor_step" in text:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert rest.count("--resume goes on from there") == 1, rest
    config = tiny_config("regressor_steps=100000")
    assert checkpoint.load(tmp_path / "regressor.pt", config)["step"] >= 250
