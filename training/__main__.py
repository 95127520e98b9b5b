"""``python -m training train|eval``: plain argparse, so that it runs where only PyTorch is installed."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from engines.engine import Engine, MissingCapability
from training.ablations import ABLATIONS, ablate
from training.baselines import BASELINES
from training.benchmarks import PROTOCOLS, as_markdown, measure
from training.config import PRESETS, with_settings
from training.evaluate import CROPS

_FINDER = "finder"  # beside the presets: it is no landmark model
_FINE, _FAILED, _USAGE, _INCAPABLE, _INTERRUPTED = 0, 1, 2, 4, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Errors are one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parser().parse_args(given)
        return int(options.command(options, given))
    except SystemExit as end:
        return int(end.code or 0)
    except (ValueError, OSError, RuntimeError) as error:
        return _complain(error, _code(type(error)))
    except KeyboardInterrupt:
        return _complain("interrupted", _INTERRUPTED)


def _code(error: type[Exception]) -> int:
    if issubclass(error, ValueError):
        return _USAGE
    return _INCAPABLE if issubclass(error, MissingCapability) else _FAILED


def _complain(error: object, code: int) -> int:
    print(f"kptrack: {' '.join(str(error).split())}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kptrack", description="Train and measure landmark models.")
    commands = parser.add_subparsers(required=True, metavar="train|eval")
    train = commands.add_parser(
        "train",
        help="train a model from unlabelled pictures and unpaired poses",
        epilog="torchrun --nproc-per-node N -m training train ... shares every batch among N processes, each"
        " on a GPU of its own where there are GPUs.",
    )
    train.add_argument(
        "preset",
        nargs="?",
        choices=(*PRESETS, *BASELINES, _FINDER),
        help="what to train: face, or the smaller face-lite for a CPU, …; finder finds them in a frame;"
        " imm, hourglass and supervised, which see labels, are what they are compared with",
    )
    train.add_argument(
        "--distill",
        metavar="MODEL",
        help="in place of a preset: a student, several times faster, that learns from this model"
        " (shipped, or a file)",
    )
    train.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder with train/SET/{index.npz,images/} and prior/*.npz; for those that see labels,"
        " with labels/SET_train.npz",
    )
    train.add_argument(
        "--out", type=Path, required=True, help="folder of the run: log, grids, checkpoints, model"
    )
    train.add_argument(
        "--perceptual",
        type=Path,
        help="weights of SqueezeNet 1.1 or VGG-19 [default: torchvision's cached ones]",
    )
    train.add_argument("--boxes", type=Path, help="finder: boxes.pt of a run of people, where they are")
    train.add_argument(
        "--start",
        metavar="MODEL",
        help="begin with this model (shipped, or a file) and its decoder; finder: with this finder",
    )
    train.add_argument(
        "--clips", type=Path, nargs="+", default=[], help="finder: whole clips, in which --start finds them"
    )
    train.add_argument(
        "--negatives",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="pictures without a subject, as of other animals or rooms: the model learns to find none there",
    )
    train.add_argument("--resume", action="store_true", help="go on with the run in --out")
    train.add_argument("--stop-at", type=int, metavar="STEP", help="end early, as for a try of several seeds")
    train.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of the preset"
    )
    train.add_argument(
        "--ablate",
        choices=tuple(ABLATIONS),
        help="change one thing about the method of a preset, for a study",
    )
    train.add_argument("--device", default="auto", help="auto, cpu or cuda:N [default: auto]")
    train.set_defaults(command=_train)
    evaluate = commands.add_parser("eval", help="measure a model on labelled pictures")
    evaluate.add_argument("model", help="name of a shipped model, or a model file")
    evaluate.add_argument(
        "data", type=Path, help="folder with index.npz and images/, or a folder of such folders"
    )
    evaluate.add_argument("--crop", choices=CROPS, default="truth", help="where the crops come from")
    evaluate.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        help="score DATA, a published set as unpacked, as its paper does, beside the published numbers",
    )
    evaluate.add_argument(
        "--regress",
        action="store_true",
        help="with --protocol: also after a linear regression fitted on the training split",
    )
    evaluate.add_argument("--json", action="store_true", help="one JSON object on stdout")
    evaluate.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    evaluate.add_argument("--device", default="auto", help="auto, cpu or cuda:N [default: auto]")
    evaluate.set_defaults(command=_evaluate)
    return parser


def _train(options: argparse.Namespace, given: list[str]) -> int:
    from training.processes import ToldElsewhere, open_processes
    from training.run import Run
    from training.train import train

    if (options.preset is None) == (options.distill is None):
        raise ValueError(f"what to train? Either --distill MODEL or one of {', '.join(PRESETS)}")
    if options.ablate and options.preset not in PRESETS:
        raise ValueError(f"--ablate goes with one of {', '.join(PRESETS)}")
    if options.negatives and options.preset not in PRESETS:
        raise ValueError(f"--negatives goes with one of {', '.join(PRESETS)}")
    if options.stop_at is not None and options.stop_at < 1:
        raise ValueError(f"--stop-at {options.stop_at}: want a step from 1 on")
    if options.preset == _FINDER:
        return _find(options, given)
    if options.boxes or options.clips:
        raise ValueError("--boxes and --clips go with finder")
    if options.distill is not None:
        return _distill(options, given)
    if options.preset in BASELINES:
        return _train_baseline(options, given)
    config = with_settings(PRESETS[options.preset], options.set)
    if options.ablate:
        config = ablate(config, options.ablate)
    command = f"kptrack {shlex.join(_portable(given))}"
    run = Run(options.data, options.out, options.perceptual, command, options.start, tuple(options.negatives))
    try:
        with open_processes(options.device) as (processes, device):
            finished = train(run, config, options.resume, device, options.stop_at, processes)
    except ToldElsewhere as told:
        return _code(told.kind)
    return _FINE if finished else _INTERRUPTED


def _distill(options: argparse.Namespace, given: list[str]) -> int:
    from engines import load_model
    from engines.eager import choose_device
    from training.distill import config_for, distill
    from training.run import Run

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("--distill runs in one process: start it without torchrun")
    if options.perceptual:
        raise ValueError("--perceptual goes with a preset: a student needs none")
    if options.start:
        raise ValueError("--start goes with a preset: a student begins with its teacher's answers alone")
    teacher = load_model(options.distill)
    config = with_settings(config_for(teacher), options.set)
    run = Run(options.data, options.out, None, f"kptrack {shlex.join(_portable(given))}")
    finished = distill(run, teacher, config, options.resume, choose_device(options.device), options.stop_at)
    return _FINE if finished else _INTERRUPTED


def _find(options: argparse.Namespace, given: list[str]) -> int:
    from training.config import FindingConfig
    from training.finder import Sources, train_finder
    from training.run import Run

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("finder is trained in one process: start it without torchrun")
    if options.perceptual or options.stop_at is not None:
        raise ValueError("--perceptual and --stop-at do not go with finder")
    if options.device not in ("auto", "cpu"):
        raise ValueError(f"--device {options.device}: the finder is trained on the processor")
    run = Run(options.data, options.out, None, f"kptrack {shlex.join(_portable(given))}")
    sources = Sources(options.boxes, options.start and Path(options.start), tuple(options.clips))
    config = with_settings(FindingConfig(), options.set)
    return _FINE if train_finder(run, config, options.resume, sources) else _INTERRUPTED


def _train_baseline(options: argparse.Namespace, given: list[str]) -> int:
    from engines.eager import choose_device
    from training.baselines import train_baseline
    from training.imm import ImmConfig
    from training.run import Run

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError(f"{options.preset} is trained in one process: start it without torchrun")
    if options.start:
        raise ValueError(f"--start goes with {', '.join(PRESETS)} or finder")
    config = with_settings(BASELINES[options.preset], options.set)
    if options.perceptual and not isinstance(config, ImmConfig):
        raise ValueError(f"--perceptual does not go with {options.preset}, which learns from labels alone")
    run = Run(options.data, options.out, options.perceptual, f"kptrack {shlex.join(_portable(given))}")
    device = choose_device(options.device)
    finished = train_baseline(run, config, options.resume, device, options.stop_at)
    return _FINE if finished else _INTERRUPTED


def _portable(given: list[str]) -> list[str]:
    """The command line for a card: without the folders of this machine and what only continues a run."""
    parts = [each for each in given if each != "--resume"]
    return [_without_folder(each) for each in parts]


def _without_folder(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    # Of a part of a data set its name alone would say nothing.
    kept = Path(*Path(value).parts[-2:]) if Path(value).name in ("train", "test") else Path(value).name
    return f"{option}{equals}{kept if '/' in value else value}"


def _evaluate(options: argparse.Namespace, given: list[str]) -> int:
    from engines import load_model, open_engine
    from training.baselines import open_baseline
    from training.evaluate import as_text, evaluate

    if options.regress and not options.protocol:
        raise ValueError("--regress goes with --protocol")
    if options.protocol and options.crop != "truth":
        raise ValueError("--crop: a protocol says itself where its crops come from")
    benchmark = PROTOCOLS[options.protocol](options.data) if options.protocol else None
    card: dict[str, object] = {}
    engine: Engine | None = open_baseline(Path(options.model), options.device)
    if engine is None:
        loaded = load_model(options.model)
        engine, card = open_engine(loaded, "eager", "fp32", options.device), loaded.card
    model = Path(options.model).stem
    if options.markdown and not options.markdown.absolute().parent.is_dir():
        raise ValueError(f"--markdown {options.markdown}: there is no such folder")
    if benchmark:
        measures = measure(engine, model, benchmark, options.regress, card)
        text = as_markdown(measures, benchmark.published)
    else:
        measures = evaluate(engine, model, options.data, options.crop)
        text = as_text(measures)
    print(json.dumps(measures) if options.json else text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")
    return _FINE


if __name__ == "__main__":
    sys.exit(main())
