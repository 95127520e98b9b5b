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

from ui.failures import UsageError, complain, usage

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
engine_app = typer.Typer(help="Build, list or remove TensorRT engines.", no_args_is_help=True)
app.add_typer(engine_app, name="engine")

Model = Annotated[str, typer.Option(help="Name of a shipped model, or a model file.")]
Runtime = Annotated[
    str, typer.Option(metavar="auto|tensorrt|cudagraph|compile|eager", help="How the network runs.")
]
Precision = Annotated[str, typer.Option(metavar="auto|fp32|bf16|fp16", help="Number format of the network.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda:N", help="Where the network runs.")]
MinScore = Annotated[float, typer.Option(min=0, max=1, help="Subjects below it are not followed.")]
MaxSubjects = Annotated[int, typer.Option(min=1, help="At most so many subjects at once.")]
DetectEvery = Annotated[int, typer.Option(min=1, help="Frames between two searches for more subjects.")]
Detector = Annotated[str, typer.Option(metavar="auto|haar|center", help="How subjects are found.")]
Smooth = Annotated[str, typer.Option(metavar="one-euro|none", help="Smoothing over time.")]
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
    model: Model = "face",
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
    from tracker import TrackerSettings
    from tracker.live import CameraRequest
    from ui.jobs import parse_time
    from ui.live import LiveOptions, parse_size

    with usage():
        options = LiveOptions(
            model=model,
            runtime=runtime,
            precision=precision,
            device=device,
            settings=TrackerSettings(min_score, max_subjects, detect_every, detector, smooth),
            camera=CameraRequest(parse_size(camera_size) if camera_size else None, camera_fps),
            mirror=mirror,
            record=record,
            data=write_data,
            duration_s=parse_time(duration) if duration else None,
        )
    if window:
        from ui.app import run_window

        # The window remembers the rest from the last time.
        asked = {name for name in ctx.params if "COMMANDLINE" in str(ctx.get_parameter_source(name))}
        raise typer.Exit(run_window(source, options, asked))
    from ui.headless import run_headless

    raise typer.Exit(run_headless(source or "0", options))


@app.command()
def cameras(as_json: Json = False) -> None:
    """List the cameras that are plugged in: index and name, either of which `live` takes."""
    from tracker.camera import find_cameras

    found = find_cameras()
    if as_json:
        print(json.dumps([{"index": each.index, "name": each.name} for each in found], indent=2))
        return
    for each in found:
        print(f"{each.index}  {each.name}")
    if not found:
        print("no camera is plugged in", file=sys.stderr)


@app.command()
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


EngineModel = Annotated[
    str, typer.Argument(metavar="MODEL", help="Name of a shipped model, a model file, or an engine's id.")
]


@engine_app.command("build")
def engine_build(
    model: Annotated[str, typer.Argument(help="Name of a shipped model, or a model file.")] = "face",
    precision: Annotated[
        str, typer.Option(metavar="fp32|bf16|fp16", help="Number format of the network.")
    ] = "fp16",
    batch: Annotated[
        str, typer.Option(metavar="SMALLEST:OPTIMUM:LARGEST", help="Crops in one pass.")
    ] = "1:8:64",
    as_json: Json = False,
) -> None:
    """Build a TensorRT engine for this GPU, compare it with eager fp32, and keep it.

    Exit codes: 0 fine, 1 failed, 4 no GPU or no TensorRT, 5 its landmarks are not those of eager fp32.
    """
    from ui.engines import build_engine

    raise typer.Exit(build_engine(model, precision, batch, as_json))


@engine_app.command("list")
def engine_list(as_json: Json = False) -> None:
    """List the engines that were built, and whether they run here."""
    from ui.engines import list_engines

    list_engines(as_json)


@engine_app.command("info")
def engine_info(model: EngineModel = "face", as_json: Json = False) -> None:
    """Show a model's engines, and check that they are whole."""
    from ui.engines import show_engines

    raise typer.Exit(show_engines(model, as_json))


@engine_app.command("remove")
def engine_remove(model: EngineModel, as_json: Json = False) -> None:
    """Remove a model's engines, or one."""
    from ui.engines import remove_engines

    remove_engines(model, as_json)


@engine_app.command("clean")
def engine_clean(as_json: Json = False) -> None:
    """Remove engines that are damaged, or of other versions than those installed."""
    from ui.engines import clean_engines

    clean_engines(as_json)


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
    code = run()
    from ui.interrupt import leave

    leave(code)
