"""``kptrack edit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ui.commands.options import Detector, Device, MinScore, Model
from ui.failures import UsageError, usage


def edit(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="IMAGE|VIDEO",
            help="The picture, or the video of which a frame is taken [default: opened in the window].",
            show_default=False,
        ),
    ] = None,
    move: Annotated[
        list[str] | None,
        typer.Option(
            metavar="JOINT:DX,DY",
            help="Move a joint, or all of a part such as left_eye, by pixels; may be repeated.",
        ),
    ] = None,
    style: Annotated[
        str | None, typer.Option(metavar="IMAGE|VIDEO", help="Redraw in the appearance of this one.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="IMAGE|VIDEO", help="The picture, named beside --style.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the picture; no window opens.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")] = False,
    result: Annotated[
        str | None,
        typer.Option(
            metavar="detailed|redrawn|square",
            help="The picture redrawn with its detail kept, as the decoder draws it, or only the square that "
            "is redrawn [default: detailed; square with --style].",
            show_default=False,
        ),
    ] = None,
    frame: Annotated[
        int | None,
        typer.Option(min=0, help="Frame of the video [default: the first that shows a subject]."),
    ] = None,
    model: Model = "face",
    decoder: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What redraws [default: the one beside the model]."),
    ] = None,
    device: Device = "auto",
    detector: Detector = "auto",
    min_score: MinScore = 0.5,
) -> None:
    """Move the landmarks of a picture and have it redrawn, or give it the appearance of another.

    Opens a window, unless --out names where the picture is to go.
    """
    if source is not None and target is not None:
        raise UsageError("IMAGE and --target are the same: give one of them")
    source = source if source is not None else target
    if move and out is None:
        raise UsageError("--move needs --out FILE, where the picture is to go")
    if out is not None and source is None:
        raise UsageError("--out needs an IMAGE" + (" or --target IMAGE" if style else ""))
    from tracker import TrackerSettings
    from ui.edit import EditOptions, run_edit
    from ui.jobs import check_named

    check_named(source, style)
    with usage():
        settings = TrackerSettings(min_score=min_score, detector=detector)
        options = EditOptions(model, decoder, device, settings, result, frame)
    if out is not None and source is not None:
        raise typer.Exit(run_edit(source, style, move or [], out, overwrite, options))
    from ui.window.editing import run_editor

    raise typer.Exit(run_editor(source, style, options))
