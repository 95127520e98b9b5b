"""The command ``kptrack``: reads what was typed and hands it on.

Each command imports what it needs when it runs. Choices are written out in the help texts, as
asking the parts for them would load PyTorch for ``--help``; a test keeps both the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ui.failures import complain, usage

app = typer.Typer(
    name="kptrack",
    help="Real-time keypoint tracker: landmarks on faces, in video files and pictures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain text: an error is one line, and rich is not loaded for it.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="List or show models.", no_args_is_help=True)
app.add_typer(models_app, name="models")

Model = Annotated[str, typer.Option(help="Name of a shipped model, or a model file.")]
Runtime = Annotated[str, typer.Option(metavar="auto|eager|compile", help="How the network runs.")]
Precision = Annotated[str, typer.Option(metavar="auto|fp32|bf16|fp16", help="Number format of the network.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda:N", help="Where the network runs.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON value on stdout.")]


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


@app.command()
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
    from ui.demo import write_clip
    from ui.jobs import plan
    from ui.process import Request, Runner
    from ui.progress import open_progress

    shown = open_progress(progress)
    runner = Runner(Request(model=model), shown)
    clip = output / "demo.mp4"
    shown.say(f"making {clip} …")
    write_clip(clip)
    jobs = plan([str(clip)], output)
    code = runner.run(jobs)
    if progress != "json":
        for path in jobs[0].outputs:
            if path.exists():
                print(path)
    raise typer.Exit(code)


@app.command()
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
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Subjects below it are not followed.")] = 0.5,
    max_subjects: Annotated[int, typer.Option(min=1, help="At most so many subjects at once.")] = 4,
    detect_every: Annotated[
        int, typer.Option(min=1, help="Frames between two searches for more subjects.")
    ] = 10,
    detector: Annotated[
        str, typer.Option(metavar="auto|haar|center", help="How subjects are found.")
    ] = "auto",
    smooth: Annotated[str, typer.Option(metavar="one-euro|none", help="Smoothing over time.")] = "one-euro",
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
    progress: Annotated[
        str, typer.Option(metavar="auto|rich|json|none", help="A bar on stderr, or JSON lines on stdout.")
    ] = "auto",
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
            start_s=parse_time(start) if start else 0.0,
            end_s=parse_time(end) if end else None,
            max_frames=max_frames,
        )
    jobs = plan(inputs, output, recursive, video, data)
    jobs = settle_existing(jobs, skip_existing, overwrite)
    raise typer.Exit(Runner(request, shown).run(jobs))


@app.command()
def bench(
    model: Model = "face",
    runtimes: Annotated[str, typer.Option(help="Any of auto,eager,compile.")] = "auto,compile",
    precisions: Annotated[str, typer.Option(help="Any of auto,fp32,bf16,fp16.")] = "auto",
    batch: Annotated[str, typer.Option(help="Crops in one pass.")] = "1,8,64",
    video: Annotated[
        Path | None, typer.Option(help="Also time every stage of tracking this clip.", show_default=False)
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables.")] = None,
) -> None:
    """Measure the speed of a model on this machine.

    Every runtime, precision and batch size is compared with plain eager fp32, in time and in pixels;
    with --video, every stage of tracking a clip is timed too.
    """
    from ui.bench import run_bench

    raise typer.Exit(run_bench(model, runtimes, precisions, batch, video, json_file, markdown))


def _forward(command: str, ctx: typer.Context) -> None:
    from training.__main__ import main as training_main

    raise typer.Exit(training_main([command, *ctx.args]))


_FORWARDED = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=_FORWARDED, add_help_option=False)
def train(ctx: typer.Context) -> None:
    """Train a model; --help shows how.

    The same as `python -m training train`.
    """
    _forward("train", ctx)


@app.command("eval", context_settings=_FORWARDED, add_help_option=False)
def evaluate(ctx: typer.Context) -> None:
    """Measure a model on labelled pictures; --help shows how.

    The same as `python -m training eval`.
    """
    _forward("eval", ctx)


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """List the models that come with kptrack."""
    from ui.models import list_models

    list_models(as_json)


@models_app.command("info")
def models_info(
    model: Annotated[str, typer.Argument(help="Name of a shipped model, or a model file.")] = "face",
    as_json: Json = False,
) -> None:
    """Show one model with its card."""
    from ui.models import show_model

    show_model(model, as_json)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this installation has and lacks."""
    from ui.doctor import examine, show

    checks = examine()
    if as_json:
        print(json.dumps(checks, indent=2))
    else:
        show(checks)
    raise typer.Exit(0 if checks["ok"] else 4)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; its exit code. The one guard: nobody sees a traceback unasked."""
    try:
        app(args=arguments, prog_name="kptrack")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:  # noqa: BLE001 (see above)
        return complain(error)
    return 0


def main() -> None:
    """Entry point of the command."""
    sys.exit(run())
