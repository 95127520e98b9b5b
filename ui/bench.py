"""``kptrack bench``: how fast a model runs here, and how far the fast ways are from the plain one."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engines import load_model
from engines.engine import check_names
from ui.failures import Exit, UsageError, usage
from ui.interrupt import Cancel, Interrupt
from ui.jobs import check_reports
from ui.machine import TENSORRT_PACKAGES, machine, versions
from ui.portrait import portrait_crops
from ui.race import Race, Row
from ui.stages import StageFigures, time_stages

_HEADINGS = (
    *("runtime", "precision", "batch", "build s", "median ms", "p95 ms", "p99 ms"),
    *("crops/s", "ratio to eager fp32", "px mean", "px max"),
)


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
    if not re.fullmatch(r"0*[1-9]\d*(,0*[1-9]\d*)*", batches):
        raise UsageError(f"batch {batches!r} is not a list of numbers from 1 up, such as 1,8,64")
    sizes = [int(each) for each in batches.split(",")]
    check_reports((json_file, markdown))
    # What was measured until Ctrl-C is kept: a run may take half an hour.
    with Interrupt() as cancel, cancel.held():
        figures = measure(model, runtimes.split(","), precisions.split(","), sizes, video, cancel=cancel)
    if cancel.asked:
        _say("interrupted: what was measured before is below")
    print(figures.markdown)
    if json_file is not None:
        json_file.write_text(json.dumps(figures.found, indent=2) + "\n")
    if markdown is not None:
        markdown.write_text(figures.markdown + "\n")
    return Exit.INTERRUPTED if cancel.asked else Exit.FINE


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
    cancel: Cancel | None = None,
) -> Figures:
    """Time every combination, on crops of the portrait and of ``video``, and the stages of ``video``.

    ``say`` is told what begins. When ``cancel`` is asked for, nothing more is opened, and what is open is
    timed in a few passes. Raises ``UsageError`` for a model or a name that is not there and
    ``SourceError`` for a video that cannot be read.
    """
    cancel = cancel or Cancel()
    ways = [(runtime, precision) for runtime in runtimes for precision in precisions]
    with usage():
        for way in ways:  # before any of them is timed
            check_names(*way)
        loaded = load_model(model)
    crops = portrait_crops(loaded)
    stages: StageFigures | None = None
    if video is not None:
        say(f"timing the stages of {video.name} …")
        stages = time_stages(loaded, video, cancel)
    if stages is not None:
        crops = np.concatenate([crops, stages.crops])
    rows = Race(loaded, ways, crops, say, cancel).run(batches)
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
