"""One drawn person in a known pose: limbs, trunk and head, the farther parts first."""

from __future__ import annotations

import cv2
import numpy as np

from engines.skeleton import HUMAN
from training.puppets import backdrops

_CORNERS = np.stack([np.cos(np.linspace(0, 2 * np.pi, 12)), np.sin(np.linspace(0, 2 * np.pi, 12))], -1)
# Radii in heights of the person, at the nearer and at the farther joint.
_LIMBS = {
    ("hip", "knee"): (0.055, 0.036),
    ("knee", "ankle"): (0.036, 0.023),
    ("shoulder", "elbow"): (0.031, 0.024),
    ("elbow", "wrist"): (0.024, 0.017),
}
_HEAD, _FACE, _NECK, _HAND, _FOOT = 0.064, 0.052, 0.03, 0.024, 0.024
_SHOULDER, _WAIST, _HIPS = 0.05, 0.075, 0.07


class Person:
    """A person in a picture of ``size`` pixels; ``joints`` ``(K, 3)`` in these, ``skin`` its colour, RGB."""

    def __init__(self, size: int, joints: np.ndarray, skin: np.ndarray, rng: np.random.Generator) -> None:
        self._canvas, self._mask = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
        self._skin, self._rng = skin, rng
        self._at = dict(zip(HUMAN.joints, joints, strict=True))
        bones = (("head_top", "neck"), ("neck", "pelvis"), ("l_hip", "l_knee"), ("l_knee", "l_ankle"))
        self._height = sum(float(np.linalg.norm(self._at[a] - self._at[b])) for a, b in bones)
        self._parts: list[tuple[float, np.ndarray, np.ndarray]] = []
        left, up = self._at["l_shoulder"] - self._at["r_shoulder"], self._at["neck"] - self._at["pelvis"]
        # y points down in pictures, so the order of the product is the other way round.
        forward = np.cross(up, left)
        self._forward = forward / max(float(np.linalg.norm(forward)), 1e-6)
        light = rng.uniform(-1, 1, 2)
        self._light = light / max(float(np.linalg.norm(light)), 1e-6)

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """The person ``(S, S, 3)`` uint8, and where it is ``(S, S)``, to 255."""
        rng, at, skin = self._rng, self._at, self._skin
        shirt, trousers, shoes = (backdrops.any_colour(rng) * rng.choice((0.3, 1.0)) for _ in range(3))
        hair = (
            rng.uniform(0, 1) ** 2 * np.array([190.0, 150.0, 110.0]) * np.exp(0.15 * rng.standard_normal(3))
        )
        if rng.random() < 0.15:
            trousers = shirt
        if rng.random() < 0.08:
            shirt = skin
        sleeve, leg = rng.random() < 0.45, rng.random() < 0.65
        shoe = shoes if rng.random() < 0.7 else skin
        build, loose = np.exp(0.12 * rng.standard_normal()), np.exp(0.15 * abs(rng.standard_normal()))
        colours = {
            "hip": (trousers, loose * build),
            "knee": (trousers, loose * build) if leg else (skin, build),
            "shoulder": (shirt, loose * build) if sleeve or rng.random() < 0.6 else (skin, build),
            "elbow": (shirt, loose * build) if sleeve else (skin, build),
        }
        for side in ("l_", "r_"):
            for (start, end), (wide, narrow) in _LIMBS.items():
                colour, factor = colours[start]
                self._capsule(at[side + start], at[side + end], wide * factor, narrow * factor, colour)
            wrist, ankle = at[side + "wrist"], at[side + "ankle"]
            arm = wrist - at[side + "elbow"]
            hand = wrist + arm / max(float(np.linalg.norm(arm)), 1e-6) * 0.045 * self._height
            self._capsule(wrist, hand, _HAND * 0.7, _HAND, skin)
            shin = ankle - at[side + "knee"]
            down = shin / max(float(np.linalg.norm(shin)), 1e-6) * 0.022 * self._height
            self._capsule(
                ankle + down,
                ankle + down * 1.2 + self._forward * 0.085 * self._height,
                _FOOT,
                _FOOT * 0.8,
                shoe,
            )
        self._trunk(shirt, trousers, loose * build)
        self._head(skin, hair)
        self._paint()
        return self._canvas, self._mask

    def _trunk(self, shirt: np.ndarray, trousers: np.ndarray, factor: float) -> None:
        at = self._at
        hips = [at["l_hip"], at["r_hip"]]
        waist = [(at["spine"] * 0.8 + hip * 0.2) for hip in hips]
        chest = [at["l_shoulder"], at["r_shoulder"], at["neck"]]
        self._hull([*hips, *waist], [_HIPS * factor] * 2 + [_WAIST * factor * 0.8] * 2, trousers)
        self._hull(
            [*waist, *chest], [_WAIST * factor * 0.8] * 2 + [_SHOULDER * factor] * 2 + [_NECK], shirt, 0.01
        )

    def _head(self, skin: np.ndarray, hair: np.ndarray) -> None:
        at, rng = self._at, self._rng
        axis = at["head_top"] - at["neck"]
        middle = at["neck"] + 0.62 * axis
        self._capsule(at["neck"], middle, _NECK, _NECK, skin)
        size = max(0.38 * float(np.linalg.norm(axis)) / self._height, 0.8 * _HEAD)
        ahead = self._forward * self._height
        self._capsule(middle - 0.1 * axis, middle + 0.08 * axis, size * 0.85, size, hair)
        if rng.random() < 0.35:  # long hair, behind the face
            self._capsule(
                middle - ahead * 0.02, at["neck"] - ahead * 0.05 - axis * 0.2, size, size * 0.6, hair
            )
        # Nearer than the hair where the person faces the camera, behind it where not.
        bald = 0.2 if rng.random() < 0.1 else 0.0
        face = middle - 0.12 * axis + ahead * 0.022
        self._capsule(face - 0.12 * axis, face + (0.1 + bald) * axis, size * 0.62, size * 0.78, skin, 1.0)
        if self._forward[2] > 0.3:
            across = np.cross(axis, self._forward)
            across *= 0.022 * self._height / max(float(np.linalg.norm(across)), 1e-6)
            eyes = face + 0.06 * axis + ahead * 0.04
            for eye in (eyes + across, eyes - across):
                self._capsule(eye, eye, 0.008, 0.008, skin * 0.3, 2.0)

    def _capsule(
        self,
        start: np.ndarray,
        end: np.ndarray,
        wide: float,
        narrow: float,
        colour: np.ndarray,
        nearer: float = 0.0,
    ) -> None:
        self._hull([start, end], [wide, narrow], colour, nearer)

    def _hull(
        self, centres: list[np.ndarray], radii: list[float], colour: np.ndarray, nearer: float = 0.0
    ) -> None:
        """The hull of discs; ``nearer`` brings it forward in the order, where it faces the camera anyway."""
        depth = float(np.mean([each[2] for each in centres])) / self._height
        depth += nearer * 0.05 * (1 if nearer < 0.5 else np.sign(self._forward[2] + 0.25))
        corners = [c[:2] + _CORNERS * r * self._height for c, r in zip(centres, radii, strict=True)]
        outline = cv2.convexHull(np.concatenate(corners).astype(np.float32))[:, 0]
        self._parts.append((depth, outline, np.asarray(colour, np.float64)))

    def _paint(self) -> None:
        shading = self._rng.uniform(0, 0.25)
        stripes = self._rng.random() < 0.15
        for _, outline, colour in sorted(self._parts, key=lambda part: part[0]):
            shade = 1 + 0.08 * self._rng.standard_normal()
            centre = outline.mean(axis=0)
            spread = outline - centre
            lit = self._light * 0.28 * np.abs(spread).mean()
            whole = (outline * 16).round().astype(np.int32)
            inner = ((centre + spread * 0.72 + lit) * 16).round().astype(np.int32)
            cv2.fillConvexPoly(self._mask, whole, 255, cv2.LINE_AA, 4)
            for shape, bright in ((whole, 1 - shading), (inner, 1.0)):
                tone = np.clip(colour * shade * bright, 0, 255).tolist()
                cv2.fillConvexPoly(self._canvas, shape, tone, cv2.LINE_AA, 4)
            if stripes:
                low, high = outline.min(axis=0), outline.max(axis=0)
                tone = np.clip(colour * 0.6 + 60, 0, 255).tolist()
                for share in (0.3, 0.6):
                    row = (low + (high - low) * share).round().astype(int)
                    cv2.line(self._canvas, row.tolist(), (int(centre[0]), int(row[1])), tone, 1, cv2.LINE_AA)
