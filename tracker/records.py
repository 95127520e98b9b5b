"""Landmarks as data: Parquet, CSV, JSON Lines, COCO."""

from __future__ import annotations

from dataclasses import dataclass

from engines.skeleton import Skeleton

DATA_SUFFIXES = {"parquet": ".parquet", "csv": ".csv", "jsonl": ".jsonl", "coco": ".json"}


@dataclass(frozen=True)
class RunInfo:
    """What made the landmarks: goes into the metadata of the formats that have a place for it."""

    skeleton: Skeleton
    model: str = ""
    runtime: str = ""
    precision: str = ""
