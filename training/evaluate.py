"""Accuracy of a model on labelled pictures: NME, its spread, and the same from detected crops."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines import crop
from engines.engine import Engine
from engines.skeleton import CAT_HEAD, FACE68, HUMAN, Skeleton
from tracker.detect import best_detector, make_detector
from training.index import load_arrays, read_picture

CROPS = ("truth", "detector")
_LIMIT = 10.0  # percent: failure rate and area under the curve are taken there
_LARGEST_SHIFT = 0.15  # of the picture's side, before a detector looks: its middle must not be the answer
_BATCH = 32
# The two joints whose distance is the unit of length; a person's is the side of the crop.
_UNITS = {FACE68.name: ("left_eye_0", "right_eye_3"), CAT_HEAD.name: ("left_eye", "right_eye")}
_PERSON_CROP = 1.25  # the longer side of the joints' box fills 0.8 of the crop


@dataclass(frozen=True)
class LabelledSet:
    """Pictures, RGB, and their joints ``(N, J, 2)`` in pixels; ``groups`` ``(N,)`` names set and subset.

    NaN where a joint is not labelled. ``joints`` ``(J,)`` says which of the skeleton's they are, ``inferred``
    ``(N, J)`` which of them cannot be seen, and were placed by what is around them.
    """

    images: list[np.ndarray]
    points: np.ndarray
    groups: np.ndarray
    joints: np.ndarray
    inferred: np.ndarray


def load_labelled(folder: Path, skeleton: Skeleton) -> list[LabelledSet]:
    """The set in ``folder``, or one for each folder in it, all with the same joints.

    Raises ``ValueError`` for what does not fit.
    """
    folders = (
        [folder] if (folder / "index.npz").is_file() else sorted(p.parent for p in folder.glob("*/index.npz"))
    )
    if not folders:
        raise ValueError(
            f"no labelled pictures in {folder}: want index.npz and images/ in it, or folders with those"
        )
    sets = [_load(each, skeleton) for each in folders]
    if any(not np.array_equal(each.joints, sets[0].joints) for each in sets):
        raise ValueError(f"the sets in {folder} have different joints: measure them one by one")
    return sets


def _load(folder: Path, skeleton: Skeleton) -> LabelledSet:
    index = load_arrays(folder / "index.npz", "name", "pts")
    points, names = index["pts"].astype(np.float32), index["name"]
    labelled = index.get("joint_names", np.array(skeleton.joints)).tolist()
    if skeleton.name in _UNITS and labelled != list(skeleton.joints):
        raise ValueError(
            f"{folder / 'index.npz'}: joint_names are for people; pts of {skeleton.name} are all"
            f" {len(skeleton.joints)} in its order, NaN where there is no label"
        )
    if points.shape != (len(names), len(labelled), 2) or set(labelled) - set(skeleton.joints):
        raise ValueError(
            f"{folder / 'index.npz'}: pts of shape {points.shape} do not fit {len(names)} pictures"
            f" of {skeleton.name}: want {(len(names), len(skeleton.joints), 2)}, or joint_names of its own"
        )
    _check_labels(folder / "index.npz", names, points, skeleton)
    subset = index.get("subset", np.full(len(names), ""))
    if "upright" in index:
        subset = np.where(index["upright"], "upright", "other")
    several = len(np.unique(subset)) > 1
    groups = np.array([f"{folder.name}/{each}" if several else folder.name for each in subset])
    images = [read_picture(folder / "images" / str(name)) for name in names]
    joints = np.array([skeleton.joints.index(joint) for joint in labelled])
    return LabelledSet(
        images, points, groups, joints, index.get("inferred", np.zeros(points.shape[:2], bool))
    )


def _check_labels(path: Path, names: np.ndarray, points: np.ndarray, skeleton: Skeleton) -> None:
    """Raise ``ValueError`` for a picture whose labels give no length to measure errors in."""
    some = ~np.isnan(points).all(axis=(1, 2))
    measurable = some.copy()
    measurable[some] = unit_lengths(points[some], skeleton) > 0
    if not measurable.all():
        wanted = " and ".join(_UNITS.get(skeleton.name, ("two joints",)))
        raise ValueError(
            f"{path}: {names[~measurable][0]} has no labels of {wanted} in two places: leave it out"
        )


def labelled_boxes(points: np.ndarray, scale: float) -> np.ndarray:
    """``crop.landmark_boxes`` of the joints that are labelled: NaN is none."""
    middle = np.nanmean(points, axis=1, keepdims=True)
    return crop.landmark_boxes(np.where(np.isnan(points), middle, points), scale)


def predict(engine: Engine, images: list[np.ndarray], boxes: np.ndarray) -> np.ndarray:
    """Joints ``(N, K, 2)`` in pixels of the pictures, from crops at ``boxes`` ``(N, 4)``."""
    size = engine.input_size
    crops = np.concatenate([crop.cut(image, box, size) for image, box in zip(images, boxes, strict=True)])
    parts = [engine(crops[start : start + _BATCH]).xy for start in range(0, len(crops), _BATCH)]
    return crop.to_frame(np.concatenate(parts), boxes, size)


def normalised_errors(points: np.ndarray, truth: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Distances ``(N, J)`` of points to the truth, both ``(N, J, 2)``, in percent of its ``unit_lengths``."""
    return 100 * np.linalg.norm(points - truth, axis=-1) / unit_lengths(truth, skeleton)[:, None]


def unit_lengths(truth: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """What errors are a share of ``(N,)``, in the unit of ``truth`` ``(N, J, 2)``.

    Faces: the distance of the outer eye corners; cats: of the eyes; people: the side of the crop, whichever
    joints are given.
    """
    if skeleton.name not in _UNITS:
        return labelled_boxes(truth, _PERSON_CROP)[:, 2]
    left, right = (skeleton.joints.index(joint) for joint in _UNITS[skeleton.name])
    return np.asarray(np.linalg.norm(truth[:, left] - truth[:, right], axis=-1))


@dataclass(frozen=True)
class _Scored:
    """Errors ``(N, J)`` of N pictures, and ``swapped``: with left and right of the subject exchanged."""

    errors: np.ndarray
    swapped: np.ndarray
    inferred: np.ndarray
    missed: np.ndarray
    groups: np.ndarray

    def where(self, chosen: np.ndarray) -> _Scored:
        """The part that ``chosen`` ``(N,)`` marks."""
        return _Scored(*(getattr(self, each.name)[chosen] for each in fields(self)))


def evaluate(engine: Engine, model: str, data: Path, crops: str) -> dict[str, Any]:
    """All measures of a model on ``data``, pooled by picture, and apart under ``sets``.

    ``crops`` ``truth``: the square of ``crop_scale`` x the longer side of the labelled points' box;
    ``detector``: of the box that the tracker's detector finds in a picture shifted by up to 15 %.
    Percent, but ``auc10``, which is 0 to 1. Raises ``ValueError`` for data that do not fit the model.
    """
    skeleton = engine.skeleton
    if skeleton.name not in (*_UNITS, HUMAN.name):
        raise ValueError(
            f"no measure for {skeleton.name}: there is one for {', '.join(_UNITS)}, {HUMAN.name}"
        )
    loaded = load_labelled(data, skeleton)
    parts = [_score(engine, each, crops) for each in loaded]
    scored = _Scored(
        *(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(_Scored))
    )
    names = [skeleton.joints[joint] for joint in loaded[0].joints]
    per_joint = dict(zip(names, np.nanmean(scored.errors, axis=0).round(3).tolist(), strict=True))
    sets = {
        str(name): _measures(scored.where(scored.groups == name), skeleton)
        for name in np.unique(scored.groups)
    }
    return {
        "model": model,
        "data": data.name,
        "crop": crops,
        **_measures(scored, skeleton),
        "per_joint": per_joint,
        "sets": sets,
    }


def _score(engine: Engine, labelled: LabelledSet, crops: str) -> _Scored:
    if crops == "truth":
        boxes = labelled_boxes(labelled.points, engine.crop_scale)
        images, truth, found = labelled.images, labelled.points, np.ones(len(boxes), bool)
    else:
        images, truth = _shifted(labelled)
        boxes, found = _detected(images, engine)
    points, skeleton = predict(engine, images, boxes), engine.skeleton
    errors, swapped = (
        normalised_errors(each[:, labelled.joints], truth, skeleton)
        for each in (points, points[:, skeleton.mirror])
    )
    return _Scored(errors, swapped, labelled.inferred, ~found, labelled.groups)


def _measures(scored: _Scored, skeleton: Skeleton) -> dict[str, Any]:
    mean, swapped = np.nanmean(scored.errors, axis=1), np.nanmean(scored.swapped, axis=1)
    measures = {
        "n": len(mean),
        "not_found": int(scored.missed.sum()),
        "nme": float(mean.mean()),
        "median": float(np.median(mean)),
        # The share of pictures below an error, integrated from 0 to the limit: exact, without bins.
        "auc10": float(np.clip(1 - mean / _LIMIT, 0, None).mean()),
        "fr10": float(100 * (mean > _LIMIT).mean()),
    }
    if skeleton.name == CAT_HEAD.name:
        measures["nme_eyes_mouth"] = float(np.nanmean(scored.errors[:, :3]))
    if skeleton.name == HUMAN.name:
        measures["error_percent"] = measures["nme"]
        # An oracle that may exchange left and right of the whole body shows what else is wrong.
        measures["error_percent_lr_oracle"] = float(np.minimum(mean, swapped).mean())
        measures["error_percent_seen"] = float(np.nanmean(scored.errors[~scored.inferred]))
        measures["right_sides"] = float(100 * (mean <= swapped).mean())
        measures["pck10"] = float(100 * (scored.errors[~np.isnan(scored.errors)] <= _LIMIT).mean())
    return measures


def _shifted(pictures: LabelledSet) -> tuple[list[np.ndarray], np.ndarray]:
    """Every picture moved by a random share of its side, the same in every run, and its points."""
    rng = np.random.default_rng(0)
    images = []
    points = pictures.points.copy()
    for image, own in zip(pictures.images, points, strict=True):
        height, width = image.shape[:2]
        move = rng.uniform(-_LARGEST_SHIFT, _LARGEST_SHIFT, 2) * (width, height)
        warp = np.array([[1, 0, move[0]], [0, 1, move[1]]])
        images.append(cv2.warpAffine(image, warp, (width, height), borderMode=cv2.BORDER_REPLICATE))
        own += move
    return images, points


def _detected(images: list[np.ndarray], engine: Engine) -> tuple[np.ndarray, np.ndarray]:
    """Crop boxes ``(N, 4)`` and whether something was found ``(N,)``; else the whole picture is the crop."""
    # By name and not "auto": its fallback to the middle of the picture would count as found.
    detector = make_detector(best_detector(engine.skeleton), engine.skeleton, engine.crop_scale)
    boxes, found = [], []
    for image in images:
        height, width = image.shape[:2]
        here = detector(image, True)
        found.append(len(here) > 0)
        whole = [(width - 1) / 2, (height - 1) / 2, max(height, width), 0.0]
        boxes.append(here[0] * [1, 1, engine.crop_scale, 1] if len(here) else whole)
    return np.array(boxes, np.float32), np.array(found)


# Key and title of the columns of the table, where there are such measures.
_COLUMNS = {
    "n": "pictures",
    "not_found": "not found",
    "nme": "NME %",
    "median": "median %",
    "auc10": "AUC@10",
    "fr10": "failures@10 %",
    "nme_eyes_mouth": "eyes + mouth",
    "error_percent_lr_oracle": "left-right oracle %",
    "error_percent_seen": "visible joints %",
    "right_sides": "sides right %",
    "pck10": "PCK@10 %",
}


def as_text(measures: dict[str, Any]) -> str:
    """The measures as a Markdown table, a row a set."""
    columns = {key: title for key, title in _COLUMNS.items() if key in measures}
    rows = [("all", measures)] if len(measures["sets"]) > 1 else []
    lines = [
        f"| {measures['model']} on {measures['data']}, {measures['crop']} crop | "
        + " | ".join(columns.values())
        + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name, row in [*measures["sets"].items(), *rows]:
        cells = [str(row[key]) if isinstance(row[key], int) else f"{row[key]:.3g}" for key in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
