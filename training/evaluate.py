"""Accuracy of a model on labelled pictures: NME, its spread, and the same from detected crops."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engines import crop
from engines.engine import Engine
from engines.skeleton import CAT_HEAD, FACE68, Skeleton
from tracker.detect import make_detector
from training.index import load_arrays, read_picture

CROPS = ("truth", "detector")
_LIMIT = 10.0  # percent: failure rate and area under the curve are taken there
_LARGEST_SHIFT = 0.15  # of the picture's side, before a detector looks: its middle must not be the answer
_BATCH = 32
# The two joints, or the means of two groups, whose distance is the unit of length.
_UNITS = {FACE68.name: ("left_eye_0", "right_eye_3"), CAT_HEAD.name: ("left_eye", "right_eye")}


@dataclass(frozen=True)
class LabelledSet:
    """Pictures, RGB, and their joints ``(N, K, 2)`` in pixels; ``groups`` ``(N,)`` names set and subset."""

    images: list[np.ndarray]
    points: np.ndarray
    groups: np.ndarray


def load_labelled(folder: Path, skeleton: Skeleton) -> list[LabelledSet]:
    """The set in ``folder``, or one for each folder in it. Raises ``ValueError`` for what does not fit."""
    folders = (
        [folder] if (folder / "index.npz").is_file() else sorted(p.parent for p in folder.glob("*/index.npz"))
    )
    if not folders:
        raise ValueError(
            f"no labelled pictures in {folder}: want index.npz and images/ in it, or folders with those"
        )
    return [_load(each, skeleton) for each in folders]


def _load(folder: Path, skeleton: Skeleton) -> LabelledSet:
    index = load_arrays(folder / "index.npz", "name", "pts")
    points, names = index["pts"].astype(np.float32), index["name"]
    if points.shape != (len(names), len(skeleton.joints), 2):
        raise ValueError(
            f"{folder / 'index.npz'}: pts of shape {points.shape} do not fit {len(names)} pictures"
            f" of {skeleton.name}: want {(len(names), len(skeleton.joints), 2)}"
        )
    subset = index.get("subset", np.full(len(names), ""))
    several = len(np.unique(subset)) > 1
    groups = np.array([f"{folder.name}/{each}" if several else folder.name for each in subset])
    return LabelledSet([read_picture(folder / "images" / str(name)) for name in names], points, groups)


def predict(engine: Engine, images: list[np.ndarray], boxes: np.ndarray) -> np.ndarray:
    """Joints ``(N, K, 2)`` in pixels of the pictures, from crops at ``boxes`` ``(N, 4)``."""
    size = engine.input_size
    crops = np.concatenate([crop.cut(image, box, size) for image, box in zip(images, boxes, strict=True)])
    parts = [engine(crops[start : start + _BATCH]).xy for start in range(0, len(crops), _BATCH)]
    return crop.to_frame(np.concatenate(parts), boxes, size)


def normalised_errors(points: np.ndarray, truth: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Distances ``(N, K)`` of points to the truth, both ``(N, K, 2)``, in percent of the subject's unit.

    Faces: the distance of the outer eye corners; cats: of the eyes.
    """
    left, right = (skeleton.joints.index(joint) for joint in _UNITS[skeleton.name])
    unit = np.linalg.norm(truth[:, left] - truth[:, right], axis=-1)
    return 100 * np.linalg.norm(points - truth, axis=-1) / unit[:, None]


def evaluate(engine: Engine, model: str, data: Path, crops: str) -> dict[str, Any]:
    """All measures of a model on ``data``, pooled by picture, and apart under ``sets``.

    ``crops`` ``truth``: the square of ``crop_scale`` x the longer side of the labelled points' box;
    ``detector``: of the box that the tracker's detector finds in a picture shifted by up to 15 %.
    Percent, but ``auc10``, which is 0 to 1. Raises ``ValueError`` for data that do not fit the model.
    """
    skeleton = engine.skeleton
    if skeleton.name not in _UNITS:
        raise ValueError(f"no measure for {skeleton.name}: there is one for {', '.join(_UNITS)}")
    errors, groups, missed = [], [], []
    for each in load_labelled(data, skeleton):
        if crops == "truth":
            boxes = crop.landmark_boxes(each.points, engine.crop_scale)
            images, truth, found = each.images, each.points, np.ones(len(each.images), bool)
        else:
            images, truth = _shifted(each)
            boxes, found = _detected(images, engine)
        errors.append(normalised_errors(predict(engine, images, boxes), truth, skeleton))
        groups.append(each.groups)
        missed.append(~found)
    pooled, group, not_found = np.concatenate(errors), np.concatenate(groups), np.concatenate(missed)
    measures = _measures(pooled, not_found, skeleton)
    per_joint = dict(zip(skeleton.joints, pooled.mean(axis=0).round(3).tolist(), strict=True))
    sets = {
        str(name): _measures(pooled[group == name], not_found[group == name], skeleton)
        for name in np.unique(group)
    }
    return {
        "model": model,
        "data": data.name,
        "crop": crops,
        **measures,
        "per_joint": per_joint,
        "sets": sets,
    }


def _measures(errors: np.ndarray, not_found: np.ndarray, skeleton: Skeleton) -> dict[str, Any]:
    mean = errors.mean(axis=1)
    measures = {
        "n": len(mean),
        "not_found": int(not_found.sum()),
        "nme": float(mean.mean()),
        "median": float(np.median(mean)),
        # The share of pictures below an error, integrated from 0 to the limit: exact, without bins.
        "auc10": float(np.clip(1 - mean / _LIMIT, 0, None).mean()),
        "fr10": float(100 * (mean > _LIMIT).mean()),
    }
    if skeleton.name == CAT_HEAD.name:
        measures["nme_eyes_mouth"] = float(errors[:, :3].mean())
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
    detector = make_detector("haar", engine.skeleton, engine.crop_scale)
    boxes, found = [], []
    for image in images:
        height, width = image.shape[:2]
        here = detector(image, True)
        found.append(len(here) > 0)
        whole = [(width - 1) / 2, (height - 1) / 2, max(height, width), 0.0]
        boxes.append(here[0] * [1, 1, engine.crop_scale, 1] if len(here) else whole)
    return np.array(boxes, np.float32), np.array(found)


def as_text(measures: dict[str, Any]) -> str:
    """The measures as a Markdown table, a row a set."""
    extra = [("nme_eyes_mouth", "eyes + mouth")] if "nme_eyes_mouth" in measures else []
    columns = [("n", "pictures"), ("not_found", "not found"), ("nme", "NME %"), ("median", "median %")]
    columns += [("auc10", "AUC@10"), ("fr10", "failures@10 %"), *extra]
    rows = [("all", measures)] if len(measures["sets"]) > 1 else []
    lines = [
        f"| {measures['model']} on {measures['data']}, {measures['crop']} crop | "
        + " | ".join(title for _, title in columns)
        + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name, row in [*measures["sets"].items(), *rows]:
        cells = [str(row[key]) if key in ("n", "not_found") else f"{row[key]:.3g}" for key, _ in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
