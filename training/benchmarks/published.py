"""Published numbers that stand beside ours, with where they were read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A line of a table: ``values`` by column; ``how`` says what kind of score it is."""

    method: str
    how: str
    values: dict[str, float]
    source: str


# Tag → what it is.
SOURCES = {
    "[S]": "supplement of KeypointGAN (Jakab et al., CVPR 2020)",
    "[P-ppl]": "tables of a draft of Pose Prior Learner (ICLR 2026)",
    "[P-pwc]": "paperswithcode",
    "[P-uld]": "README of touranisatyajit/cvpr2025-uld-headpose",
    "[P-animals]": "README of mhk257/pytorch_face_animals",
}

# The order of the table in KeypointGAN's supplement.
ACTIVITIES = (
    *("waiting", "posing", "greeting", "directions", "discussion", "walking"),
    *("eating", "phoning", "purchases", "sitting", "sitting down", "smoking"),
    *("taking photo", "walking dog", "walking together"),
)


def _by_activity(method: str, how: str, total: float, *errors: float) -> Row:
    return Row(method, how, {"all": total, **dict(zip(ACTIVITIES, errors, strict=True))}, "[S]")


_PIXELS = (
    (15.53, 13.88, 17.14, 15.81, 19.55, 13.74, 15.33, 18.81, 19.88, 25.85, 39.07, 19.40, 22.24, 21.58, 14.96),
    (16.63, 15.01, 16.68, 14.73, 15.69, 17.74, 16.53, 23.27, 17.35, 24.66, 33.14, 20.31, 20.96, 17.77, 16.31),
    (15.33, 14.37, 16.08, 15.90, 17.24, 14.51, 17.30, 19.66, 17.39, 22.79, 30.84, 18.50, 24.21, 23.77, 16.16),
    (11.40, 10.39, 11.85, 11.26, 13.72, 11.85, 12.02, 14.42, 12.90, 17.01, 25.71, 14.35, 18.67, 19.42, 11.90),
)
HUMAN36M = (
    _by_activity("Newell et al., stacked hourglass", "supervised", 19.52, *_PIXELS[0]),
    _by_activity("Jakab et al. 2018 (IMM)", "+ supervised regression", 19.12, *_PIXELS[1]),
    _by_activity("KeypointGAN", "3DHP prior", 18.94, *_PIXELS[2]),
    _by_activity("KeypointGAN", "Human3.6M prior", 14.46, *_PIXELS[3]),
)

SIMPLE_HUMAN36M = (
    Row("Thewlis et al. 2017", "+ regression; 256 px", {"all": 7.51}, "[P-ppl]"),
    Row("Zhang et al. 2018", "+ regression; 256 px", {"all": 4.91}, "[P-ppl]"),
    Row("Schmidtke et al. 2021", "template; 256 px", {"all": 3.31}, "[P-ppl]"),
    Row("Lorenz et al. 2019", "+ regression; 256 px", {"all": 2.79}, "[P-ppl]"),
    Row("AutoLink 2022", "+ regression, L/R-invariant; 128 px", {"all": 2.76}, "[P-ppl], [P-pwc]"),
    Row("KeypointGAN 2020", "no regression; strict or oracle is not stated", {"all": 2.73}, "[P-ppl]"),
    Row(
        "B-KinD 2022", "+ regression; 128 px; its code tests S9 and S11, 16 joints", {"all": 2.44}, "[P-ppl]"
    ),
    Row("StableKeypoints 2024", "+ regression, L/R-invariant", {"all": 4.45}, "[P-pwc]"),
    Row("Pose Prior Learner 2026", "learned prior; 256 px", {"all": 2.56}, "[P-ppl]"),
    Row("Pose Prior Learner 2026", "learned prior; 128 px", {"all": 1.92}, "[P-ppl]"),
    Row("Pose Prior Learner 2026", "masked-image reference; 128 px", {"all": 2.23}, "[P-ppl]"),
)

FACE300W = (Row("Stacked hourglass", "supervised, inter-ocular", {"full": 3.42}, "[P-animals]"),)

CAT_HEAD = tuple(
    Row(method, "+ regression, forward; points and split not stated", {"all": error}, "[P-uld]")
    for method, error in (
        ("Jakab et al. 2018 (IMM)", 4.53),
        ("Zhang et al. 2018", 4.62),
        ("Sanchez et al. 2019", 4.42),
        ("Mallis et al. 2020", 9.31),
        ("Awan et al. 2023", 3.76),
        ("Mallis et al., diffusion features", 3.14),
        ("StableKeypoints 2024", 2.99),
        ("Tourani et al. 2024 (D-ULD++)", 2.89),
        ("Tourani et al. 2025", 2.69),
    )
)
