"""``kptrack demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ui.commands.options import Model


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the results; older ones are replaced.")
    ] = Path("kptrack-demo"),
    model: Model = "face",
    progress: Annotated[str, typer.Option(metavar="auto|rich|json|none")] = "auto",
) -> None:
    """Make a clip, track it, print where the results are.

    The clip is a public-domain portrait that moves, with a melody. It needs no file of anyone's.
    """
    from ui.demo import run_demo

    raise typer.Exit(run_demo(output, model, progress))
