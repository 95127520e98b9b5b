"""The training run: η on poses, Φ towards the mean pose, then all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from engines.decoder import DecoderModel, decoder_beside, load_decoder
from engines.model import DECODER, Model, load_model
from engines.skeleton import HUMAN, SKELETONS, Skeleton
from training import checkpoint
from training.ablations import NO_BOTTLENECK, PIXEL_LOSS
from training.config import TrainConfig
from training.export import export_decoder, export_model, mixed
from training.framing import frame
from training.grid import write_grid
from training.images import Pictures
from training.learner import Learner
from training.negatives import Negatives
from training.origin import keep_to_origin
from training.perceptual import PerceptualLoss, Pixels, open_perceptual
from training.poses import PosePrior, load_prior
from training.processes import ALONE, Processes
from training.puppets import Puppets
from training.regressor import pretrain
from training.run import Log, Run, Saver, interruptible
from training.selection import label_free_score

_LOOK_EVERY = 250
_LOOKED_AT = 12  # pictures in a grid
_JUDGED = 128  # held-out pictures of the label-free score


def train(
    run: Run,
    config: TrainConfig,
    resume: bool,
    device: torch.device,
    stop_at: int | None = None,
    processes: Processes = ALONE,
) -> bool:
    """Train until ``config.steps`` (or only to ``stop_at``), going on from the last checkpoint if ``resume``.

    Writes below ``run.out``: ``regressor.pt`` (η alone), ``checkpoint.pt``, ``log.jsonl``, ``grids/`` and,
    when it has come to its end or to ``stop_at``, ``model.safetensors`` and ``decoder.safetensors``. False
    when it was interrupted: then the checkpoint holds all. Several ``processes`` share every batch; the first
    of them writes.

    Raises ``ValueError`` for data, poses or checkpoints that do not fit, ``TrainingStopped`` for a loss
    that is not finite, ``OSError`` when the disk refuses, ``ToldElsewhere`` when that befell another process.
    """
    with processes.agreed():
        _check_shares(config, bool(run.negatives), processes)
        skeleton = SKELETONS[config.skeleton]
        prior = load_prior(run.data / "prior", skeleton, config)
        puppets = _open_puppets(prior, skeleton, config) if config.puppets else None
        negatives = _open_negatives(run.negatives, config) if run.negatives else None
        pictures = Pictures(run.data / "train", config, False, puppets, negatives, processes)
        unseen = Pictures(run.data / "train", config, held_out=True)
        torch.manual_seed(config.seed)  # a perceptual network without weights is the same in every process
        perceptual = _open_perceptual(run, config)
        start = _open_start(run.start, config) if run.start else None
        if config.start_share and not start:
            raise ValueError(
                f"start_share {config.start_share:g} is a share of a model: name it with --start"
            )
        found = [path for name in ("checkpoint.pt", "regressor.pt") if (path := run.out / name).exists()]
        if found and not resume:
            raise ValueError(f"{found[0]} is there: --resume goes on with it, or choose another --out")
        run.out.mkdir(parents=True, exist_ok=True)
        learner = Learner(config, skeleton, torch.from_numpy(prior.mean), perceptual, device, processes)
    log = Log(run.out / "log.jsonl", silent=not processes.first)
    log.say(
        f"{config.skeleton}, {config.network.input_size} px, {len(pictures)} pictures"
        f" ({len(unseen)} held out), {len(prior.poses) // 2} poses, {device}"
        + (f", {processes.count} processes" if processes.count > 1 else "")
    )
    last = min(stop_at or config.steps, config.steps)
    torch.backends.cudnn.benchmark = True  # every batch has the same shape
    bottleneck = config.ablation != NO_BOTTLENECK

    with interruptible(processes) as stopping:
        first = -config.warm_start_steps
        if stored := checkpoint.resume(run.out / "checkpoint.pt", config, processes):
            learner.load_state_dict(stored["learner"])
            first = stored["step"]
            log.say(f"resumed at step {first}")
        elif start:
            learner.begin_with(*start)
            # It knows better than the mean pose already; puppets go on teaching it.
            first = first if puppets else 0
        else:
            path = run.out / "regressor.pt"
            regressor = pretrain(path, prior, config, device, log.write, stopping, processes)
            if regressor is None:
                log.say("interrupted; --resume goes on from there")
                return False
            learner.regressor.load_state_dict(regressor.state_dict())
        with processes.agreed():
            if processes.first:
                keep_to_origin(run, perceptual, start and start[0], len(pictures))
        saver = Saver(run.out / "checkpoint.pt", config, learner, log, first)
        for end in (0, last):  # of the warm start, and of the run
            if stopping():
                break
            if end > 0 and puppets and skeleton.name == HUMAN.name:
                # Pictures of people are cut for a whole clip; faces and cats have boxes of their own.
                # The other processes read what the first has found.
                for here in (processes.first, not processes.first):
                    with processes.agreed():
                        if here:
                            sets = pictures.sets + unseen.sets
                            frame(sets, run.out / "boxes.pt", learner.averaged_nets, config)
            to_look = unseen.batch(0, _LOOKED_AT).to(device)
            to_judge = unseen.batch(1, _JUDGED).to(device)
            # Batches are numbered from the warm start on: a resumed run sees those that it has not seen.
            batches = pictures.batches(saver.step + config.warm_start_steps)
            for number, batch in enumerate(batches, start=saver.step + 1):
                if number > end or stopping():
                    break
                batch = batch.to(device)
                if number <= 0:
                    losses = learner.warm_step(number, batch)
                else:
                    rng = np.random.default_rng([config.seed, number])
                    poses = processes.share(prior.sample(config.batch, rng))
                    losses = learner.step(number, batch, poses.to(device, non_blocking=True))
                saver.after(number, losses)
                if number % _LOOK_EVERY == 0:
                    with processes.agreed():
                        if processes.first:
                            nets = learner.averaged_nets
                            score = label_free_score(nets, perceptual, skeleton, to_judge, bottleneck)
                            log.write({"step": number, **score})
                            grid = run.out / "grids" / f"{number:06d}.png"
                            write_grid(grid, nets, skeleton, to_look, bottleneck)
            saver.save()
        stopped = stopping()
    if stopped:
        log.say(f"interrupted at step {saver.step}; --resume goes on from there")
        return False
    nets = learner.averaged_nets
    drawer, decoder, regressor = mixed(nets, start, config.start_share) if start else nets
    model = run.out / "model.safetensors"
    with processes.agreed():
        if processes.first:
            export_model(
                model,
                drawer,
                regressor,
                config,
                run.data,
                run.command,
                pictures.sets,
                saver.step,
                start and start[0],
            )
            export_decoder(run.out / DECODER, decoder, config, load_model(model))
    log.say(f"wrote {model}")
    return True


def _open_puppets(prior: PosePrior, skeleton: Skeleton, config: TrainConfig) -> Puppets:
    if skeleton.name != HUMAN.name:
        return Puppets(prior.poses, skeleton, config.crop_scale, config.seed, prior.weights)
    if not len(prior.views):
        raise ValueError("puppets take poses in space, and the prior has none: --set puppets=0 goes without")
    return Puppets(prior.views, skeleton, config.crop_scale, config.seed, prior.view_weights)


def _open_negatives(folders: Sequence[Path], config: TrainConfig) -> Negatives:
    if not config.puppets or not config.negatives:
        raise ValueError("--negatives are shown beside puppets: not with --set puppets=0 or negatives=0")
    return Negatives(folders, config.seed)


def _open_perceptual(run: Run, config: TrainConfig) -> PerceptualLoss:
    if config.ablation != PIXEL_LOSS:
        return open_perceptual(run.perceptual)
    if run.perceptual:
        raise ValueError(f"--perceptual does not go with {PIXEL_LOSS}, which looks at pixels alone")
    return PerceptualLoss(Pixels(), taps=1)


def _open_start(name: str, config: TrainConfig) -> tuple[Model, DecoderModel]:
    model = load_model(name)
    given = f"{model.skeleton.name} with {model.config} and crops of {model.crop_scale:g}"
    wanted = f"{config.skeleton} with {config.network} and crops of {config.crop_scale:g}"
    if given != wanted:
        raise ValueError(f"--start {name} is a model of {given}, this run trains {wanted}: choose its preset")
    return model, load_decoder(decoder_beside(name))


def _check_shares(config: TrainConfig, negatives: bool, processes: Processes) -> None:
    for name in ("batch", "regressor_batch", "puppets", *(["negatives"] if negatives else [])):
        if (size := getattr(config, name)) % processes.count:
            raise ValueError(
                f"{processes.count} processes cannot share a {name} of {size}: start a number of them that"
                f" divides it, or --set {name}={size - size % processes.count or processes.count}"
            )
