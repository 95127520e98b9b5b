"""``kptrack demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ui.commands.options import Progress


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the results; older ones are replaced.")
    ] = Path("kptrack-demo"),
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE", help="One model alone, shipped or a file.", show_default="face and cat"
        ),
    ] = None,
    progress: Progress = "auto",
) -> None:
    """Make clips, track them, print where the results are.

    A portrait and a cat in the public domain move, to a melody. It needs no file of anyone's.
    """
    from ui.demo import run_demo

    raise typer.Exit(run_demo(output, model, progress))
