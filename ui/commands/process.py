"""``kptrack process``."""

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
    Model,
    Precision,
    Progress,
    Runtime,
    Smooth,
)
from ui.failures import usage


def process(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Videos, pictures, folders of them, URLs, or a camera's index.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="A folder, or for one input a name ending in .mp4 [default: beside it]."
        ),
    ] = None,
    model: Model = "face",
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Where to begin: 90, 1:30 or 0:01:30.5.")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="Where to end.")] = None,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="At most so many frames of each input.")
    ] = None,
    min_score: MinScore = 0.5,
    max_subjects: MaxSubjects = 4,
    detect_every: DetectEvery = 10,
    detector: Detector = "auto",
    smooth: Smooth = "one-euro",
    video: Annotated[bool, typer.Option("--video/--no-video", help="Write the annotated video.")] = True,
    codec: Annotated[str, typer.Option(metavar="h264|hevc|h264_nvenc", help="Video codec.")] = "h264",
    preset: Annotated[str, typer.Option(help="Speed of the encoder: ultrafast to veryslow.")] = "superfast",
    crf: Annotated[int, typer.Option(min=0, max=51, help="Quality: 0 lossless, 51 worst.")] = 20,
    faststart: Annotated[
        bool, typer.Option("--faststart", help="Index first, for playing in a browser.")
    ] = False,
    audio: Annotated[str, typer.Option(metavar="copy|none", help="Sound of the source.")] = "copy",
    data: Annotated[
        str, typer.Option(metavar="parquet|csv|jsonl|coco|none", help="Landmarks as data.")
    ] = "parquet",
    overlay: Annotated[
        str, typer.Option(metavar="PARTS", help="What is drawn, of: points,edges,ids,boxes or none.")
    ] = "points,edges,ids",
    black_background: Annotated[bool, typer.Option("--black-background", help="Draw on black.")] = False,
    recursive: Annotated[bool, typer.Option("--recursive", help="Folders with their sub-folders.")] = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave results that exist.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")] = False,
    progress: Progress = "auto",
) -> None:
    """Annotate videos and pictures, and write the landmarks.

    clip.mp4 becomes clip.kptrack.mp4, with the landmarks drawn on it, and clip.kptrack.parquet, a row
    a landmark. Exit codes: 0 fine, 1 failed or damaged, 2 usage, 3 some of the inputs failed, 4 this
    machine lacks what was asked for, 130 interrupted.
    """
    from ui.progress import open_progress

    shown = open_progress(progress)
    from tracker import Overlay, TrackerSettings, VideoSettings
    from ui.jobs import parse_time, plan, settle_existing
    from ui.process import Request, Runner

    parts = tuple(part for part in overlay.split(",") if part and part != "none")
    with usage():
        request = Request(
            model=model,
            runtime=runtime,
            precision=precision,
            device=device,
            settings=TrackerSettings(min_score, max_subjects, detect_every, detector, smooth),
            video=VideoSettings(codec, preset, crf, faststart, audio),
            overlay=Overlay(parts, black_background, min_score),
            start_s=parse_time(start) if start is not None else 0.0,
            end_s=parse_time(end) if end is not None else None,
            max_frames=max_frames,
        )
    jobs = plan(inputs, output, recursive, video, data)
    jobs = settle_existing(jobs, skip_existing, overwrite)
    raise typer.Exit(Runner(request, shown).run(jobs))
