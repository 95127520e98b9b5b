"""Everything that training changes: the nets, their optimisers, the image pool; and one step of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from engines.decoder import DecoderModel
from engines.model import Model
from engines.network import PoseRegressor, SkeletonDrawer, as_input, initialise, move
from engines.render import render
from engines.skeleton import Skeleton
from training import losses
from training.ablations import IMAGE_DISCRIMINATOR, NO_BOTTLENECK, SECOND_CYCLE
from training.augment import apply_maps, warp_like_jitter
from training.config import TrainConfig
from training.images import Batch
from training.networks import Decoder, Discriminator, frozen
from training.painting import ImageJudge, SecondCycle
from training.perceptual import PerceptualLoss
from training.pool import ImagePool
from training.processes import ALONE, Processes
from training.regressor import autocast, descend, points_of

_BETAS = (0.5, 0.999)


class Learner:
    """Φ, Ψ, η and D_Y as they learn, and what a study adds. ``state_dict`` holds all of it, for checkpoints.

    Several ``processes`` do what one does on the shares of all together, and are in the same state after
    every step. Only batch norm sees less: in a step it normalises each process's share by itself, and what it
    keeps is the mean over them. So let no share be small.
    """

    def __init__(
        self,
        config: TrainConfig,
        skeleton: Skeleton,
        mean_pose: Tensor,
        perceptual: PerceptualLoss,
        device: torch.device,
        processes: Processes = ALONE,
    ) -> None:
        """``mean_pose`` ``(K, 2)``: the prior's, in units of the landmark box."""
        torch.manual_seed(config.seed)
        size, width, layers = config.network.input_size, config.network.width, len(skeleton.layers)
        self.config, self.skeleton, self.device, self.processes = config, skeleton, device, processes
        self.edges = torch.tensor(skeleton.layers, device=device)
        self.mirror = torch.from_numpy(skeleton.mirror).to(device)
        self.drawer = self._new(SkeletonDrawer(width, layers))
        self.decoder = self._new(Decoder(width, layers))
        self.regressor = self._new(PoseRegressor(len(skeleton.joints), config.network, layers))
        self.discriminator = self._new(Discriminator(config.discriminator_width, size, layers))
        self.perceptual = perceptual.to(device)
        self.perceptual.across = processes.mean
        self.mean_pose = mean_pose.to(device)
        self.mean_shape = losses.MeanShape(self.mean_pose, self.mirror, across=processes.mean)
        self.averaged = AveragedModel(
            nn.ModuleList([self.drawer, self.decoder, self.regressor]),
            multi_avg_fn=growing_average(config.ema),
            use_buffers=True,
        )
        self.pool = ImagePool(config.pool, (layers, size, size), device)
        self.optimisers = {
            "generator": torch.optim.Adam(
                [*self.drawer.parameters(), *self.decoder.parameters()], config.lr, betas=_BETAS
            ),
            "discriminator": torch.optim.Adam(self.discriminator.parameters(), config.lr, betas=_BETAS),
            "regressor": torch.optim.Adam(self.regressor.parameters(), config.lr, betas=_BETAS),
        }
        self.warm_start = torch.optim.Adam(self.drawer.parameters(), config.warm_start_lr)
        self.painting: SecondCycle | ImageJudge | None = None
        if config.ablation == SECOND_CYCLE:
            self.painting = SecondCycle()
        elif config.ablation == IMAGE_DISCRIMINATOR:
            self.painting = ImageJudge(config.discriminator_width, config.lr, _BETAS, device)

    def _new(self, network: nn.Module) -> Any:
        initialise(network)
        move(network, self.device)
        return network

    @property
    def averaged_nets(self) -> tuple[SkeletonDrawer, Decoder, PoseRegressor]:
        """Φ, Ψ and η, averaged over steps and in evaluation mode: for looking, measuring and shipping."""
        averaged: Any = self.averaged.module.eval()
        return averaged[0], averaged[1], averaged[2]

    def _parts(self) -> dict[str, Any]:
        return {
            "drawer": self.drawer,
            "decoder": self.decoder,
            "regressor": self.regressor,
            "discriminator": self.discriminator,
            "averaged": self.averaged,
            "pool": self.pool,
            "warm_start": self.warm_start,
            **({"painting": self.painting} if self.painting else {}),
            **{f"{name}_optimiser": each for name, each in self.optimisers.items()},
        }

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimisers, averages, pool and running means."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        means = {"perceptual_running": self.perceptual.running, "mean_shape": self.mean_shape.mean}
        return {**parts, **means}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse; raises ``KeyError``, ``ValueError`` or ``RuntimeError`` when it does not fit."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.perceptual.running.copy_(state["perceptual_running"])
        self.mean_shape.mean = state["mean_shape"].to(self.device)

    def begin_with(self, model: Model, decoder: DecoderModel) -> None:
        """Take over the weights of an exported model and of its decoder; D starts anew."""
        network: Any = model.network()
        self.drawer.load_state_dict(network.drawer.state_dict())
        self.regressor.load_state_dict(network.regressor.state_dict())
        self.decoder.load_state_dict(decoder.network().state_dict())
        self.averaged.module.load_state_dict(self.averaged_sources.state_dict())

    def warm_step(self, number: int, batch: Batch) -> dict[str, Tensor]:
        """Step ``number``, of those up to 0. Φ alone: draw the pose of every puppet, so that η reads it
        there, or, without any, the mean pose on every picture.

        That lies on the picture's estimated box, as its crop sees it.
        """
        if len(batch.puppets):
            poses = batch.puppet_poses
            # Pictures come along, so that the batch norms do not take all the world for puppets.
            images = torch.cat([batch.puppets, batch.negatives, batch.image])
        else:
            on_picture = self.mean_pose * batch.boxes[:, None, 2:] + batch.boxes[:, None, :2]
            poses = apply_maps(on_picture, losses.inverse(batch.maps))
            images = batch.image
        with autocast(self.device), frozen(self.regressor):
            drawn, blank, _ = self.drawer(as_input(images)).tensor_split(
                [len(poses), len(poses) + len(batch.negatives)]
            )
            read = points_of(self.regressor.logits(drawn)) if len(batch.puppets) else poses
        clean = render(poses, self.edges, drawn.shape[-1])
        loss = losses.drawing(torch.cat([drawn, blank]), torch.cat([clean, torch.zeros_like(blank)]))
        distance = losses.distance(read, poses)
        for group in self.warm_start.param_groups:
            group["lr"] = self.config.warm_start_lr * learning_rate_factor(number, self.config)
        descend(self.warm_start, loss + self.config.puppet_points * distance, self.processes, self.drawer)
        measured = {"warm_start": loss.detach()}
        if len(batch.puppets):
            measured["puppet_points"] = distance.detach()
            # η must read these drawings too, blurred where Φ hesitates, and not forget the clean ones.
            with autocast(self.device):
                read = points_of(self.regressor.logits(torch.cat([clean, drawn.detach().float()])))
            reading = F.mse_loss(read, torch.cat([poses, poses]))
            descend(self.optimisers["regressor"], reading, self.processes)
            measured["reading"] = reading.detach()
        self.averaged.update_parameters(self.averaged_sources)
        return measured

    @property
    def averaged_sources(self) -> nn.ModuleList:
        """What ``averaged`` is the average of."""
        return nn.ModuleList([self.drawer, self.decoder, self.regressor])

    def step(self, number: int, batch: Batch, poses: Tensor) -> dict[str, Tensor]:
        """One step on pictures and unpaired placed ``poses`` ``(B, K, 2)``; the losses, detached.

        Of several processes each gives its shares, and gets the losses on them.
        The order is KeypointGAN's: Φ and Ψ against D and η as they are, then D, then η on a forward
        pass of its own.
        """
        config = self.config
        generator = torch.Generator().manual_seed(hash((config.seed, number)) % 2**63)
        for optimiser in self.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = config.lr * learning_rate_factor(number, config)
        target, appearance = as_input(batch.image), as_input(batch.other)
        real = render(poses, self.edges, target.shape[-1])

        # Φ and Ψ.
        with autocast(self.device), frozen(self.discriminator, self.regressor):
            images = (target, *map(as_input, (batch.view, batch.puppets, batch.negatives)))
            drawn = self.drawer(torch.cat(images))
            drawn, blank = drawn.tensor_split([len(drawn) - len(batch.negatives)])
            points = points_of(self.regressor.logits(drawn))
            points, view_points, puppet_points = points.tensor_split([len(target), 2 * len(target)])
            drawn, drawn_puppets = drawn.tensor_split([2 * len(target)])
            answers = self.discriminator(self._augmented(drawn, generator))
            clean = render(points, self.edges, target.shape[-1])
            shown = drawn[: len(target)] if config.ablation == NO_BOTTLENECK else clean
            redrawn = self.decoder(shown, appearance)
            reconstruction = self.perceptual(redrawn, target)
            painting = torch.zeros((), device=self.device)
            if self.painting:
                painting = self.painting.loss(self.drawer, self.decoder, real, appearance)
        adversarial = losses.adversarial(answers, real=True)
        equivariance = losses.equivariance(
            points, batch.maps, view_points, batch.view_maps, batch.mirrored, self.mirror
        )
        clean_puppets = render(batch.puppet_poses, self.edges, target.shape[-1])
        puppet = losses.drawing(
            torch.cat([drawn_puppets, blank]), torch.cat([clean_puppets, torch.zeros_like(blank)])
        )
        puppet = puppet + config.puppet_points * losses.distance(puppet_points, batch.puppet_poses)
        placed = losses.in_boxes(points, batch.maps, batch.boxes, self.mirror)
        mean_shape = self.mean_shape(placed, batch.trusted)
        ramp = min(1.0, max(0.0, number / max(1, config.equivariance_from) - 1))
        descend(
            self.optimisers["generator"],
            config.adversarial * adversarial
            + config.reconstruction * reconstruction
            + ramp * config.equivariance * equivariance
            + config.mean_shape * mean_shape
            + config.puppet * puppet
            + painting,
            self.processes,
            self.drawer,
            self.decoder,
        )

        # D_Y.
        drawn = drawn.detach().float()
        everything = self.processes.whole(drawn)
        chosen = torch.randperm(len(everything), generator=generator)[: self.processes.count * len(real)]
        chosen = chosen.to(everything.device, non_blocking=True)  # or indexing would wait for a GPU
        fake = self.processes.share(self.pool.swap(everything[chosen], generator))
        with autocast(self.device):
            both = self.discriminator(self._augmented(torch.cat([real, fake]), generator))
        on_real, on_fake = zip(*(answer.chunk(2) for answer in both), strict=True)
        discrimination = (losses.adversarial(on_real, True) + losses.adversarial(on_fake, False)) / 2
        descend(self.optimisers["discriminator"], discrimination, self.processes)

        studied = {}
        if self.painting:
            rate = config.lr * learning_rate_factor(number, config)
            learned = self.painting.learn(target, appearance, rate, self.processes)
            studied = {"painting": painting.detach(), **learned}

        # η.
        seen = drawn[: len(real)]
        known = torch.cat([poses, batch.puppet_poses])  # of the real drawings and, drawn by Φ, of puppets
        with autocast(self.device):
            logits = self.regressor.logits(torch.cat([real, drawn_puppets.detach().float(), seen]))
        read, seen_points = points_of(logits).tensor_split([len(known)])
        reading = F.mse_loss(read, known)
        cycle = F.mse_loss(render(seen_points, self.edges, target.shape[-1]), seen)
        descend(self.optimisers["regressor"], 0.9 * reading + 0.1 * cycle, self.processes)

        self.averaged.update_parameters(self.averaged_sources)
        return {
            "adversarial": adversarial.detach(),
            "reconstruction": reconstruction.detach(),
            "equivariance": equivariance.detach(),
            "mean_shape": mean_shape.detach(),
            "puppet": puppet.detach(),
            "discrimination": discrimination.detach(),
            "reading": reading.detach(),
            "cycle": cycle.detach(),
            **studied,
        }

    def _augmented(self, drawn: Tensor, generator: torch.Generator) -> Tensor:
        """The same random shifts and sizes for real and fake: D cannot learn the few poses by heart."""
        return warp_like_jitter(drawn, self.config.d_augment, generator, -1, self.processes)


def growing_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """Exponential average whose memory grows with the run: the random start is soon forgotten."""

    def update(averaged: Any, current: Any, count: Tensor) -> None:
        here = min(decay, (1 + int(count)) / (10 + int(count)))
        get_ema_multi_avg_fn(here)(averaged, current, count)

    return update


def learning_rate_factor(number: int, config: TrainConfig) -> float:
    """1 for the first ``lr_decay_from`` of the steps, then a cosine down to a fiftieth.

    The warm start, whose steps are numbered up to 0, has such a fall of its own.
    """
    share = number / config.steps if number > 0 else 1 + number / config.warm_start_steps
    done = (share - config.lr_decay_from) / (1 - config.lr_decay_from)
    return 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * min(1.0, max(0.0, done))))
