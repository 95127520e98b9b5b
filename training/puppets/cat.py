"""One drawn head of a cat in a known pose: fur, ears, eyes, muzzle.

The nine points say where eyes, mouth and ears are; head, body, markings and colours are drawn by lot. Lengths
are in distances of the eyes.
"""

from __future__ import annotations

import numpy as np

from training.puppets.brush import Brush

_LEFT_EYE, _RIGHT_EYE, _MOUTH = 0, 1, 2
_EARS = ((-1, slice(3, 6)), (1, slice(6, 9)))
_FURS = np.array(
    [
        *((28, 26, 26), (60, 56, 54), (128, 126, 128), (176, 118, 62), (212, 160, 100)),
        *((226, 206, 176), (244, 240, 234), (120, 96, 72), (88, 70, 54)),
    ],
    np.float64,
)
_IRISES = np.array(
    [(214, 178, 46), (168, 186, 84), (120, 160, 96), (110, 160, 206), (206, 128, 40)], np.float64
)
_WHITE = np.array([240.0, 236.0, 230.0])


class Cat:
    """A cat's head in a picture of ``size`` pixels; ``points`` ``(9, 2)`` in these."""

    def __init__(self, size: int, points: np.ndarray, rng: np.random.Generator) -> None:
        along = points[_RIGHT_EYE] - points[_LEFT_EYE]
        self._brush = Brush(size, float(np.linalg.norm(along)), along)
        self._at, self._rng = points, rng
        self._middle = (points[_LEFT_EYE] + points[_RIGHT_EYE]) / 2
        # Where the mouth lies, ``low`` below 0: it moves to the side that a head turns to.
        self._turn, self._low = self._brush.seen_from(self._middle, points[_MOUTH])
        self._fur = _FURS[rng.integers(len(_FURS))] * np.exp(
            0.12 * rng.standard_normal() + 0.04 * rng.standard_normal(3)
        )
        self._other = _WHITE if rng.random() < 0.6 else _FURS[rng.integers(len(_FURS))]
        self._light = rng.uniform(-0.25, 0.25)

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """The cat ``(S, S, 3)`` uint8, and where it is ``(S, S)``, to 255."""
        rng = self._rng
        self._body()
        self._ears()
        self._head()
        if rng.random() < 0.45:
            self._markings()
        if rng.random() < 0.5:
            self._stripes()
        self._brush.light(
            self._middle, self._light, rng.uniform(-0.15, 0.15), np.ones(self._brush.mask.shape, np.float32)
        )
        self._muzzle()
        self._eyes()
        return self._brush.picture()

    def _place(self, right: float, up: float) -> np.ndarray:
        """A point of the head by its distances from the middle between the eyes."""
        return self._brush.place(self._middle, right, up)

    def _body(self) -> None:
        """What of it is seen behind and below the head: a trunk, a chest."""
        rng, brush = self._rng, self._brush
        lean = rng.uniform(-1.5, 1.5)
        trunk = self._place(lean, self._low - rng.uniform(1.0, 2.2))
        tone = self._fur * rng.uniform(0.6, 1.0)
        brush.fill(brush.ellipse(trunk, rng.uniform(1.4, 3.0), rng.uniform(1.2, 2.2)), tone, 1, 0.06)
        chest = self._place(0.5 * lean, self._low - rng.uniform(0.6, 1.2))
        bib = self._other if rng.random() < 0.35 else tone * rng.uniform(0.7, 1.1)
        brush.fill(brush.ellipse(chest, rng.uniform(0.6, 1.2), rng.uniform(0.7, 1.1)), bib, 1, 0.08)

    def _ears(self) -> None:
        rng, brush = self._rng, self._brush
        dark = rng.random() < 0.15
        tone = self._fur * (0.4 if dark else rng.uniform(0.75, 1.05))
        flesh = np.array([rng.uniform(120, 235), rng.uniform(90, 170), rng.uniform(85, 165)])
        inner_tone = flesh if rng.random() < 0.65 else tone * rng.uniform(0.4, 0.8)
        bulge, share = rng.uniform(0.0, 0.12), rng.uniform(0.45, 0.75)
        for side, ear in _EARS:
            corners = self._at[ear] if side < 0 else self._at[ear][::-1]  # outer base, tip, inner base
            outer, tip, inner = corners
            bent = [(outer + tip) / 2 + side * bulge * brush.unit * brush.right]
            outline = np.array([outer, *bent, tip, inner, self._place(side * 0.3, 0.3)])
            brush.fill(outline, tone, 1, 0.025)
            base = (outer + inner) / 2
            hollow = base + (np.array([outer, tip, inner]) - base) * share + 0.05 * brush.unit * brush.up
            brush.fill(hollow, inner_tone, rng.uniform(0.5, 1.0), 0.05, own=False)
            if rng.random() < 0.5:  # tufts
                for _ in range(3):
                    end = base + (tip - base) * rng.uniform(0.3, 0.7)
                    start = inner + (outer - inner) * rng.uniform(0, 0.6)
                    brush.stroke(np.array([start, end]), tone * 1.3 + 20, 0.05, rng.uniform(0.3, 0.9), 0.02)

    def _head(self) -> None:
        """Between the ears, over broad cheeks, to the chin below the mouth."""
        rng, brush = self._rng, self._brush
        wide, chin = rng.uniform(0.85, 1.15), self._low - rng.uniform(0.22, 0.42)
        left, right = (float(brush.seen_from(self._middle, self._at[each])[0]) for each in (3, 8))
        sides = []
        for side, base in ((-1, left), (1, right)):
            reach = side * max(0.75, abs(base))
            sides.append(
                [
                    (reach * wide, 0.1),
                    (reach * wide, 0.55 * self._low),
                    (0.55 * reach * wide + 0.5 * self._turn, 0.85 * chin),
                ]
            )
        rim = [self._place(x, up) for x, up in (*sides[0], (self._turn, chin), *sides[1][::-1])]
        top = self._at[[8, 6, 5, 3]]
        crown = self._place(0, float(brush.seen_from(self._middle, top[1:3]).mean(0)[1]) + 0.05)
        outline = np.array([*rim, top[0], top[1], crown, top[2], top[3]])
        shadow = outline - 0.2 * brush.unit * brush.up
        brush.fill(shadow, self._fur * rng.uniform(0.3, 0.8), 0.6, 0.1, own=False)
        brush.fill(outline, self._fur, 1, rng.uniform(0.04, 0.1))

    def _markings(self) -> None:
        """A blaze, a white lower face, or the dark mask of a Siamese."""
        rng, brush = self._rng, self._brush
        kind = rng.integers(3)
        if kind == 2:
            mask = brush.ellipse(self._place(0.6 * self._turn, 0.5 * self._low), 0.65, 0.75)
            brush.fill(mask, self._fur * 0.35, rng.uniform(0.6, 1), 0.2, own=False)
            return
        half = rng.uniform(0.3, 0.75)
        outline = [(self._turn - half, self._low - 0.3), (self._turn + half, self._low - 0.3)]
        outline += [(self._turn + half, 0.6 * self._low), (0.12, rng.uniform(-0.2, 0.1))]
        if kind == 1:
            outline += [(rng.uniform(-0.3, 0.3), 1.0)]
        outline += [(-0.12, rng.uniform(-0.2, 0.1)), (self._turn - half, 0.6 * self._low)]
        corners = np.array([self._place(x, up) for x, up in outline])
        brush.fill(corners, self._other, 1, 0.04, own=False)

    def _stripes(self) -> None:
        rng, brush = self._rng, self._brush
        tone, alpha = self._fur * rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.9)
        for x in np.linspace(-0.35, 0.35, int(rng.integers(3, 6))):  # up the forehead
            line = [self._place(x * 0.8, 0.3), self._place(x * rng.uniform(0.9, 1.5), rng.uniform(0.7, 1.1))]
            brush.stroke(np.array(line), tone, rng.uniform(0.05, 0.12), alpha, 0.03)
        for side in (-1, 1):  # from the eyes over the cheeks
            for up in (-0.05, 0.35, 0.6):
                start, end = (0.75 * side, up * self._low), (1.1 * side, (up + 0.15) * self._low)
                line = [self._place(*start), self._place(*end)]
                brush.stroke(np.array(line), tone, rng.uniform(0.04, 0.1), alpha, 0.03)

    def _muzzle(self) -> None:
        """Two pads, a nose above the mouth, the line of the mouth, whiskers."""
        rng, brush, mouth = self._rng, self._brush, self._at[_MOUTH]
        pale = brush.tone(mouth) * rng.uniform(0.9, 1.2) + rng.uniform(0, 60)
        for side in (-1, 1):
            pad = brush.place(mouth, 0.17 * side, 0.04)
            brush.fill(brush.ellipse(pad, 0.24, 0.19, 16), pale, rng.uniform(0.1, 0.9), 0.05, own=False)
        chin = brush.ellipse(brush.place(mouth, 0, -0.2), 0.2, 0.12, 16)
        brush.fill(chin, pale, rng.uniform(0.1, 0.8), 0.05, own=False)
        bridge = np.array([self._place(0.15 * self._turn, 0.1), brush.place(mouth, 0, 0.35)])
        shade = brush.tone(bridge.mean(0)) * rng.choice((0.75, 1.2))
        brush.stroke(bridge, shade, rng.uniform(0.1, 0.25), rng.uniform(0, 0.6), 0.06)
        pink = np.array([rng.uniform(150, 230), rng.uniform(90, 150), rng.uniform(90, 150)])
        tone = pink if rng.random() < 0.6 else np.full(3, rng.uniform(15, 70))
        high, half = rng.uniform(0.2, 0.32), rng.uniform(0.11, 0.17)
        nose = ((-half, high + 0.06), (half, high + 0.06), (0.6 * half, high - 0.05), (0, high - 0.1))
        outline = [*nose, (-0.6 * half, high - 0.05)]
        brush.fill(np.array([brush.place(mouth, x, up) for x, up in outline]), tone, 0.95, 0.02, own=False)
        dark = brush.tone(mouth) * rng.uniform(0.2, 0.6)
        alpha = rng.uniform(0.4, 1.0)
        brush.stroke(np.array([brush.place(mouth, 0, high - 0.1), mouth]), dark, 0.04, alpha, 0.01)
        smile = [(-0.3, -0.08), (-0.16, -0.07), (0, 0.02), (0.16, -0.07), (0.3, -0.08)]
        brush.stroke(np.array([brush.place(mouth, x, up) for x, up in smile]), dark, 0.05, alpha, 0.015)
        if rng.random() < 0.1:  # it calls
            brush.fill(brush.ellipse(brush.place(mouth, 0, -0.13), 0.15, 0.11, 14), dark, 1, 0.02, own=False)
        if rng.random() < 0.5:
            for side in (-1, 1):
                for _ in range(4):
                    end = brush.place(mouth, side * rng.uniform(0.7, 1.3), rng.uniform(-0.3, 0.35))
                    hair = np.array([brush.place(mouth, 0.25 * side, 0.03), end])
                    brush.stroke(hair, _WHITE, 0.015, rng.uniform(0.3, 0.9))

    def _eyes(self) -> None:
        rng, brush = self._rng, self._brush
        iris = _IRISES[rng.integers(len(_IRISES))] * np.exp(0.15 * rng.standard_normal(3))
        wide, high, slant = rng.uniform(0.18, 0.29), rng.uniform(0.09, 0.22), rng.uniform(0.0, 0.12)
        shut = rng.random() < 0.08
        pupil, gaze = rng.choice((0.035, 0.07, 0.12)), rng.uniform(-0.05, 0.05)
        rim = rng.uniform(0.02, 0.06)
        for side, eye in ((-1, self._at[_LEFT_EYE]), (1, self._at[_RIGHT_EYE])):
            tone = brush.tone(eye)
            socket = brush.ellipse(eye, wide + rng.uniform(0.05, 0.15), high + 0.07, 16)
            brush.fill(socket, tone * rng.choice((0.6, 1.3)), rng.uniform(0, 0.6), 0.06, own=False)
            angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
            lids = np.stack([wide * np.cos(angle), high * np.sin(angle)], -1)
            lids[:, 1] += side * slant * lids[:, 0] / wide
            outline = np.array([brush.place(eye, x, up) for x, up in lids])
            if shut:
                brush.stroke(outline[10:], tone * 0.3, 0.06, 0.9, 0.015)
                continue
            black = tone * rng.uniform(0.1, 0.35)
            if rng.random() < 0.7:  # the corner runs on towards the nose, and is none of the eye
                corner = brush.place(eye, -0.9 * side * wide, -0.9 * slant)
                tear = brush.place(corner, -side * rng.uniform(0.04, 0.12), -rng.uniform(0.08, 0.2))
                brush.stroke(
                    np.array([corner, tear]), black, rng.uniform(0.05, 0.1), rng.uniform(0.4, 1), 0.015
                )
            brush.stroke(np.concatenate([outline, outline[:1]]), black, 2 * rim, 1, 0.015)
            open_ = brush.fill(outline, iris, 1, 0.01, own=False)
            slit = brush.covered(brush.ellipse(brush.place(eye, gaze, 0), float(pupil), 0.16, 16))
            brush.lay(np.minimum(open_, slit), np.full(3, 12.0), 0.95, 0, own=False)
            if rng.random() < 0.5:
                spark = brush.ellipse(brush.place(eye, 0.05, 0.06), 0.035, 0.035, 8)
                brush.fill(spark, np.full(3, 245.0), 0.9, 0, own=False)
