"""``kptrack bench``: how fast a model runs here, and how far the fast ways are from the plain one."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engines import Engine, MissingCapability, Model, load_model
from engines.buckets import out_of_memory
from engines.crop import cut
from engines.parity import ParityError
from ui.demo import portrait
from ui.engines import open_told
from ui.failures import Exit, UsageError, usage
from ui.machine import TENSORRT_PACKAGES, machine, versions
from ui.stages import StageFigures, time_stages

# The landmark box of the portrait: centre x, centre y, longer side, in its pixels.
_PORTRAIT_BOX = (225.0, 127.0, 86.0)
_PORTRAIT_CROPS = 64
_MOST_ROUNDS = 200
_FEWEST_ROUNDS = 5
_SECONDS_A_BATCH = 20.0
_WARM_UP = 2
_HEADINGS = (
    *("runtime", "precision", "batch", "build s", "median ms", "p95 ms", "p99 ms"),
    *("crops/s", "ratio to eager fp32", "px mean", "px max"),
)


@dataclass(frozen=True)
class Row:
    """One runtime, precision and batch size. Pixels are the crop's, against eager fp32.

    ``build_s`` is the time from nothing to the first result; a TensorRT engine that was built before
    is only loaded. ``skipped`` says in one word why there are no figures.
    """

    runtime: str
    precision: str
    batch: int
    build_s: float | None = None
    median_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    fps: float | None = None
    ratio_to_eager: float | None = None
    px_mean: float | None = None
    px_max: float | None = None
    skipped: str | None = None


@dataclass
class _Candidate:
    """An engine to be timed, or the reason why there is none."""

    runtime: str
    precision: str
    open_s: float = 0.0
    engine: Engine | None = None
    skipped: str | None = None


def run_bench(
    model: str,
    runtimes: str,
    precisions: str,
    batches: str,
    video: Path | None,
    json_file: Path | None,
    markdown: Path | None,
) -> Exit:
    """The whole command: measure, print the tables to stdout, write the files."""
    with usage():
        sizes = [int(each) for each in batches.split(",")]
    if not sizes or min(sizes) < 1:
        raise UsageError(f"batch {batches!r} is not a list of numbers from 1 up")
    figures = measure(model, runtimes.split(","), precisions.split(","), sizes, video)
    print(figures.markdown)
    if json_file is not None:
        json_file.write_text(json.dumps(figures.found, indent=2) + "\n")
    if markdown is not None:
        markdown.write_text(figures.markdown + "\n")
    return Exit.FINE


@dataclass(frozen=True)
class Figures:
    """What was measured: the rows, all of it as plain values, and the tables."""

    rows: tuple[Row, ...]
    found: dict[str, object]
    markdown: str


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def measure(
    model: str,
    runtimes: Sequence[str],
    precisions: Sequence[str],
    batches: Sequence[int],
    video: Path | None,
    say: Callable[[str], None] = _say,
) -> Figures:
    """Time every combination, on crops of the portrait and of ``video``, and the stages of ``video``.

    ``say`` is told what begins. Raises ``UsageError`` for a model or a name that is not there and
    ``SourceError`` for a video that cannot be read.
    """
    with usage():
        loaded = load_model(model)
    crops = portrait_crops(loaded)
    stages: StageFigures | None = None
    if video is not None:
        say(f"timing the stages of {video.name} …")
        stages = time_stages(loaded, video)
        crops = np.concatenate([crops, stages.crops])
    rows = time_engines(loaded, runtimes, precisions, batches, crops, say)
    found: dict[str, object] = {
        "machine": machine(),
        "versions": {
            **versions(),
            **versions(TENSORRT_PACKAGES),
            "model": f"{loaded.name} sha256 {loaded.digest[:12]}",
        },
        "rows": [asdict(row) for row in rows],
        "stages": [asdict(stage) for stage in stages.stages] if stages else [],
        "end_to_end_fps": stages.end_to_end_fps if stages else None,
    }
    return Figures(tuple(rows), found, as_markdown(found, rows, stages))


def portrait_crops(model: Model) -> np.ndarray:
    """Face crops ``(64, S, S, 3)`` uint8 of the demonstration portrait, cut as a tracker might miss."""
    random = np.random.default_rng(0)
    x, y, side = _PORTRAIT_BOX
    count = _PORTRAIT_CROPS
    shift = random.uniform(-0.08, 0.08, (count, 2)) * side
    scale = random.uniform(0.9, 1.1, count) * side * model.crop_scale
    roll = random.uniform(-0.25, 0.25, count)
    boxes = np.column_stack([x + shift[:, 0], y + shift[:, 1], scale, roll])
    crops = cut(portrait(), boxes, model.config.input_size)
    crops[::2] = crops[::2, :, ::-1]
    return crops


def time_engines(
    model: Model,
    runtimes: Sequence[str],
    precisions: Sequence[str],
    batches: Sequence[int],
    crops: np.ndarray,
    say: Callable[[str], None],
) -> list[Row]:
    """Rows for every combination, plain eager fp32 first.

    Of one batch size all engines take turns pass by pass, so that a machine that is busy for a
    while is busy for all of them.
    """
    candidates = [_open(model, "eager", "fp32", say)]
    for runtime in runtimes:
        for precision in precisions:
            if (runtime, precision) != ("eager", "fp32"):
                candidates.append(_open(model, runtime, precision, say))
    reference = candidates[0].engine
    assert reference is not None  # eager fp32 runs everywhere
    truth = _landmarks(reference, crops, len(crops))
    rows = [row for batch in batches for row in _time_batch(candidates, batch, crops, truth, say)]
    for candidate in candidates:
        if candidate.engine is not None:
            candidate.engine.close()
    return rows


def _open(model: Model, runtime: str, precision: str, say: Callable[[str], None]) -> _Candidate:
    say(f"opening {runtime} {precision} …")
    candidate = _Candidate(runtime, precision)
    begin = time.perf_counter()
    try:
        candidate.engine = open_told(model, runtime, precision, "auto", say)
    except RuntimeError as error:  # a missing capability, or what PyTorch says of one
        candidate.skipped = _in_a_word(error)
        say(f"skipping {runtime} {precision}: {str(error).splitlines()[0]}")
        return candidate
    candidate.open_s = time.perf_counter() - begin
    candidate.precision = candidate.engine.precision
    return candidate


def _time_batch(
    candidates: Sequence[_Candidate],
    batch: int,
    crops: np.ndarray,
    truth: np.ndarray,
    say: Callable[[str], None],
) -> list[Row]:
    sample = np.resize(crops, (batch, *crops.shape[1:]))
    first_s: dict[int, float] = {}
    differences: dict[int, np.ndarray] = {}
    skipped = {index: each.skipped for index, each in enumerate(candidates) if each.skipped}
    for index, candidate in enumerate(candidates):
        if candidate.engine is None:
            continue
        say(f"warming up {candidate.runtime} {candidate.precision}, batch {batch} …")
        try:
            first_s[index] = _pass_s(candidate.engine, sample)
        except RuntimeError as error:  # a precision that PyTorch lacks here
            skipped[index] = _in_a_word(error)
            say(f"skipping {candidate.runtime} {candidate.precision}: {str(error).splitlines()[0]}")
            continue
        for _ in range(_WARM_UP):
            candidate.engine(sample)
        found = _landmarks(candidate.engine, crops, batch)
        differences[index] = np.linalg.norm(found - truth, axis=-1)
    taken = _take_turns({index: candidates[index].engine for index in first_s}, sample)
    base_ms = float(np.median(taken[0])) if 0 in taken else None
    rows = []
    for index, each in enumerate(candidates):
        if index in skipped:
            rows.append(Row(each.runtime, each.precision, batch, skipped=skipped[index]))
            continue
        median, p95, p99 = (float(value) for value in np.percentile(taken[index], (50, 95, 99)))
        rows.append(
            Row(
                each.runtime,
                each.precision,
                batch,
                build_s=round(each.open_s + first_s[index], 3),
                median_ms=round(median, 3),
                p95_ms=round(p95, 3),
                p99_ms=round(p99, 3),
                fps=round(1000 * batch / median, 2),
                ratio_to_eager=round(base_ms / median, 3) if base_ms else None,
                px_mean=round(float(differences[index].mean()), 4),
                px_max=round(float(differences[index].max()), 4),
            )
        )
    return rows


def _in_a_word(error: RuntimeError) -> str:
    """Why an engine does not run: what is missing, or what it failed at."""
    if isinstance(error, MissingCapability):
        return error.lacks
    if isinstance(error, ParityError):
        return "parity"
    return "memory" if out_of_memory(error) else "failed"


def _take_turns(engines: dict[int, Engine | None], sample: np.ndarray) -> dict[int, list[float]]:
    """Milliseconds of every pass, in rounds of one pass an engine."""
    taken: dict[int, list[float]] = {index: [] for index in engines}
    begin = time.perf_counter()
    gc.collect()
    gc.disable()
    try:
        for count in range(_MOST_ROUNDS):
            if count >= _FEWEST_ROUNDS and time.perf_counter() - begin > _SECONDS_A_BATCH:
                break
            for index, engine in engines.items():
                if engine is not None:
                    taken[index].append(1000 * _pass_s(engine, sample))
    finally:
        gc.enable()
    return taken


def _pass_s(engine: Engine, sample: np.ndarray) -> float:
    """Seconds of one pass; its result is in main memory by then, so a GPU is done too."""
    begin = time.perf_counter()
    engine(sample)
    return time.perf_counter() - begin


def _landmarks(engine: Engine, crops: np.ndarray, batch: int) -> np.ndarray:
    """Landmarks ``(N, K, 2)`` of all crops, ``batch`` at a time, the last batch filled up."""
    found = []
    for begin in range(0, len(crops), batch):
        part = crops[begin : begin + batch]
        found.append(engine(np.resize(part, (batch, *part.shape[1:]))).xy[: len(part)])
    return np.concatenate(found)


def as_markdown(found: dict[str, object], rows: Sequence[Row], stages: StageFigures | None) -> str:
    """The figures as Markdown tables, with the machine they belong to."""
    lines = [
        f"- {part}: " + ", ".join(f"{name} {value}" for name, value in _items(found[part]))
        for part in ("machine", "versions")
    ]
    lines += [
        "",
        f"| {' | '.join(_HEADINGS)} |",
        "|---" * len(_HEADINGS) + "|",
    ]
    for row in rows:
        cells = list(asdict(row).values())[:-1]
        if row.skipped:
            lines.append(
                f"| {row.runtime} | {row.precision} | {row.batch} | skipped: {row.skipped} |" + " |" * 7
            )
        else:
            lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    if stages is not None:
        lines += ["", "| stage | median ms | CPU ms a frame |", "|---|---|---|"]
        lines += [f"| {each.stage} | {each.median_ms} | {each.cpu_ms} |" for each in stages.stages]
        lines += [
            f"| all | | {sum(each.cpu_ms for each in stages.stages):.2f} |",
            "",
            f"End to end, all stages overlapping: {stages.end_to_end_fps} frames a second over "
            f"{stages.frames} frames, {stages.frames_with_subject} of them with a subject.",
        ]
    return "\n".join(lines)


def _items(table: object) -> list[tuple[str, object]]:
    assert isinstance(table, dict)
    return [(name, value) for name, value in table.items() if value is not None]
