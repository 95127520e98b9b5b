"""One drawn face in a known pose: skin, hair, features, light.

Everything hangs on the 68 points, so a mouth is open in the picture exactly as far as it is in the pose. What
the points leave open (forehead, hair, neck, colours, beard, glasses) is drawn by lot. Lengths are in
distances of the outer eye corners, of a face from the front.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.puppets import backdrops
from training.puppets.brush import Brush, blurred

_JAW, _RIDGE, _NOSE = slice(0, 17), slice(27, 31), slice(31, 36)
_BROWS = slice(17, 22), slice(22, 27)
_EYES = slice(36, 42), slice(42, 48)
_LIPS, _MOUTH = slice(48, 60), slice(60, 68)
_LONGER_SIDE = 1.66  # of the box of a frontal face
_TEMPLES = ((-1, 0, 3), (1, 16, 13))  # side, and the points of the jaw that an ear lies between
_PARTED = 0.6  # where a fringe bends, either side of its parting


class Face:
    """A face in a picture of ``size`` pixels; ``points`` ``(68, 2)`` in these, ``skin`` its colour, RGB."""

    def __init__(self, size: int, points: np.ndarray, skin: np.ndarray, rng: np.random.Generator) -> None:
        along = points[_EYES[1]].mean(0) - points[_EYES[0]].mean(0)
        self._brush = Brush(size, float(np.ptp(points, axis=0).max()) / _LONGER_SIDE, along)
        self._at, self._skin, self._rng = points, skin, rng
        self._middle = points[_JAW].mean(0)
        self._forehead = (points[19] + points[24]) / 2
        left, right = (float(np.linalg.norm(points[30] - points[end])) for end in (1, 15))
        # -1 to 1: towards which side the nose points, 0 for a face from the front. A head is as deep as it is
        # wide: seen from the side, its back shows behind the face.
        self._turn = (left - right) / max(left + right, 1e-6)
        self._back = -0.7 * self._turn
        tint = np.exp(0.2 * rng.standard_normal(3))
        self._hair = rng.uniform(0, 1) ** 2.5 * np.array([205.0, 170.0, 125.0]) * tint
        self._light = rng.uniform(-0.35, 0.35)
        self._gaze = rng.uniform(-0.25, 0.25)

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """The head ``(S, S, 3)`` uint8, and where it is ``(S, S)``, to 255."""
        rng = self._rng
        bald = rng.random() < 0.1
        self._skull(bald)
        self._neck()
        if rng.random() < 0.7:
            self._ears()
        face = self._oval()
        if not bald and rng.random() < 0.75:
            self._fringe(face)
        self._shade(face)
        self._cheeks()
        for eye, brow in zip(_EYES, _BROWS, strict=True):
            self._eye(self._at[eye], self._at[brow].mean(0))
        self._nose()
        if rng.random() < 0.2:
            self._beard()
        self._lips()
        self._eyebrows()
        if rng.random() < 0.12:
            self._glasses()
        return self._brush.picture()

    def _skull(self, bald: bool) -> None:
        """The back of the head, with hair or without, short or long."""
        rng, brush = self._rng, self._brush
        wide = max(brush.length(self._at[1], self._at[15]) / 2, 0.75)
        crown = brush.place(self._forehead, -0.1 * self._turn, rng.uniform(0.45, 0.8))
        centre = (crown + self._middle) / 2
        high = float(brush.seen_from(self._middle, crown)[1]) / 2
        if bald:
            around = brush.ellipse(brush.place(centre, self._back, 0.1), wide, high + 0.2)
            brush.fill(around, self._skin * 0.95)
            return
        around = brush.ellipse(
            brush.place(centre, self._back, 0.15),
            wide * rng.uniform(1.0, 1.3),
            high * rng.uniform(1.1, 1.35) + 0.1,
        )
        brush.fill(around, self._hair * rng.uniform(0.7, 1.0), 1, 0.02)
        if rng.random() < 0.45:
            long, half = rng.uniform(0.9, 2.0), wide * rng.uniform(1.0, 1.5)
            ends = rng.uniform(0.9, 1.3, 2) * half
            curtain = ((-half, 0.3), (half, 0.3), (ends[0], -long), (-ends[1], -long))
            outline = [brush.place(centre, self._back + right, up) for right, up in curtain]
            brush.fill(np.array(outline), self._hair * rng.uniform(0.6, 1.0), 1, 0.04)

    def _neck(self) -> None:
        """The neck, and clothes over the shoulders."""
        rng, brush = self._rng, self._brush
        half = brush.length(self._at[1], self._at[15]) / 2 * rng.uniform(0.6, 0.85)
        root = brush.place(self._middle, 0.6 * self._back, 0)
        below = brush.place(self._at[8], 0.6 * self._back, -rng.uniform(0.8, 1.4))
        throat = [
            *(brush.place(root, side * half, 0) for side in (-1, 1)),
            *(brush.place(below, side * half * 1.1, 0) for side in (1, -1)),
        ]
        brush.fill(np.array(throat), self._skin * rng.uniform(0.55, 0.95), 1, 0.02)
        collar = brush.place(self._at[8], 0.6 * self._back, -rng.uniform(0.35, 0.8))
        reach, slope, drop, neckline = 2.5, rng.uniform(0.2, 0.5), 3.0, rng.uniform(0, 0.4)
        outline = (
            *((-half, 0.1), (0, -neckline), (half, 0.1), (reach, -slope * reach), (reach, -drop)),
            *((-reach, -drop), (-reach, -slope * reach)),
        )
        cloth = backdrops.any_colour(rng) * rng.choice((0.3, 1.0))
        brush.fill(np.array([brush.place(collar, right, up) for right, up in outline]), cloth, 1, 0.01)

    def _ears(self) -> None:
        rng, brush = self._rng, self._brush
        for side, temple, lobe in _TEMPLES:
            if side * self._turn < 0.25:  # the far one is hidden
                middle = (self._at[temple] + self._at[lobe]) / 2
                high = brush.length(self._at[temple], self._at[lobe]) * rng.uniform(0.4, 0.6)
                ear = brush.place(middle, side * 0.05, rng.uniform(-0.05, 0.1))
                brush.fill(brush.ellipse(ear, 0.14, high), self._skin * rng.uniform(0.75, 0.95), 1, 0.02)

    def _oval(self) -> np.ndarray:
        """Everything between the jaw and an arc over the forehead; where that is ``(S, S)``."""
        rng, brush = self._rng, self._brush
        left, right = self._at[0], self._at[16]
        top = brush.place(self._forehead, -0.15 * self._turn, rng.uniform(0.35, 0.65))
        angle = np.linspace(0, np.pi, 16)[1:-1, None]
        base = (left + right) / 2
        arc = base + np.cos(angle) * (right - base) + np.sin(angle) ** 0.8 * (top - base)
        outline = np.concatenate([self._at[_JAW], arc])
        shadow = outline - 0.12 * brush.unit * brush.up
        brush.fill(shadow, self._skin * rng.uniform(0.3, 0.75), 0.7, 0.08, own=False)
        return brush.fill(outline, self._skin)

    def _fringe(self, face: np.ndarray) -> None:
        """Hair on the forehead, down to a line that is high or low, now and then over the brows."""
        rng, brush = self._rng, self._brush
        line = rng.uniform(-0.15, 0.1) if rng.random() < 0.15 else rng.uniform(0.1, 0.5)
        side = brush.length(self._at[0], self._at[16]) / 2 + 0.25
        hairline = (
            (-side, line - rng.uniform(0, 0.5)),
            (-_PARTED, line - rng.uniform(0, 0.15)),
            (rng.uniform(-_PARTED, _PARTED), line + rng.uniform(0, 0.2)),
            (_PARTED, line - rng.uniform(0, 0.15)),
            (side, line - rng.uniform(0, 0.5)),
        )
        outline = [brush.place(self._forehead, x, up) for x, up in (*hairline, (side, 1.0), (-side, 1.0))]
        head = cv2.dilate(face, np.ones((3, 3), np.uint8))
        area = np.minimum(brush.covered(np.array(outline)), head)
        brush.lay(area, self._hair * rng.uniform(0.85, 1.1), 1, 0.02, own=True)

    def _shade(self, face: np.ndarray) -> None:
        """One side lighter than the other, the rim darker."""
        rng, brush = self._rng, self._brush
        soft = max(1.0, rng.uniform(0.08, 0.25) * brush.unit)
        inside = blurred(face, soft) / np.float32(255)
        brush.light(
            self._middle, self._light, rng.uniform(-0.15, 0.1), 1 - rng.uniform(0, 0.5) * (1 - inside)
        )

    def _cheeks(self) -> None:
        """Blush, and folds from the wings of the nose to the corners of the mouth."""
        rng, brush, at = self._rng, self._brush, self._at
        blush = brush.canvas.mean() * np.array([1.15, 0.8, 0.75])
        for eye in _EYES:
            cheek = brush.place(at[eye].mean(0), 0, -0.45)
            brush.fill(brush.ellipse(cheek, 0.25, 0.2, 12), blush, rng.uniform(0, 0.2), 0.12, own=False)
        depth = rng.uniform(0, 0.5)
        for wing, corner in ((31, 48), (35, 54)):
            outward = float(np.sign(brush.seen_from(at[33], at[corner])[0]))
            bend = brush.place((at[wing] + at[corner]) / 2, 0.12 * outward, 0)
            fold = np.array([at[wing], bend, brush.place(at[corner], 0.1 * outward, 0)])
            brush.stroke(fold, brush.tone(bend) * 0.6, 0.05, depth, 0.03)

    def _eye(self, eye: np.ndarray, brow: np.ndarray) -> None:
        """One eye in its socket; ``brow`` ``(2,)``: the middle of the eyebrow."""
        rng, brush, centre = self._rng, self._brush, eye.mean(0)
        wide = brush.length(eye[0], eye[3])
        tone = brush.tone(brush.place(centre, 0, -0.25))
        socket = brush.ellipse((centre * 2 + brow) / 3, wide * 0.65, 0.17, 14)
        brush.fill(socket, tone * rng.uniform(0.4, 0.9), rng.uniform(0.2, 0.8), 0.06, own=False)
        white = np.full(3, rng.uniform(150, 245)) * np.exp(0.03 * rng.standard_normal(3))
        between = brush.fill(eye, white, 0.9, 0.01, own=False)
        # The iris is as high as an eye that is open, and cut off by the lids of a narrower one.
        disc = brush.covered(brush.ellipse(brush.place(centre, self._gaze * wide, 0), 0.085, 0.085, 16))
        iris = rng.uniform(10, 90) * np.array([1.0, 0.9, 0.8]) * np.exp(0.15 * rng.standard_normal(3))
        brush.lay(np.minimum(between, disc), iris, 0.95, 0, own=False)
        lash = tone * rng.uniform(0.1, 0.5)
        brush.stroke(eye[:4], lash, rng.uniform(0.03, 0.07), rng.uniform(0.6, 1.0), 0.008)
        brush.stroke(eye[[3, 4, 5, 0]], lash, 0.03, rng.uniform(0.1, 0.7), 0.008)
        if rng.random() < 0.5:
            crease = eye[:4] + 0.06 * brush.unit * brush.up
            brush.stroke(crease, tone * 0.6, 0.025, rng.uniform(0.2, 0.8), 0.01)

    def _nose(self) -> None:
        """A ridge with light on it, shadows beside and below, nostrils, wings."""
        rng, brush, at = self._rng, self._brush, self._at
        ridge, base = at[_RIDGE], at[_NOSE]
        tone = brush.tone(at[29])
        bright, dark = tone * rng.uniform(1.0, 1.25), tone * rng.uniform(0.45, 0.85)
        # The shadow lies away from the light or, of a face that is turned, on the side one looks along.
        side = 1 if (self._turn if abs(self._turn) > 0.2 else self._light) > 0 else -1
        flank = [*ridge, base[2], base[4 if side > 0 else 0], brush.place(ridge[0], 0.12 * side, 0)]
        brush.fill(np.array(flank), dark, rng.uniform(0.1, 0.7), 0.03, own=False)
        brush.stroke(ridge, bright, 0.07, rng.uniform(0.2, 0.8), 0.03)
        brush.fill(brush.ellipse(ridge[3], 0.07, 0.06, 10), bright, rng.uniform(0.1, 0.7), 0.03, own=False)
        below = np.array([*base, brush.place(base[2], 0, -0.06)])
        brush.fill(below, dark * 0.8, rng.uniform(0.3, 0.9), 0.02, own=False)
        brush.stroke(base, dark * 0.7, 0.04, rng.uniform(0.3, 0.9), 0.015)
        hole = tone * rng.uniform(0.1, 0.5)
        for inner, outer, side in ((1, 0, -1), (3, 4, 1)):
            nostril = brush.place(base[inner] * 0.6 + base[outer] * 0.4, 0, 0.02)
            brush.fill(brush.ellipse(nostril, 0.05, 0.03, 10), hole, rng.uniform(0.2, 0.9), 0.012, own=False)
            wing = [brush.place(base[outer], x * side, up) for x, up in ((0.04, 0.14), (0.07, 0.06), (0, 0))]
            brush.stroke(np.array(wing), dark, 0.03, rng.uniform(0.2, 0.9), 0.012)

    def _lips(self) -> None:
        """Lips, and between them darkness or teeth, or only a line."""
        rng, brush = self._rng, self._brush
        lips, mouth = self._at[_LIPS], self._at[_MOUTH]
        tone = brush.tone((self._at[33] + self._at[51]) / 2)
        red = tone * np.array([1.0, rng.uniform(0.55, 0.9), rng.uniform(0.6, 0.95)]) * rng.uniform(0.7, 1.05)
        if rng.random() < 0.12:  # painted
            red = np.array([rng.uniform(110, 220), rng.uniform(10, 80), rng.uniform(30, 100)])
        alpha, soft = rng.uniform(0.5, 1.0), rng.uniform(0.008, 0.03)
        lower = np.concatenate([lips[6:], lips[:1], mouth[[0, 7, 6, 5, 4]]])
        upper = np.concatenate([lips[:7], mouth[4::-1]])
        brush.fill(lower, red * rng.uniform(0.95, 1.15), alpha, soft, own=False)
        brush.fill(upper, red * rng.uniform(0.7, 1.0), alpha, soft, own=False)
        under = np.array([brush.place(lips[each], 0, -0.06) for each in (8, 9, 10)])
        brush.stroke(under, tone * 0.65, 0.07, rng.uniform(0, 0.7), 0.03)
        inside = tone * rng.uniform(0.1, 0.45) * np.array([1.0, 0.75, 0.75])
        opening = brush.fill(mouth, inside, 1, 0.008, own=False)
        if rng.random() < 0.75:
            high = min(0.11, brush.length(mouth[2], mouth[6]))
            teeth = np.concatenate([mouth[:5], mouth[3:0:-1] - high * brush.unit * brush.up])
            white = rng.uniform(0.6, 1.0) * np.array([250.0, 245.0, 225.0])
            row = np.minimum(brush.covered(teeth), opening)
            brush.lay(row, white, rng.uniform(0.6, 1.0), 0.006, own=False)
        brush.stroke(mouth[:5], tone * rng.uniform(0.2, 0.6), 0.03, rng.uniform(0.3, 1.0), 0.01)
        corners = rng.uniform(0.2, 0.8)
        for corner in (np.array([lips[0], mouth[0]]), np.array([mouth[4], lips[6]])):
            brush.stroke(corner, tone * 0.4, 0.03, corners, 0.01)

    def _beard(self) -> None:
        rng, brush, at = self._rng, self._brush, self._at
        tone, alpha = self._hair * rng.uniform(0.6, 1.0), rng.uniform(0.3, 0.9)
        if rng.random() < 0.8:  # above the mouth
            above = [*at[48:55], *(brush.place(at[33], x, -0.03) for x in (0.18, -0.18))]
            brush.fill(np.array(above), tone, alpha, 0.04, own=False)
        if rng.random() < 0.7:  # along the jaw, or on the chin alone
            rim = at[3:14] if rng.random() < 0.6 else at[6:11]
            inner = rim + (at[57] - rim) * rng.uniform(0.35, 0.75)
            brush.fill(np.concatenate([rim, inner[::-1]]), tone, alpha, 0.06, own=False)

    def _eyebrows(self) -> None:
        rng, brush = self._rng, self._brush
        of_hair = rng.random() < 0.6
        colour = self._hair * rng.uniform(0.3, 0.9) if of_hair else self._skin * rng.uniform(0.3, 0.65)
        for brow in _BROWS:
            thick = rng.uniform(0.05, 0.12)
            # The points follow the upper edge.
            line = self._at[brow] - (thick / 2 - 0.02) * brush.unit * brush.up
            brush.stroke(line, colour, thick, rng.uniform(0.5, 1.0), rng.uniform(0.01, 0.035))

    def _glasses(self) -> None:
        rng, brush, at = self._rng, self._brush, self._at
        frame = np.full(3, rng.uniform(0, 90)) if rng.random() < 0.8 else backdrops.any_colour(rng)
        dark, width = rng.random() < 0.3, rng.uniform(0.02, 0.06)
        rims = []
        for eye in _EYES:
            middle, wide = at[eye].mean(0), brush.length(at[eye][0], at[eye][3])
            rims.append(brush.ellipse(brush.place(middle, 0, -0.04), 0.85 * wide, rng.uniform(0.2, 0.3)))
            if dark:
                brush.fill(rims[-1], np.full(3, 25.0), rng.uniform(0.5, 0.95), 0.01, own=False)
            brush.stroke(np.concatenate([rims[-1], rims[-1][:1]]), frame, width, 1, 0.008)
        left, right = rims
        half = len(left) // 2  # an ellipse begins at its right end
        for start, end in ((left[0], right[half]), (left[half], at[0]), (right[0], at[16])):
            brush.stroke(np.array([start, end]), frame, width, 0.9, 0.008)
