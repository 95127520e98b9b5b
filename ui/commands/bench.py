"""``kptrack bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ui.commands.options import Model
from ui.failures import UsageError


def bench(
    model: Model = "face",
    runtimes: Annotated[str, typer.Option(help="Any of auto,tensorrt,cudagraph,compile,eager.")] = (
        "eager,compile,cudagraph,tensorrt"
    ),
    precisions: Annotated[str, typer.Option(help="Any of auto,fp32,bf16,fp16.")] = "auto",
    batch: Annotated[str, typer.Option(help="Crops in one pass.")] = "1,8,64",
    video: Annotated[
        Path | None, typer.Option(help="Also time every stage of tracking this clip.", show_default=False)
    ] = None,
    live_clip: Annotated[
        Path | None,
        typer.Option("--live", help="Instead, play this clip as a live source.", show_default=False),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables.")] = None,
) -> None:
    """Measure the speed of a model on this machine.

    Every runtime, precision and batch size is compared with plain eager fp32, in time and in pixels;
    with --video, every stage of tracking a clip is timed too. With --live, the clip is played at 720p and
    30 frames a second, to see how many are processed and how old they are when they are shown.
    """
    if live_clip is not None:
        if video is not None:
            raise UsageError("--video and --live exclude each other")
        from ui.bench_live import run_bench_live

        raise typer.Exit(run_bench_live(model, live_clip, json_file, markdown))
    from ui.bench import run_bench

    raise typer.Exit(run_bench(model, runtimes, precisions, batch, video, json_file, markdown))
