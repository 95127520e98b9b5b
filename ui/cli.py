"""The command ``kptrack``: its sub-commands put together, and its one guard."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ui.commands import engine, models
from ui.commands.bench import bench
from ui.commands.cameras import cameras
from ui.commands.demo import demo
from ui.commands.doctor import doctor
from ui.commands.edit import edit
from ui.commands.live import live
from ui.commands.process import process
from ui.commands.train import FORWARDED, evaluate, train
from ui.failures import complain

app = typer.Typer(
    name="kptrack",
    help="Real-time keypoint tracker: landmarks on faces, people and heads of cats, in video files and live.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain text: an error is one line, and rich is not loaded for it.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, process, live, edit, cameras, bench):
    app.command()(command)
app.command(context_settings=FORWARDED, add_help_option=False)(train)
app.command("eval", context_settings=FORWARDED, add_help_option=False)(evaluate)
app.command()(doctor)
app.add_typer(models.app, name="models")
app.add_typer(engine.app, name="engine")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"kptrack {version('kptrack')}")
        raise typer.Exit


@app.callback()
def _kptrack(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; its exit code. The one guard: nobody sees a traceback unasked."""
    try:
        app(args=arguments, prog_name="kptrack")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:  # noqa: BLE001 (see above)
        return complain(error)
    return 0


def _fill_closed_streams() -> None:
    """Else the next file that is opened gets the number of a stream, and libraries complain into it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def main() -> None:
    """Entry point of the command."""
    _fill_closed_streams()
    code = run()
    from ui.interrupt import leave

    leave(code)
