"""The studies of the paper: what may be changed about a run of its method, one switch each."""

from __future__ import annotations

import dataclasses

from training.config import TrainConfig

SECOND_CYCLE, IMAGE_DISCRIMINATOR = "second-cycle", "image-discriminator"
NO_BOTTLENECK, PIXEL_LOSS = "no-bottleneck", "pixel-loss"

# By name, what a card says. Of the first two the paper's supplement says that they made its results worse.
ABLATIONS = {
    SECOND_CYCLE: "a second cycle: Φ draws poses of the prior again from what Ψ paints of them",
    IMAGE_DISCRIMINATOR: "a discriminator D_X of what Ψ paints of poses of the prior; no masked pictures",
    NO_BOTTLENECK: "no bottleneck: Ψ sees what Φ draws, and not the landmarks drawn anew",
    PIXEL_LOSS: "squared differences of pixels in place of the perceptual loss",
}


def ablate(config: TrainConfig, name: str) -> TrainConfig:
    """``config`` with one of ``ABLATIONS``.

    With D_X no appearance is the target itself, half hidden, as only in real pairs would the two agree.
    The run to compare that with has ``masked=0`` too.
    """
    masked = 0.0 if name == IMAGE_DISCRIMINATOR else config.masked
    return dataclasses.replace(config, ablation=name, masked=masked)


def departures(config: TrainConfig) -> str:
    """What a run was told to change for a study, in words; empty when nothing."""
    parts = [ABLATIONS[config.ablation]] if config.ablation else []
    parts += [f"a prior of {config.prior_size} poses"] if config.prior_size else []
    parts += [f"no poses of {name}" for name, weight in config.prior_weights.items() if weight == 0]
    return "; ".join(parts)
