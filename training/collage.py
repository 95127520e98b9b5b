"""What a collage is made of: pictures laid over each other, masks with soft edges, silhouettes, a lens."""

from __future__ import annotations

import cv2
import numpy as np

from training.augment import random_colours

# A silhouette is believed when it is as large and as slender as a person.
_SILHOUETTE_SIDE = (0.8, 1.3)  # of the box that it was looked for in
_SILHOUETTE_AREA = (0.08, 0.4)
_SILHOUETTE_REACH = 0.65  # of the box: how far from its middle
_JOINTS_OF_SILHOUETTE = 0.93


def warped(image: np.ndarray, warp: np.ndarray, width: int, height: int, border: int) -> np.ndarray:
    """``image`` through the map ``warp``, averaged where it gets smaller."""
    scale = float(np.sqrt(abs(np.linalg.det(warp[:, :2]))))
    if scale < 0.7:
        rows, columns = image.shape[:2]
        size = (max(2, round(columns * scale * 1.2)), max(2, round(rows * scale * 1.2)))
        back = np.array([columns / size[0], rows / size[1]])
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        # Pixel centres at whole numbers: those of the smaller picture lie between.
        shift = warp[:, :2] @ (0.5 * back - 0.5) + warp[:, 2]
        warp = np.column_stack([warp[:, :2] * back, shift])
    return cv2.warpAffine(image, warp, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)


def blended(behind: np.ndarray, front: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``front`` over ``behind`` where ``mask`` (H, W) is 1."""
    share = mask[..., None]
    return (behind + share * (front.astype(np.float32) - behind)).round().astype(np.uint8)


def rectangle(rng: np.random.Generator, shape: tuple[int, int], box: np.ndarray) -> np.ndarray:
    """The picture, or a part of it around the box; its edges hard or soft."""
    height, width = shape
    x, y, side = box
    reach = side * rng.uniform(0.55, 1.1, 4)
    left, right = max(0, x - reach[0]), min(width - 1, x + reach[1])
    top, below = max(0, y - reach[2]), min(height - 1, y + reach[3])
    soft = 0.5 if rng.random() < 0.3 else float(rng.uniform(0.02, 0.12)) * side
    columns, rows = np.arange(width), np.arange(height)
    across = np.clip(np.minimum(columns - left, right - columns) / soft, 0, 1)
    down = np.clip(np.minimum(rows - top, below - rows) / soft, 0, 1)
    return np.outer(down, across).astype(np.float32)


def ellipse(rng: np.random.Generator, shape: tuple[int, int], box: np.ndarray) -> np.ndarray:
    """A soft round part of the picture around the box."""
    x, y, side = box
    across, down = rng.uniform(0.6, 0.95), rng.uniform(0.65, 0.95)
    soft = rng.uniform(0.08, 0.3)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    away = np.hypot((columns - x) / (across * side), (rows - (y - 0.06 * side)) / (down * side))
    inside = np.clip((1 - away) / soft, 0, 1)
    edge = np.minimum.reduce([columns, shape[1] - 1 - columns, rows, shape[0] - 1 - rows])
    return np.asarray(inside * np.clip(edge / 4, 0, 1), np.float32)


def soft_shape(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A rectangle, an ellipse or a polygon, its edges hard or soft."""
    mask: np.ndarray = np.zeros((height, width), np.float32)
    shape = int(rng.integers(3))
    if shape == 0:
        mask[:] = 1
    elif shape == 1:
        cv2.ellipse(mask, (width // 2, height // 2), (width // 2, height // 2), 0, 0, 360, 1.0, -1)
    else:
        corners = rng.uniform(0, 1, (int(rng.integers(3, 6)), 2)) * (width, height)
        cv2.fillConvexPoly(mask, cv2.convexHull(corners.astype(np.int32)), 1.0)
    if rng.random() < 0.6:
        shorter = min(width, height)
        mask = cv2.GaussianBlur(mask, (0, 0), max(0.5, float(rng.uniform(0.01, 0.12)) * shorter))
        edge = max(1, shorter // 10)
        columns, rows = np.arange(width), np.arange(height)
        across = np.minimum(columns, width - 1 - columns) / max(1, edge - 1)
        down = np.minimum(rows, height - 1 - rows) / max(1, edge - 1)
        mask = mask * np.outer(down.clip(0, 1), across.clip(0, 1)).astype(np.float32)
    return mask


def plain_wall(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A plain wall in uneven light."""
    corners = rng.uniform(0, 255, 3) + rng.normal(0, rng.uniform(0, 40), (2, 2, 3))
    if rng.random() < 0.4:
        corners = corners.mean(axis=2, keepdims=True).repeat(3, 2)
    wall = cv2.resize(corners.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(wall, 0, 255).astype(np.uint8)


def window(rng: np.random.Generator, image: np.ndarray, width: int, height: int, least: float) -> np.ndarray:
    """A random part of ``image``, at least ``least`` of it, stretched to a size."""
    rows, columns = image.shape[:2]
    across = max(2, int(columns * rng.uniform(least, 1)))
    down = max(2, int(rows * rng.uniform(least, 1)))
    x, y = int(rng.integers(columns - across + 1)), int(rng.integers(rows - down + 1))
    part = image[y : y + down, x : x + across]
    part = part[:, ::-1] if rng.random() < 0.5 else part
    shrinks = across > width or down > height
    return cv2.resize(
        np.ascontiguousarray(part),
        (width, height),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )


def taken(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The scene as a camera and a codec give it back."""
    if rng.random() < 0.8:
        image = cv2.LUT(np.ascontiguousarray(image), random_colours(rng)[None])
    if rng.random() < 0.1:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.3)))
    if rng.random() < 0.4:
        noise = rng.standard_normal(image.shape, np.float32) * float(rng.uniform(1, 9))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 92))])
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return image


def silhouette(image: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """The person in a picture, 0 to 1, where colours tell it from the place behind; nobody drew it."""
    small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    height, width = small.shape[:2]
    x, y, side = box / 2
    mask: np.ndarray = np.full((height, width), cv2.GC_BGD, np.uint8)
    reach = _SILHOUETTE_REACH * side
    left, right = int(max(2, x - reach)), int(min(width - 2, x + reach))
    top, below = int(max(2, y - reach)), int(min(height - 2, y + reach))
    mask[top:below, left:right] = cv2.GC_PR_FGD
    if not mask.any() or mask.all():
        return None
    models = np.zeros((2, 1, 65))
    cv2.grabCut(small, mask, (0, 0, 0, 0), models[0], models[1], 3, cv2.GC_INIT_WITH_MASK)
    person = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    _, parts, about, _ = cv2.connectedComponentsWithStats(person)
    if len(about) < 2:
        return None
    largest = 1 + int(about[1:, cv2.CC_STAT_AREA].argmax())
    longer = max(about[largest, cv2.CC_STAT_WIDTH], about[largest, cv2.CC_STAT_HEIGHT]) / side
    area = about[largest, cv2.CC_STAT_AREA] / side**2
    if not _SILHOUETTE_SIDE[0] <= longer <= _SILHOUETTE_SIDE[1]:
        return None
    if not _SILHOUETTE_AREA[0] <= area <= _SILHOUETTE_AREA[1]:
        return None
    grown = cv2.dilate((parts == largest).astype(np.float32), np.ones((3, 3), np.uint8))
    return cv2.resize(cv2.GaussianBlur(grown, (0, 0), 0.6), image.shape[1::-1])


def box_of(silhouette: np.ndarray) -> np.ndarray:
    """The landmark box ``(3,)`` of a silhouette: joints lie a little inside of the outline."""
    rows, columns = np.nonzero(silhouette > 0.5)
    low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
    return np.array([*(low + high) / 2, _JOINTS_OF_SILHOUETTE * (high - low).max()])


def painted_over(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A picture in which ``mask`` (H, W) uint8 is filled with what is around it."""
    half = [cv2.resize(each, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for each in (image, mask)]
    filled = cv2.resize(cv2.inpaint(half[0], half[1], 3, cv2.INPAINT_TELEA), image.shape[1::-1])
    return np.where(mask[..., None] > 0, filled, image)
