"""Which files a command reads and writes: decided, and refused, before any work is done."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tracker.feed import is_url, shown_name
from tracker.records import DATA_SUFFIXES
from tracker.sinks import part_of
from tracker.stills import PICTURES, VIDEOS, is_result, list_inputs
from ui.failures import UsageError


@dataclass(frozen=True)
class Job:
    """One input with its outputs; ``video`` is an annotated picture when the input is one."""

    source: str
    video: Path | None
    data: Path | None

    @property
    def shown(self) -> str:
        """The input as it may be shown and logged: a URL without password and query."""
        return shown_name(self.source) if is_url(self.source) else self.source

    @property
    def outputs(self) -> list[Path]:
        """What it writes."""
        return [path for path in (self.video, self.data) if path is not None]


def plan(
    inputs: Sequence[str],
    output: Path | None,
    recursive: bool = False,
    video: bool = True,
    data: str = "parquet",
) -> list[Job]:
    """Inputs as jobs. A folder stands for the files in it, whose sub-folders return below ``output``.

    Without ``output`` results lie beside their input, those of a URL or camera in the working folder.
    Raises ``UsageError``, and ``SourceError`` for a folder without pictures and videos.
    """
    if data not in (*DATA_SUFFIXES, "none"):
        raise UsageError(f"data {data!r} is not one of {', '.join(DATA_SUFFIXES)}, none")
    if not video and data == "none":
        raise UsageError("--no-video and --data none together leave nothing to write")
    sources = list(_expand(inputs, recursive))
    named = output if output is not None and _is_name(output) else None
    if named is not None:
        _check_name(named, sources)
    elif output is not None and output.is_file():
        raise UsageError(f"-o {output} is a file: give a folder or a name ending in .mp4")
    jobs = []
    folders = [output / below if output is not None else _home(source) for source, below in sources]
    # A folder may be named in two ways.
    places = [(folder.resolve(), _stem(source)) for folder, (source, _) in zip(folders, sources, strict=True)]
    shared = {place for place, count in Counter(places).items() if count > 1}
    for folder, place, (source, _) in zip(folders, places, sources, strict=True):
        if named is not None:
            base = named
        else:
            # A picture and its clip often share a name: then the ending tells their results apart.
            stem = _stem(source)
            stem = f"{stem}{_suffix(source)}" if place in shared else stem
            base = folder / f"{stem}.kptrack{_ending(source)}"
        jobs.append(
            Job(
                source,
                base if video else None,
                base.with_suffix(DATA_SUFFIXES[data]) if data != "none" else None,
            )
        )
    _check_distinct(jobs)
    return jobs


def _expand(inputs: Sequence[str], recursive: bool) -> Iterable[tuple[str, Path]]:
    """Each file or stream, and its folder relative to the input that named it.

    Of several names those of results are left out, as in a folder: ``*.mp4`` stands for them too.
    """
    check_named(*inputs)
    named = [name for name in inputs if is_url(name) or not is_result(Path(name))]
    for name in named or inputs:
        if not is_url(name) and Path(name).is_dir():
            for path in list_inputs(name, recursive):
                yield str(path), path.parent.relative_to(name)
        else:
            yield name, Path()


def _home(source: str) -> Path:
    return Path() if is_url(source) or _is_camera(source) else Path(source).parent


def _is_camera(source: str) -> bool:
    return source.isdecimal() and not Path(source).exists()


def _stem(source: str) -> str:
    if _is_camera(source):
        return f"camera-{source}"
    if is_url(source):
        host, _, path = shown_name(source).partition("://")[2].partition("/")
        return Path(path).stem or host.partition(":")[0] or "stream"
    return Path(source).stem


def _suffix(source: str) -> str:
    return Path(shown_name(source)).suffix.lower()


def _ending(source: str) -> str:
    suffix = Path(source).suffix
    return suffix if not is_url(source) and suffix.lower() in PICTURES else ".mp4"


def _is_name(output: Path) -> bool:
    """Whether ``-o`` names the one result; anything else is a folder."""
    known = (*VIDEOS, *PICTURES, *DATA_SUFFIXES.values())
    return output.suffix.lower() in known and not output.is_dir()


def _check_name(output: Path, sources: Sequence[tuple[str, Path]]) -> None:
    if len(sources) > 1:
        raise UsageError(f"-o {output}: there are {len(sources)} inputs; give a folder")
    wanted = PICTURES if _ending(sources[0][0]) != ".mp4" else (".mp4",)
    if output.suffix.lower() not in wanted:
        raise UsageError(f"-o {output}: give a folder or a name ending in {', '.join(wanted)}")


def _check_distinct(jobs: Sequence[Job]) -> None:
    """No output is an input, nor bears its name until it is whole; no two inputs have the same output."""
    read = {Path(job.source).resolve() for job in jobs if not is_url(job.source)}
    for job in jobs:
        for path in (name for each in job.outputs for name in (each, part_of(each))):
            same = path.exists() and any(each.exists() and path.samefile(each) for each in read)
            if same or path.resolve() in read:
                raise UsageError(f"{path} is an input: give another name with -o")
    for path, count in Counter(path.resolve() for job in jobs for path in job.outputs).items():
        if count > 1:
            raise UsageError(f"{path} would be the result of {count} inputs: process them one by one with -o")


def settle_existing(jobs: Sequence[Job], skip: bool, overwrite: bool) -> list[Job]:
    """The jobs with what is still to be written: nothing that exists is replaced without a word.

    With ``skip`` a result that exists is taken out of its job, which may leave a job without outputs.
    """
    if skip and overwrite:
        raise UsageError("--skip-existing and --overwrite exclude each other")
    if overwrite:
        return list(jobs)
    if skip:
        return [
            replace(
                job,
                video=None if job.video and job.video.exists() else job.video,
                data=None if job.data and job.data.exists() else job.data,
            )
            for job in jobs
        ]
    for job in jobs:
        for path in job.outputs:
            if path.exists():
                raise UsageError(f"{path} exists: give --overwrite, --skip-existing or another -o")
    return list(jobs)


def check_named(*inputs: str | None) -> None:
    """Refuse an empty name, which would stand for the working folder; None is none. Raises ``UsageError``."""
    if "" in inputs:
        raise UsageError("an input has no name: is a variable of the shell empty?")


def check_reports(paths: Iterable[Path | None]) -> None:
    """Refuse names under which the figures of a long run could not be kept. Raises ``UsageError``."""
    for path in paths:
        if path is not None and path.is_dir():
            raise UsageError(f"{path} is a folder: give the name of a file")
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError(f"{path}: there is no such folder")


def parse_time(text: str) -> float:
    """Seconds of ``90``, ``90s``, ``1:30`` or ``0:01:30.5``. Raises ``UsageError``."""
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d*)?s?", text):
        raise UsageError(f"{text!r} is not a time such as 90, 1:30 or 0:01:30.5")
    seconds = 0.0
    for part in text.removesuffix("s").split(":"):
        seconds = 60 * seconds + float(part)
    return seconds
