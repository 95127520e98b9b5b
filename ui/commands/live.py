"""``kptrack live``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ui.commands.options import (
    DetectEvery,
    Detector,
    Device,
    MaxSubjects,
    MinScore,
    Precision,
    Runtime,
    Smooth,
)
from ui.failures import usage


def live(
    ctx: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            help="A camera's index or name, a URL, or a file, played at its own pace "
            "[default: chosen in the window; camera 0 without one].",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Name of a shipped model, or a model file [default: face; without a GPU face-fast].",
            show_default=False,
        ),
    ] = None,
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    mirror: Annotated[bool, typer.Option("--mirror", help="Turn the picture as a mirror does.")] = False,
    min_score: MinScore = 0.5,
    max_subjects: MaxSubjects = 4,
    detect_every: DetectEvery = 10,
    detector: Detector = "auto",
    smooth: Smooth = "one-euro",
    camera_size: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Ask the camera for it [default: its own].")
    ] = None,
    camera_fps: Annotated[
        float | None, typer.Option(min=1, help="Ask the camera for it [default: its own].")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="FILE.mp4", help="Record the annotated picture.")
    ] = None,
    write_data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Record landmarks: .parquet, .csv, .jsonl or .json.")
    ] = None,
    window: Annotated[bool, typer.Option("--window/--no-window", help="Open a window.")] = True,
    duration: Annotated[
        str | None, typer.Option(metavar="TIME", help="End after so long: 60s or 1:00.")
    ] = None,
) -> None:
    """Overlay landmarks on a camera, a stream or a file as it plays.

    Without a window, text goes to stderr and the final status to stdout, as one JSON object. A stream
    that breaks off is opened again; a recording then goes on in out.2.mp4.
    """
    from engines.automatic import live_model
    from tracker import TrackerSettings
    from tracker.live import CameraRequest
    from ui.jobs import check_named, parse_time
    from ui.live import LiveOptions, parse_size

    check_named(source)
    with usage():
        options = LiveOptions(
            model=live_model(device) if model is None else model,
            runtime=runtime,
            precision=precision,
            device=device,
            settings=TrackerSettings(min_score, max_subjects, detect_every, detector, smooth),
            camera=CameraRequest(parse_size(camera_size) if camera_size is not None else None, camera_fps),
            mirror=mirror,
            record=record,
            data=write_data,
            duration_s=parse_time(duration) if duration is not None else None,
        )
    if window:
        from ui.window.app import run_window

        # The window remembers the rest from the last time.
        asked = {name for name in ctx.params if "COMMANDLINE" in str(ctx.get_parameter_source(name))}
        raise typer.Exit(run_window(source, options, asked))
    from ui.headless import run_headless

    raise typer.Exit(run_headless(source or "0", options))
