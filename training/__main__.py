"""``python -m training train|eval``: plain argparse, so that it runs where only PyTorch is installed."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from engines.engine import MissingCapability
from training.config import PRESETS, with_settings

_FINE, _FAILED, _USAGE, _INCAPABLE, _INTERRUPTED = 0, 1, 2, 4, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Errors are one line on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parser().parse_args(given)
        return int(options.command(options, given))
    except SystemExit as end:
        return int(end.code or 0)
    except ValueError as error:
        return _complain(error, _USAGE)
    except MissingCapability as error:
        return _complain(error, _INCAPABLE)
    except (OSError, RuntimeError) as error:
        return _complain(error, _FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted", _INTERRUPTED)


def _complain(error: object, code: int) -> int:
    print(f"kptrack: {' '.join(str(error).split())}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kptrack", description="Train and measure landmark models.")
    commands = parser.add_subparsers(required=True, metavar="train|eval")
    train = commands.add_parser("train", help="train a model from unlabelled pictures and unpaired poses")
    train.add_argument(
        "preset", choices=PRESETS, help="what to train: face, or the smaller face-lite for a CPU"
    )
    train.add_argument(
        "--data", type=Path, required=True, help="folder with train/SET/{index.npz,images/} and prior/*.npz"
    )
    train.add_argument(
        "--out", type=Path, required=True, help="folder of the run: log, grids, checkpoints, model"
    )
    train.add_argument(
        "--perceptual",
        type=Path,
        help="weights of SqueezeNet 1.1 or VGG-19 [default: torchvision's cached ones]",
    )
    train.add_argument("--resume", action="store_true", help="go on with the run in --out")
    train.add_argument("--stop-at", type=int, metavar="STEP", help="end early, as for a try of several seeds")
    train.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of the preset"
    )
    train.add_argument("--device", default="auto", help="auto, cpu or cuda:N [default: auto]")
    train.set_defaults(command=_train)
    evaluate = commands.add_parser("eval", help="measure a model on labelled pictures")
    evaluate.add_argument("model", help="name of a shipped model, or a model file")
    evaluate.add_argument(
        "data", type=Path, help="folder with index.npz and images/, or a folder of such folders"
    )
    evaluate.add_argument(
        "--crop", choices=("truth", "detector"), default="truth", help="where the crops come from"
    )
    evaluate.add_argument("--json", action="store_true", help="one JSON object on stdout")
    evaluate.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    evaluate.add_argument("--device", default="auto", help="auto, cpu or cuda:N [default: auto]")
    evaluate.set_defaults(command=_evaluate)
    return parser


def _train(options: argparse.Namespace, given: list[str]) -> int:
    from engines.eager import choose_device
    from training.train import Run, train

    config = with_settings(PRESETS[options.preset], options.set)
    run = Run(options.data, options.out, options.perceptual, f"kptrack {shlex.join(_portable(given))}")
    finished = train(run, config, options.resume, choose_device(options.device), options.stop_at)
    return _FINE if finished else _INTERRUPTED


def _portable(given: list[str]) -> list[str]:
    """The command line for a card: without the folders of this machine and what only continues a run."""
    parts = [each for each in given if each != "--resume"]
    return [Path(each).name if "/" in each else each for each in parts]


def _evaluate(options: argparse.Namespace, given: list[str]) -> int:
    from engines import open_engine
    from training.evaluate import as_text, evaluate

    engine = open_engine(options.model, runtime="eager", precision="fp32", device=options.device)
    measures = evaluate(engine, Path(options.model).stem, options.data, options.crop)
    text = as_text(measures)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")
    print(json.dumps(measures) if options.json else text)
    return _FINE


if __name__ == "__main__":
    sys.exit(main())
