"""Landmarks as data: Parquet, CSV, JSON Lines (one row a joint) and COCO."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from engines.skeleton import Skeleton
from tracker.feed import Source
from tracker.sinks import PartFile
from tracker.values import Result, Track

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

DATA_SUFFIXES = {"parquet": ".parquet", "csv": ".csv", "jsonl": ".jsonl", "coco": ".json"}
COLUMNS = (
    *("frame", "time_s", "track_id", "subject_score", "box_x1", "box_y1", "box_x2", "box_y2"),
    *("joint", "joint_name", "x", "y", "score", "x_raw", "y_raw"),
)
# Rows held back before they are written as one group: 240 frames of one face, a few megabytes.
_GROUP_ROWS = 1 << 14

Value = int | float | str


@dataclass(frozen=True)
class RunInfo:
    """What made the landmarks: goes into the metadata of the formats that have a place for it.

    ``model`` is the digest of the model file; ``runtime`` and ``precision`` are the engine's.
    """

    skeleton: Skeleton
    model: str = ""
    runtime: str = ""
    precision: str = ""


def metadata(source: Source, info: RunInfo) -> dict[str, Value]:
    """Where the landmarks come from: plain values, no folder, no password."""
    try:
        ours = version("kptrack")
    except PackageNotFoundError:  # a checkout that was never installed
        ours = "unknown"
    return {
        "source": source.name,
        "source_sha256": _sha256(source.path) if source.path is not None else "",
        "fps": source.fps,
        "width": source.width,
        "height": source.height,
        "rotation": source.rotation,
        "skeleton": info.skeleton.name,
        "model": info.model,
        "runtime": info.runtime,
        "precision": info.precision,
        "version": ours,
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rows(result: Result) -> Iterator[tuple[Value, ...]]:
    """A tuple in the order of ``COLUMNS`` for every joint of every subject, in source pixels."""
    frame = result.frame
    for track in result.tracks:
        head = (frame.index, frame.time_s, track.id, _plain(track.subject_score), *_floats(track.box))
        marks = track.landmarks
        joints = zip(
            result.skeleton.joints,
            marks.xy.tolist(),
            marks.score.tolist(),
            marks.xy_raw.tolist(),
            strict=True,
        )
        for joint, (name, (x, y), score, (x_raw, y_raw)) in enumerate(joints):
            yield (*head, joint, name, _plain(x), _plain(y), _plain(score), _plain(x_raw), _plain(y_raw))


def _plain(value: float) -> float:
    """A float32 with the digits that mean something: half the size of a text file."""
    return round(float(value), 4)


def _floats(array: np.ndarray) -> list[float]:
    return [_plain(each) for each in array.tolist()]


class CsvSink(PartFile):
    """Comma-separated values with a header line."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        try:
            self._file = self.part.open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise self.failure(error) from error
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)

    def write(self, result: Result) -> None:
        """Add the rows of one frame. Raises ``SinkError``."""
        try:
            self._writer.writerows(rows(result))
        except OSError as error:
            raise self.failure(error) from error

    def finish(self) -> None:
        """Write what is buffered."""
        self._file.close()

    def discard(self) -> None:
        """Keep the rows so far: every whole line of them is good."""
        _close_quietly(self._file)


class JsonLinesSink(PartFile):
    """One JSON object a line, a line a joint."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        try:
            self._file = self.part.open("w", encoding="utf-8")
        except OSError as error:
            raise self.failure(error) from error

    def write(self, result: Result) -> None:
        """Add the rows of one frame. Raises ``SinkError``."""
        try:
            for row in rows(result):
                self._file.write(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n")
        except OSError as error:
            raise self.failure(error) from error

    def finish(self) -> None:
        """Write what is buffered."""
        self._file.close()

    def discard(self) -> None:
        """Keep the rows so far: every whole line of them is good."""
        _close_quietly(self._file)


class ParquetSink(PartFile):
    """Parquet with the metadata of the run in the schema's."""

    def __init__(self, path: str | Path, source: Source, info: RunInfo) -> None:
        super().__init__(path)
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds: dict[str, pa.DataType] = dict.fromkeys(COLUMNS, pa.float32())
        kinds.update(frame=pa.int64(), time_s=pa.float64(), track_id=pa.int32(), joint=pa.int16())
        kinds["joint_name"] = pa.dictionary(pa.int16(), pa.string())
        self._rows: list[tuple[Value, ...]] = []
        try:
            # Names of files need not be UTF-8, which the metadata must.
            about = {
                name: str(value).encode(errors="backslashreplace")
                for name, value in metadata(source, info).items()
            }
            self._schema = pa.schema(list(kinds.items()), metadata=about)
            self._file = self.part.open("wb")
            self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")
        except OSError as error:
            raise self.failure(error) from error

    def write(self, result: Result) -> None:
        """Add the rows of one frame. Raises ``SinkError``."""
        self._rows.extend(rows(result))
        if len(self._rows) >= _GROUP_ROWS:
            try:
                self._flush()
            except OSError as error:
                raise self.failure(error) from error

    def _flush(self) -> None:
        import pyarrow as pa

        columns = list(zip(*self._rows, strict=True)) or [()] * len(COLUMNS)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()

    def finish(self) -> None:
        """Write the last rows and the footer."""
        self._flush()
        self._writer.close()
        self._file.close()

    def discard(self) -> None:
        """Remove it: without its footer a Parquet file cannot be read."""
        _close_quietly(self._writer)
        _close_quietly(self._file)
        super().discard()


class CocoSink(PartFile):
    """COCO keypoints: an image a frame, an annotation a subject.

    Annotations go to the file as they come; images, a few dozen bytes each, follow on close.
    """

    def __init__(self, path: str | Path, source: Source, info: RunInfo) -> None:
        super().__init__(path)
        self._source = source
        self._images: list[tuple[int, float]] = []
        self._count = 0
        category = {
            "id": 1,
            "name": info.skeleton.name,
            "supercategory": "subject",
            "keypoints": list(info.skeleton.joints),
            "skeleton": [[a + 1, b + 1] for a, b in info.skeleton.edges],
        }
        try:
            about = metadata(source, info)
            self._file = self.part.open("w", encoding="utf-8")
            self._file.write(f'{{"info": {json.dumps(about)},\n"categories": [{json.dumps(category)}],\n')
            self._file.write('"annotations": [')
        except OSError as error:
            raise self.failure(error) from error

    def write(self, result: Result) -> None:
        """Add one image and its annotations. Raises ``SinkError``."""
        image_id = len(self._images) + 1
        self._images.append((result.frame.index, result.frame.time_s))
        try:
            for track in result.tracks:
                self._count += 1
                note = self._annotation(track, image_id)
                self._file.write((",\n" if self._count > 1 else "\n") + json.dumps(note))
        except OSError as error:
            raise self.failure(error) from error

    def _annotation(self, track: Track, image_id: int) -> dict[str, object]:
        marks = track.landmarks
        seen = marks.score > 0
        # COCO's 2 is "labelled and visible"; an absent joint is three zeros.
        triples = np.where(seen[:, None], np.column_stack([marks.xy, np.full(len(seen), 2)]), 0)
        x1, y1, x2, y2 = _floats(track.box)
        return {
            "id": self._count,
            "image_id": image_id,
            "category_id": 1,
            "track_id": track.id,
            "keypoints": _floats(triples.reshape(-1)),
            "num_keypoints": int(seen.sum()),
            "score": _plain(track.subject_score),
            "keypoint_scores": _floats(marks.score),
            "bbox": [x1, y1, _plain(x2 - x1), _plain(y2 - y1)],
            "area": _plain((x2 - x1) * (y2 - y1)),
            "iscrowd": 0,
        }

    def finish(self) -> None:
        """Write the images and the closing brackets."""
        source = self._source
        self._file.write('\n],\n"images": [')
        for number, (index, time_s) in enumerate(self._images, 1):
            stem, dot, ending = source.name.rpartition(".")
            image = {
                "id": number,
                "file_name": source.name if source.still else f"{stem if dot else ending}_{index:06d}.jpg",
                "width": source.width,
                "height": source.height,
                "frame": index,
                "time_s": time_s,
            }
            self._file.write((",\n" if number > 1 else "\n") + json.dumps(image))
        self._file.write("\n]}\n")
        self._file.close()

    def discard(self) -> None:
        """Remove it: half a JSON document cannot be read."""
        _close_quietly(self._file)
        super().discard()


def _close_quietly(file: IO[Any] | pq.ParquetWriter) -> None:
    """Close a file whose disk may be full: the first error was said already."""
    try:
        file.close()
    except OSError:
        return
