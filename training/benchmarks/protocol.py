"""What all protocols share: labelled samples, measures, and the rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from engines import crop
from engines.engine import Engine
from engines.skeleton import Skeleton
from training.benchmarks import regression
from training.benchmarks.published import SOURCES, Row
from training.evaluate import labelled_boxes, predict

OURS = "here"  # the source of the rows that were measured by ``measure``
_CHUNK = 32  # pictures held at a time: frames of Human3.6M are 3 MB each

# Mean errors ``(N,)`` of points against the truth, both ``(N, K, 2)`` in pixels.
Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Sample:
    """A labelled picture.

    ``image`` ``(H, W, 3)`` uint8 RGB; ``points`` ``(K, 2)`` in its pixels, NaN where one is not labelled;
    ``group`` is the column of the table it counts in; ``box`` ``(4,)`` is the crop to look at, and None
    stands for the square of the engine's ``crop_scale`` x the longer side of the points' box.
    """

    image: np.ndarray
    points: np.ndarray
    group: str
    box: np.ndarray | None = None


@dataclass(frozen=True)
class Kin:
    """Another ``skeleton`` whose models are scored too, by one ``measure`` of the benchmark.

    ``joints``: the benchmark's name of each joint that both have, by the other's name of it. That measure
    is of these joints alone.
    """

    skeleton: Skeleton
    joints: Mapping[str, str]
    measure: str

    def found_as(self, skeleton: Skeleton, found: np.ndarray) -> np.ndarray:
        """Points ``(N, M, 2)`` of ``self.skeleton`` as those of ``skeleton``; NaN for what it lacks."""
        points = np.full((len(found), len(skeleton.joints), 2), np.nan, found.dtype)
        for other, own in self.joints.items():
            points[:, skeleton.joints.index(own)] = found[:, self.skeleton.joints.index(other)]
        return points


@dataclass(frozen=True)
class Benchmark:
    """A protocol with its data.

    ``skeleton`` is what a model must predict, ``joints`` those of its joints that are labelled, in the
    order of the labels. ``test`` and ``training`` read their split anew at every call. ``groups`` are
    the columns; ``total`` names the one for all of them, which is the mean ``over_groups`` or else over
    pictures. With ``confusable``, left and right of the subject are easily confused: then an oracle
    error and the share of correct flips are told too. ``caution`` says by a model's card what forbids to
    set its rows beside the ``published`` ones; "" where nothing does.
    """

    name: str
    unit: str
    skeleton: Skeleton
    measures: Mapping[str, Measure]
    groups: Sequence[str]
    test: Callable[[], Iterator[Sample]]
    training: Callable[[], Iterator[Sample]]
    total: str = "all"
    over_groups: bool = False
    confusable: bool = False
    joints: tuple[str, ...] = ()
    kin: Kin | None = None
    published: tuple[Row, ...] = ()
    caution: Callable[[Mapping[str, object]], str] = lambda card: ""

    @property
    def labelled(self) -> list[int]:
        """Indices of the labelled joints in the skeleton."""
        return [self.skeleton.joints.index(joint) for joint in self.joints or self.skeleton.joints]

    @property
    def mirror(self) -> np.ndarray:
        """``(K,)``: ``points[mirror]`` of labelled points exchanges left and right."""
        labelled = self.labelled
        return np.array([labelled.index(int(self.skeleton.mirror[joint])) for joint in labelled])


@dataclass(frozen=True)
class Predictions:
    """Of one split: what was ``found`` ``(N, M, 2)``, ``truth`` ``(N, K, 2)``, crops ``(N, 4)``, groups."""

    found: np.ndarray
    truth: np.ndarray
    boxes: np.ndarray
    groups: np.ndarray


def measure(
    engine: Engine,
    model: str,
    benchmark: Benchmark,
    regress: bool = False,
    card: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """All rows of a model, as plain values: ``model, benchmark, unit, pictures, columns, rows, notes``.

    With ``regress`` a linear map from the predictions to the labels is fitted on the training split,
    and its rows stand beside the strict ones; an engine of any other skeleton has only those. What the
    model's ``card`` tells against its rows is among the notes. Raises ``ValueError`` for an engine of
    another skeleton without ``regress`` and for data that are not as published.
    """
    kin = benchmark.kin if benchmark.kin and engine.skeleton == benchmark.kin.skeleton else None
    if not (kin or regress or engine.skeleton == benchmark.skeleton):
        raise ValueError(
            f"{benchmark.name} wants predictions of {benchmark.skeleton.name}: {model} gives"
            f" {engine.skeleton.name}, {len(engine.skeleton.joints)} joints, which only --regress can score"
        )
    # The labels of the training split are read first: if they are missing, better now than in an hour.
    training = predictions(engine, benchmark.training()) if regress else None
    test = predictions(engine, benchmark.test())
    rows = []
    if engine.skeleton == benchmark.skeleton:
        rows = _rows(model, benchmark, test, test.found[:, benchmark.labelled], list(benchmark.measures))
    elif kin:
        rows = _rows(model, benchmark, test, kin.found_as(benchmark.skeleton, test.found), [kin.measure])
    if training is not None:
        rows += _fitted_rows(model, benchmark, training, test)
    return {
        "model": model,
        "benchmark": benchmark.name,
        "unit": benchmark.unit,
        "pictures": len(test.truth),
        "columns": [*benchmark.groups, benchmark.total],
        "rows": [asdict(row) for row in rows],
        "notes": _notes(benchmark, card or {}),
    }


def _notes(benchmark: Benchmark, card: Mapping[str, object]) -> list[str]:
    """What must be told below the table."""
    notes = [benchmark.caution(card)]
    if kin := benchmark.kin:
        notes.append(f"{kin.measure}: {', '.join(kin.joints.values())}, which {kin.skeleton.name} has too.")
    return [note for note in notes if note]


def predictions(engine: Engine, samples: Iterable[Sample]) -> Predictions:
    """What an engine finds, a few pictures at a time."""
    found, truth, boxes, groups = [], [], [], []
    rest = iter(samples)
    while chunk := list(islice(rest, _CHUNK)):
        points = np.stack([each.points for each in chunk]).astype(np.float32)
        around = labelled_boxes(points, engine.crop_scale)
        here = np.stack(
            [box if each.box is None else each.box for each, box in zip(chunk, around, strict=True)]
        )
        found.append(predict(engine, [each.image for each in chunk], here))
        truth.append(points)
        boxes.append(here)
        groups += [each.group for each in chunk]
    if not groups:
        raise ValueError("no labelled pictures")
    return Predictions(np.concatenate(found), np.concatenate(truth), np.concatenate(boxes), np.array(groups))


def _rows(
    model: str, benchmark: Benchmark, test: Predictions, points: np.ndarray, measures: list[str]
) -> list[Row]:
    """Strict errors by ``measures``, and where left and right may be confused what that costs."""
    rows = []
    for name in measures:
        errors = benchmark.measures[name]
        strict = errors(points, test.truth)
        rows.append(_row(model, f"strict, {name}", benchmark, test, strict))
        if benchmark.confusable:
            swapped = errors(points, test.truth[:, benchmark.mirror])
            oracle = np.minimum(strict, swapped)
            rows.append(_row(model, f"left/right oracle, {name}", benchmark, test, oracle))
            right = 100.0 * (strict < swapped)
            rows.append(_row(model, f"correct flips %, {name}", benchmark, test, right))
    return rows


def _fitted_rows(model: str, benchmark: Benchmark, training: Predictions, test: Predictions) -> list[Row]:
    """Errors after linear regression, and with labels swapped at will as AutoLink scores people."""
    before, after, truth = (
        regression.in_crops(points, boxes)
        for points, boxes in (
            (training.found, training.boxes),
            (test.found, test.boxes),
            (training.truth, training.boxes),
        )
    )
    rows = []
    fitted = regression.apply(regression.fit(before, truth), after)
    unoriented = fitted
    if benchmark.confusable:
        weights = regression.fit_unoriented(before, truth, benchmark.mirror)
        unoriented = regression.apply(weights, after)
    for name, errors in benchmark.measures.items():
        strict = errors(crop.to_frame(fitted - 0.5, test.boxes, 1), test.truth)
        rows.append(_row(model, f"+ regression, {name}", benchmark, test, strict))
        if benchmark.confusable:
            points = crop.to_frame(unoriented - 0.5, test.boxes, 1)
            either = [errors(points, truth) for truth in (test.truth, test.truth[:, benchmark.mirror])]
            least = np.minimum(*either)
            rows.append(_row(model, f"+ regression, L/R-invariant, {name}", benchmark, test, least))
    return rows


def _row(model: str, how: str, benchmark: Benchmark, test: Predictions, values: np.ndarray) -> Row:
    """Means of ``values`` ``(N,)`` by group, and the total as the protocol forms it."""
    if missing := [name for name in benchmark.groups if name not in test.groups]:
        raise ValueError(f"{benchmark.name}: no pictures of {', '.join(missing)}: half a download?")
    means = {name: float(values[test.groups == name].mean()) for name in benchmark.groups}
    total = float(np.mean(list(means.values()))) if benchmark.over_groups else float(values.mean())
    return Row(model, how, {**means, benchmark.total: total}, OURS)


def as_markdown(measures: dict[str, Any], published: Sequence[Row]) -> str:
    """A table: the rows of ``measure``, then the published ones; below, its notes and their sources."""
    columns = measures["columns"]
    head = f"{measures['benchmark']}, {measures['unit']}, {measures['pictures']} pictures"
    lines = [f"| {head} | " + " | ".join(columns) + " | how | source |", "|---" * (len(columns) + 3) + "|"]
    rows = [*(Row(**row) for row in measures["rows"]), *published]
    for row in rows:
        cells = [f"{row.values[name]:.2f}" if name in row.values else "" for name in columns]
        lines.append(f"| {row.method} | " + " | ".join(cells) + f" | {row.how} | {row.source} |")
    lines += [f"\n{note}" for note in measures["notes"]]
    used = sorted({tag for row in published for tag in row.source.split(", ")})
    lines += [f"\nSources: {'; '.join(f'{tag} {SOURCES[tag]}' for tag in used)}."] if used else []
    return "\n".join(lines)
