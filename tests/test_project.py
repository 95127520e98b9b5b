"""The project as a whole: installed from here, imports as drawn, linters content."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "engines",
    "tracker",
    "training",
    "training.benchmarks",
    "training.puppets",
    "ui",
    "ui.commands",
    "ui.window",
)


def run_tool(name: str, *arguments: str) -> None:
    """Run a tool of this environment in the checkout; its output is the failure."""
    tool = Path(sys.executable).with_name(name)
    done = subprocess.run([tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", PACKAGES)
def test_package_names_are_ours(name):
    # Another distribution's `ui` or `training` would otherwise win without a word.
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin == str(ROOT.joinpath(*name.split("."), "__init__.py"))


def test_every_package_is_installed():
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    tops = {name.partition(".")[0] for name in PACKAGES}
    found = sorted(
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in tops
        for path in (ROOT / top).rglob("__init__.py")
    )
    assert sorted(named) == sorted(PACKAGES) == found


def test_the_command_is_installed():
    scripts = distribution("kptrack").entry_points.select(group="console_scripts")
    assert [(script.name, script.value) for script in scripts] == [("kptrack", "ui.cli:main")]


def test_lint():
    run_tool("ruff", "check")


def test_types():
    run_tool("mypy")


def test_import_contracts():
    run_tool("lint-imports")


# What a machine that lacks something may still import.
_BARE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
import {modules}
"""


def import_without(blocked: set[str], modules: set[str]) -> None:
    """Import these in a process where the others are not installed."""
    program = _BARE.format(blocked=blocked, modules=", ".join(sorted(modules)))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def modules_of(*folders: str) -> set[str]:
    """Every module of these folders but programs."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for folder in folders
        for path in (ROOT / folder).glob("*.py")
        if path.name != "__main__.py"
    }


def test_training_and_tracking_import_without_what_a_gpu_machine_lacks():
    blocked = {"av", "PyQt6", "typer", "rich", "pyarrow", "platformdirs", "skimage"}
    modules = modules_of("engines", "tracker", "training", "training/benchmarks", "training/puppets")
    import_without(blocked, modules - {"tracker.sources", "tracker.sound", "tracker.export"})


def test_the_command_line_imports_without_qt():
    import_without({"PyQt6", "pyqtgraph"}, modules_of("ui", "ui/commands"))


def test_nobodys_pictures_are_in_the_project():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    media = {".mp4", ".avi", ".mov", ".npz", ".parquet", ".jpg", ".jpeg"}
    assert not [name for name in listed.stdout.splitlines() if Path(name).suffix.lower() in media]


def test_tests_are_flat():
    # A package such as tests/engines would shadow ours.
    assert not list((ROOT / "tests").rglob("__init__.py"))
