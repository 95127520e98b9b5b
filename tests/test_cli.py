"""The command line itself: help, versions, exit codes, and errors of one line."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from commands import command, write_model

from engines.engine import PRECISIONS, RUNTIMES
from tracker.config import AUDIO, CODECS, DETECTORS, PRESETS, SMOOTHERS, TrackerSettings
from tracker.overlay import PARTS
from tracker.records import DATA_SUFFIXES
from ui import doctor, progress
from ui.failures import Exit


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


def test_version_and_help_answer_without_pytorch():
    program = (
        "import sys; from ui.cli import run\n"
        "assert run(['--version']) == run(['process', '--help']) == run(['live', '--help']) == 0\n"
        "assert run(['edit', '--help']) == 0\n"
        "loaded = {'torch', 'cv2', 'av', 'numpy', 'rich'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("kptrack 0.")


@pytest.mark.parametrize(
    "words",
    [
        *([], ["demo"], ["process"], ["live"], ["edit"], ["cameras"], ["bench"]),
        *(["models"], ["models", "list"], ["doctor"]),
    ],
)
def test_every_command_has_help(capfd, words):
    ended = command(capfd, *words, "--help")
    assert ended.code == Exit.FINE
    assert "Usage: kptrack" in ended.out


def test_help_names_the_choices_that_there_are(capfd):
    text = " ".join(command(capfd, "process", "--help").out.split())
    for choices in (RUNTIMES, PRECISIONS, DETECTORS, SMOOTHERS, CODECS, AUDIO, progress.CHOICES):
        assert "|".join(choices) in text
    assert "|".join((*DATA_SUFFIXES, "none")) in text
    assert ",".join(PARTS) in text
    assert f"{PRESETS[0]} to {PRESETS[-1]}" in text
    for name, most in (("max_subjects", 64), ("detect_every", 100_000)):
        assert f"1<=x<={most}" in text
        TrackerSettings(**{name: most})
        with pytest.raises(ValueError, match=name):
            TrackerSettings(**{name: most + 1})


@pytest.mark.parametrize(
    "words",
    [
        ["fly"],
        ["process"],
        ["process", "a.mp4", "--fast"],
        ["process", "a.mp4", "--detector", "nose"],
        ["process", "a.mp4", "--smooth", "sandpaper"],
        ["process", "a.mp4", "--codec", "mpeg1"],
        ["process", "a.mp4", "--preset", "placebo"],
        ["process", "a.mp4", "--crf", "99"],
        ["process", "a.mp4", "--audio", "loud"],
        ["process", "a.mp4", "--data", "xml"],
        ["process", "a.mp4", "--overlay", "hats"],
        ["process", "a.mp4", "--progress", "dots"],
        ["process", "a.mp4", "--start", "soon"],
        ["process", "a.mp4", "--start", ""],
        ["process", "a.mp4", "--end", ""],
        ["process", "a.mp4", "--min-score", "7"],
        ["process", "a.mp4", "--max-frames", "0"],
        ["process", "a.mp4", "--model", "no-such-model"],
        ["bench", "--model", "no-such-model"],
        ["bench", "--batch", "many"],
        ["bench", "--batch", ""],
        ["bench", "--json", "."],
        ["bench", "--live", "a.mp4", "--json", "gone/a.json"],
        ["models", "info", "no-such-model"],
    ],
)
def test_what_makes_no_sense_ends_with_2(capfd, tmp_path, monkeypatch, model, words):
    monkeypatch.chdir(tmp_path)
    if words[0] in ("process", "bench") and "--model" not in words:
        words = [*words, "--model", str(model)]
    ended = command(capfd, *words)
    assert ended.code == Exit.USAGE
    assert ended.out == ""
    assert ended.err.strip()


def test_a_model_file_that_is_none_is_one_line(capfd, tmp_path, model):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(model.read_bytes()[:1000])
    ended = command(capfd, "models", "info", broken)
    assert ended.code == Exit.USAGE
    assert ended.err.count("\n") == 1
    assert "broken.safetensors" in ended.err


def test_models_tell_what_they_are(capfd, model):
    told = json.loads(command(capfd, "models", "info", model, "--json").out)
    assert set(told) == {"name", "file", "skeleton", "joints", "input_size", "digest", "card"}
    assert (told["name"], told["skeleton"], told["joints"], told["input_size"]) == ("tiny", "face68", 68, 32)
    assert "random weights" in command(capfd, "models", "info", model).out
    listed = json.loads(command(capfd, "models", "list", "--json").out)
    assert isinstance(listed, list)
    assert len(command(capfd, "models", "list").out.splitlines()) == len(listed)


def test_doctor_examines_every_part(capfd):
    ended = command(capfd, "doctor", "--json")
    found = json.loads(ended.out)
    status = {each["name"]: each["status"] for each in found["checks"]}
    assert [status[name] for name in ("torch", "opencv", "video")] == ["ok", "ok", "ok"]
    assert set(status.values()) <= {"ok", "missing", "absent"}
    assert found["ok"] is ("missing" not in status.values())
    assert ended.code == (Exit.FINE if found["ok"] else Exit.INCAPABLE)


def test_doctor_says_what_is_missing(capfd, monkeypatch):
    complaint = SimpleNamespace(
        returncode=1, stdout="", stderr="Traceback\nImportError: libGL.so.1: no such file\n"
    )
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: complaint)
    ended = command(capfd, "doctor")
    assert ended.code == Exit.INCAPABLE
    assert " missing  opencv (finding faces): libGL.so.1: no such file" in ended.out


def test_a_fault_of_the_program_is_one_line_unless_asked_for(capfd, monkeypatch):
    def fail(*_: object) -> None:
        raise KeyError("a\nb")

    monkeypatch.setattr("ui.models.list_models", fail)
    monkeypatch.delenv("KPTRACK_DEBUG", raising=False)
    ended = command(capfd, "models", "list")
    assert ended.code == Exit.FAILED
    assert ended.err.count("\n") == 1
    assert "unexpected KeyError" in ended.err
    monkeypatch.setenv("KPTRACK_DEBUG", "1")
    with pytest.raises(AssertionError):  # `command` minds the traceback, which was asked for here
        command(capfd, "models", "list")


@pytest.mark.parametrize("name", ["train", "eval"])
def test_training_gets_its_arguments_untouched(capfd, monkeypatch, name):
    given = []

    def fake(arguments: list[str]) -> int:
        given.extend(arguments)
        return 3

    monkeypatch.setitem(sys.modules, "training.__main__", SimpleNamespace(main=fake))
    assert command(capfd, name, "face", "--data", "there", "--help", "-x").code == Exit.SOME_FAILED
    assert given == [name, "face", "--data", "there", "--help", "-x"]
