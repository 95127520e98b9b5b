"""What a training run is told: frozen values, and the presets."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any, TypeVar

from engines.finder import FinderConfig
from engines.network import NetworkConfig
from engines.student import StudentConfig


@dataclass(frozen=True)
class Jitter:
    """How far crops and placed poses stray from the landmark box; standard deviations.

    ``scale`` is of the logarithm, ``shift`` in box sides, ``roll`` in degrees.
    """

    scale: float = 0.07
    shift: float = 0.045
    roll: float = 10.0


@dataclass(frozen=True)
class Recipe:
    """All that a run is told, whatever it trains."""

    def to_json(self) -> str:
        """One line, for checkpoints and cards."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


@dataclass(frozen=True)
class TrainConfig(Recipe):
    """One run. Losses, sampling and schedule follow KeypointGAN unless a comment says otherwise."""

    skeleton: str
    crop_scale: float
    network: NetworkConfig = field(default_factory=NetworkConfig)
    seed: int = 0

    # η alone, on poses.
    regressor_steps: int = 6000
    regressor_batch: int = 64
    regressor_lr: float = 1e-3
    # Φ alone, towards the mean pose moved as its crop is: where eyes and brows first come to lie.
    warm_start_steps: int = 1000
    warm_start_lr: float = 1e-3

    steps: int = 40_000
    batch: int = 64  # theirs 16, at half this rate
    lr: float = 4e-4
    lr_decay_from: float = 0.6  # of ``steps``: constant until there, then a cosine to a fiftieth
    discriminator_width: int = 64

    adversarial: float = 10.0
    reconstruction: float = 20.0  # theirs 10
    # Not in the paper: registration that neither D nor the reconstruction provides.
    equivariance: float = 10.0
    mean_shape: float = 30.0
    equivariance_from: int = 100  # ramped up to full over as many steps again
    # Nor are puppets, where there are any: so many in a batch, in place of the mean pose in the warm
    # start, and from then on beside the pictures with this weight.
    puppets: int = 0
    puppet: float = 30.0
    # So many crops of --negatives in a batch, where they are given, with the weight of puppets.
    negatives: int = 8
    puppet_points: float = 0.2  # distance of the points that η reads, beside the drawing's squared difference

    jitter: Jitter = field(default_factory=Jitter)
    # The estimated box of a crop is itself off by about this much: the prior must stray as far.
    box_noise: Jitter = field(default_factory=lambda: Jitter(scale=0.06, shift=0.045, roll=5.0))
    # Not in the paper either, of what D sees: it learns small priors by heart.
    d_augment: Jitter = field(default_factory=lambda: Jitter(scale=0.08, shift=0.05, roll=5.0))
    masked: float = 0.3  # share of appearance sources that are the target itself, most of it hidden
    # How often each set of pictures and each source of poses is drawn; one that is not named, an equal share.
    set_weights: dict[str, float] = field(default_factory=dict)
    prior_weights: dict[str, float] = field(default_factory=dict)
    pool: int = 200  # as many batches as theirs of 50
    ema: float = 0.999
    # Of a run that began with a model: that one's share of every weight that is exported.
    start_share: float = 0.0
    # For studies only: a name in ``training.ablations``, and how many poses there are in the prior (0: all).
    ablation: str = ""
    prior_size: int = 0


@dataclass(frozen=True)
class DistillConfig(Recipe):
    """A student's run.

    ``looks``: the teacher's crops of a picture, each also mirrored. The student's stray from the subject
    as ``near``, a share ``far_share`` as ``far``; a share ``absent`` shows no subject.
    """

    skeleton: str
    crop_scale: float
    network: StudentConfig = field(default_factory=StudentConfig)
    seed: int = 0
    steps: int = 8000
    batch: int = 32
    lr: float = 2e-3
    decay: float = 0.02
    ema: float = 0.998
    looks: int = 2
    near: Jitter = field(default_factory=lambda: Jitter(0.08, 0.05, 10.0))
    far: Jitter = field(default_factory=lambda: Jitter(0.2, 0.12, 25.0))
    far_share: float = 0.3
    absent: float = 0.15
    set_weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FindingConfig(Recipe):
    """The finder's run. ``clips``: the share of a batch that are frames of whole clips, where there are any.

    ``size`` and ``place`` are what those losses weigh beside that of the centres.
    """

    seed: int = 0
    steps: int = 2000
    batch: int = 12
    lr: float = 2e-3
    ema: float = 0.998
    size: float = 1.0
    place: float = 4.0
    clips: float = 0.4
    network: FinderConfig = field(default_factory=FinderConfig)


_FACE_SETS = {"ytf": 0.4, "videoframes": 0.15, "helen": 0.45}
# WFLW draws jaws a little higher than iBUG's convention and turns its heads further than a frontal
# detector finds them: by its number alone it would bias every face.
_FACE_POSES = {"wflw_test": 0.45, "lfpw_test": 0.5, "ibug": 0.05}

# The third is large, blurred and unlike any picture that a camera takes today.
_CAT_SETS = {"asirra_unlab": 0.42, "breeds_unlab": 0.5, "asirra100_unlab_lowres": 0.08}

# The poses that people take in the pictures, by how well each source knows them.
_HUMAN_POSES = {"mocap17": 0.3, "penn2d": 0.25, "lspet2d": 0.25, "bend17": 0.2}
# One boy, one wall and one grey field must not be what a person looks like.
_HUMAN_SETS = {
    **{"yoga": 0.26, "darebee": 0.14, "kth": 0.1, "misc": 0.12, "schoolroom": 0.08, "tread": 0.07},
    **{
        "gaitroom": 0.08,
        "gaitlab": 0.04,
        "gmdcsa24": 0.03,
        "sports2d": 0.03,
        "taichi": 0.02,
        "tracked": 0.03,
    },
}
_FACE = TrainConfig(
    skeleton="face68",
    crop_scale=1.5,
    warm_start_steps=3000,
    mean_shape=0.0,  # puppets register better, and the prior's mean is not quite that of the pictures
    puppets=32,
    set_weights=_FACE_SETS,
    prior_weights=_FACE_POSES,
)
_CAT = TrainConfig(
    skeleton="cat_head",
    crop_scale=1.4,
    warm_start_steps=3000,
    mean_shape=0.0,
    puppets=32,
    set_weights=_CAT_SETS,
)
_HUMAN = TrainConfig(
    skeleton="human",
    crop_scale=1.25,
    warm_start_steps=5000,
    mean_shape=0.0,  # people stand, bend and stretch in the pictures as often as they like
    puppets=32,
    jitter=Jitter(scale=0.08, shift=0.04, roll=6.0),
    box_noise=Jitter(scale=0.05, shift=0.03, roll=2.0),
    set_weights=_HUMAN_SETS,
    prior_weights=_HUMAN_POSES,
)

# What two processor cores can train: 64 px, half the width of every net, 16 x 16 maps.
_LITE: dict[str, Any] = {
    "network": NetworkConfig(input_size=64, width=16, map_size=16),
    "regressor_batch": 32,
    "batch": 16,
    "lr": 3e-4,
    "discriminator_width": 32,
    "puppets": 16,
    "negatives": 4,
    "pool": 50,
}

PRESETS = {
    "human": _HUMAN,
    "human-lite": dataclasses.replace(_HUMAN, **_LITE, regressor_steps=4000, steps=3000),
    "face": _FACE,
    "face-lite": dataclasses.replace(_FACE, **_LITE, steps=9000),
    "cat": _CAT,
    "cat-lite": dataclasses.replace(_CAT, **_LITE, regressor_steps=3000, steps=5000),
}


Config = TypeVar("Config")


def with_settings(config: Config, settings: list[str]) -> Config:
    """``config`` with ``key=value`` or ``group.key=value`` replaced; values are read as JSON numbers.

    Raises ``ValueError`` for a key that there is not or a value that is no finite number.
    """
    for setting in settings:
        key, _, text = setting.partition("=")
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"--set {setting}: {text!r} is not a number") from error
        config = _replace(config, key, value, setting)
    return config


def _replace(values: Any, key: str, value: object, setting: str) -> Any:
    head, _, rest = key.partition(".")
    if isinstance(values, dict):
        known = {name: type(each) for name, each in values.items()}
    else:
        known = {each.name: type(getattr(values, each.name)) for each in dataclasses.fields(values)}
    if head not in known:
        raise ValueError(f"--set {setting}: no setting {head!r} (there are {', '.join(sorted(known))})")
    current = values[head] if isinstance(values, dict) else getattr(values, head)
    if rest:
        changed = _replace(current, rest, value, setting)
    elif (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or (isinstance(value, float) and not math.isfinite(value))
        or not isinstance(current, (int, float))
    ):
        raise ValueError(f"--set {setting}: {key!r} takes a number")
    elif isinstance(current, int) and value != int(value):
        raise ValueError(f"--set {setting}: {key!r} takes a whole number")
    else:
        changed = type(current)(value)
    return (
        {**values, head: changed}
        if isinstance(values, dict)
        else dataclasses.replace(values, **{head: changed})
    )
