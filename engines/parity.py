"""How far two engines disagree, in pixels: what is faster must find the same landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from engines.engine import Engine, Points

LIMIT_OF_SIDE = 0.5 / 128  # 99 of 100 points must lie closer, as a share of the crop's side
LIMIT_OF_SCORE = 0.05  # and as many scores, of points and subjects
CROPS = 64
# The first crops go one, two and five at a time: small batches run other code than large ones.
_GROUPS = (1, 2, 5)


@dataclass(frozen=True)
class Parity:
    """Distances of an engine's points from the reference's, in crop pixels, over ``crops`` crops.

    ``p99_score``: by how much 1 % of the scores, of points or of subjects, differ at least.
    """

    crops: int
    mean_px: float
    p99_px: float
    max_px: float
    p99_score: float


class ParityError(RuntimeError):
    """An engine does not do what the network does; the message has the figure."""


def check(reference: Engine, candidate: Engine, crops: np.ndarray) -> Parity:
    """The disagreement over crops ``(N, S, S, 3)`` uint8.

    Raises ``ParityError`` when its 99th percentile is over 0.5 px of 128, or over 0.05 for scores, when a
    result is not a finite number, and when it is of another type or shape.
    """
    parity = compare(reference, candidate, crops)
    limit = LIMIT_OF_SIDE * reference.input_size
    if parity.p99_px > limit:
        raise ParityError(
            f"{candidate.describe}: refused, as 1 % of its points are {parity.p99_px:.2f} px and more from "
            f"those of eager fp32, the worst {parity.max_px:.2f} px; allowed are {limit:.2f} px"
        )
    if parity.p99_score > LIMIT_OF_SCORE:
        raise ParityError(
            f"{candidate.describe}: refused, as 1 % of its scores are {parity.p99_score:.2f} and more from "
            f"those of eager fp32; allowed are {LIMIT_OF_SCORE:g}"
        )
    return parity


def compare(reference: Engine, candidate: Engine, crops: np.ndarray) -> Parity:
    """As ``check``, for any distance."""
    distances: list[np.ndarray] = []
    scores: dict[str, list[np.ndarray]] = {"score": [], "subject_score": []}
    for part in np.split(crops, np.cumsum(_GROUPS)):
        truth, found = reference(part), candidate(part)
        _refuse_odd(candidate, found, truth)
        distances.append(np.linalg.norm(found.xy - truth.xy, axis=-1).ravel())
        for name, differences in scores.items():
            differences.append(np.abs(getattr(found, name) - getattr(truth, name)).ravel())
    every = np.concatenate(distances)
    return Parity(
        len(crops),
        float(every.mean()),
        float(np.percentile(every, 99)),
        float(every.max(initial=0)),
        max(float(np.percentile(np.concatenate(each), 99)) for each in scores.values()),
    )


def generated_crops(size: int, count: int = CROPS) -> np.ndarray:
    """Crops ``(count, size, size, 3)`` uint8 where no picture is at hand: ovals in a smooth surrounding."""
    random = np.random.default_rng(0)
    crops = np.empty((count, size, size, 3), np.uint8)
    for crop in crops:
        coarse = random.integers(0, 256, (5, 5, 3), np.uint8)
        crop[:] = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
        for share in (0.35, 0.08, 0.08, 0.12):
            centre = random.uniform(0.3, 0.7, 2) * size
            axes = share * size * random.uniform(0.7, 1.3, 2)
            colour = [int(each) for each in random.integers(0, 256, 3)]
            turn = float(random.uniform(0, 180))
            cv2.ellipse(crop, (tuple(centre), tuple(2 * axes), turn), colour, -1, cv2.LINE_AA)
        crop[:] = np.clip(crop + random.normal(0, 4, crop.shape), 0, 255)
    return crops


def _refuse_odd(candidate: Engine, found: Points, truth: Points) -> None:
    for name in ("xy", "score", "subject_score"):
        here, there = getattr(found, name), getattr(truth, name)
        if here.dtype != there.dtype or here.shape != there.shape:
            raise ParityError(
                f"{candidate.describe}: refused, as {name} is {here.dtype} {here.shape}, "
                f"not {there.dtype} {there.shape}"
            )
        bad = int(np.count_nonzero(~np.isfinite(here)))
        if bad:
            raise ParityError(
                f"{candidate.describe}: refused, as {bad} of {here.size} numbers in {name} are not finite"
            )
