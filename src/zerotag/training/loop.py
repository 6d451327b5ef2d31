"""Training: a plain loop that can be killed at any moment and goes on to the same weights, bit for bit."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch.optim import Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import ConstantLR, LambdaLR, LRScheduler, MultiStepLR, OneCycleLR

from zerotag.errors import ZerotagError
from zerotag.json_files import damaged
from zerotag.locks import held
from zerotag.metrics import average_precision
from zerotag.prefetch import prefetched
from zerotag.progress import Progress, silent
from zerotag.training.checkpoint import load_tensors, load_weights, save_tensors
from zerotag.training.log import Line, read_log, write_log
from zerotag.training.network import Batch, Network, embed_all, scores_of
from zerotag.training.prepare import Examples, prepare
from zerotag.training.processes import Processes, processes
from zerotag.training.run import Run
from zerotag.training.settings import OptimiserSettings, Settings
from zerotag.training.state import START_AGAIN, State, load_checkpoint, save_checkpoint

CHECKPOINT_EVERY_SECONDS = 60
INSTEAD = "choose another --out"


def train(settings: Settings, folder: Path, *, resume: bool = False, progress: Progress = silent) -> Run:
    """Train a model and write the run to ``folder``; the weights of the best epoch are in ``model.safetensors``.

    The best epoch is the one that ranks held-out seen labels best on held-out training pictures; test pictures and
    unseen labels are never looked at. With no pictures held out the last epoch is kept, and where no held-out picture
    has a label to be ranked the first.

    Args:
        settings: what to train, and how.
        folder: where the run goes.
        resume: go on from the checkpoint in ``folder`` if there is one; a finished run is left as it is.
        progress: told of each step.

    Raises:
        ZerotagError: the folder holds a run already, another process writes to it, or data, vectors or settings do
            not fit together.
    """
    with processes() as all_processes, held(folder, INSTEAD) if all_processes.is_first else nullcontext():
        return _train(settings, folder, resume, all_processes, all_processes.reporting(progress))


def _train(settings: Settings, folder: Path, resume: bool, together: Processes, progress: Progress) -> Run:
    shares = together.shares(settings.optimiser.batch_size, settings.optimiser.parts)
    read = slice(shares[0].start, shares[-1].stop)
    if settings.optimiser.superpose:  # a partner may be another process's picture
        read = slice(0, settings.optimiser.batch_size)
    with together.first_alone():
        torch.manual_seed(settings.seed)
        run, network, fit, held_out = prepare(settings, folder, resume=resume, progress=progress)
    together.wait()
    if run.is_finished:
        return run
    if together.is_first:
        run.save()
    optimiser = _optimiser(settings.optimiser, network)
    steps_per_epoch = max(1, len(fit.indices) // settings.optimiser.batch_size)
    schedule = _schedule(settings.optimiser, optimiser, steps_per_epoch)
    state = State()
    if resume and run.checkpoint.exists():
        state = _continued(run, network, optimiser, steps_per_epoch)
        schedule.last_epoch = state.step
    together.wait()
    if together.is_first:
        # a killed run may have logged an epoch that its checkpoint does not know yet; that epoch comes again
        write_log(run.log_file, state.log)

    total = steps_per_epoch * settings.optimiser.epochs
    fit_W = fit.W.to(network.device)
    began, saved = time.monotonic() - state.seconds, time.monotonic()
    network.train()
    joined = together.joined(network)
    for rows, batch in _batches(fit, settings, steps_per_epoch, state.step, read):
        positives = torch.from_numpy(fit.positives(rows)).to(network.device)
        partner = partners(len(rows), settings.optimiser.superpose).to(network.device)
        positives |= positives[partner]
        optimiser.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=network.device)
        for share in shares:
            own = slice(share.start - read.start, share.stop - read.start)
            output = joined(batch, partner[own], own.start)
            part = network.model.loss(output, fit_W, positives[own]) / len(shares)
            part.backward()
            loss += part.detach()
        optimiser.step()
        schedule.step()
        state.step += 1
        state.epoch_loss += together.sum(loss).item() / together.count / steps_per_epoch
        without = (~positives.any(1)).sum()
        state.without_labels += int(without if settings.optimiser.superpose else together.sum(without))
        state.seconds = time.monotonic() - began
        progress(f"Training {run.settings.model.name}", state.step, total)
        if not math.isfinite(state.epoch_loss):
            epoch = (state.step - 1) // steps_per_epoch + 1
            raise ZerotagError(f"the loss is no longer a number in epoch {epoch}; lower optimiser.learning_rate")
        epoch_ends = state.step % steps_per_epoch == 0
        if epoch_ends:
            if together.is_first:
                _end_epoch(run, network, held_out, state, schedule, steps_per_epoch)
            state.epoch_loss, state.without_labels = 0.0, 0
            together.wait()
        if together.is_first and (epoch_ends or time.monotonic() - saved > CHECKPOINT_EVERY_SECONDS):
            save_checkpoint(run.checkpoint, network, optimiser, state)
            saved = time.monotonic()
    if together.is_first:
        run.best.replace(run.weights)
    together.wait()
    return run


def _continued(run: Run, network: Network, optimiser: Optimizer, steps_per_epoch: int) -> State:
    """The state that the checkpoint of a run holds.

    Raises:
        ZerotagError: it is not one of this training, or the weights of the best epoch are not beside it.
    """
    state = load_checkpoint(run.checkpoint, network, optimiser)
    if state.step >= steps_per_epoch and not state.log:  # as checkpoints of earlier versions are
        state.log = [line for line in read_log(run.log_file) if line.step <= state.step]
    if not state.fits(steps_per_epoch, run.settings.optimiser.epochs):
        raise damaged(run.checkpoint, "it is of a training of another length", START_AGAIN)
    if state.best_epoch:
        delete = f"delete {run.checkpoint} to train from the start, with --resume"
        weights, plain = load_tensors(run.best, delete)
        load_weights(copy.deepcopy(network), weights, run.best)
        if not isinstance(epoch := plain.get("epoch"), int) or epoch < state.best_epoch:
            raise damaged(run.best, f"it is not of epoch {state.best_epoch}, which was the best one", delete)
    return state


def _batches(
    fit: Examples, settings: Settings, steps_per_epoch: int, first_step: int, read: slice
) -> Iterator[tuple[np.ndarray, Batch]]:
    """Rows of ``fit`` and their inputs from ``first_step`` on, of each batch those to ``read``.

    An epoch's order depends on seed and epoch alone.
    """
    size = settings.optimiser.batch_size

    def rows() -> Iterator[np.ndarray]:
        for epoch in range(first_step // steps_per_epoch, settings.optimiser.epochs):
            order = np.random.default_rng([settings.seed, epoch]).permutation(len(fit.indices))
            first = first_step % steps_per_epoch if epoch == first_step // steps_per_epoch else 0
            for step in range(first, steps_per_epoch):
                yield order[step * size : (step + 1) * size][read]

    return prefetched(lambda chosen: fit.inputs.batch(fit.indices[chosen]), rows())


def partners(number: int, share: float) -> Int[torch.Tensor, " b"]:
    """For each picture of a batch another one, with probability ``share``, or itself."""
    return torch.where(torch.rand(number) < share, torch.randperm(number), torch.arange(number))


def _end_epoch(
    run: Run,
    network: Network,
    held_out: Examples | None,
    state: State,
    schedule: LRScheduler,
    steps_per_epoch: int,
) -> None:
    epoch = state.step // steps_per_epoch
    line = Line(
        epoch=epoch,
        step=state.step,
        loss=state.epoch_loss,
        pictures_without_labels=state.without_labels,
        learning_rate=float(schedule.get_last_lr()[0]),
        seconds=round(state.seconds, 1),
    )
    score = float(epoch)
    if held_out is not None:
        score = held_out_map(network, held_out)
        line.held_out_map = None if math.isnan(score) else score
    if score > state.best_score or not state.best_epoch:
        state.best_score, state.best_epoch = (state.best_score if math.isnan(score) else score), epoch
        save_tensors(run.best, network.state_dict(), {"epoch": epoch})
    state.log.append(line)
    write_log(run.log_file, state.log)


def held_out_map(network: Network, held_out: Examples) -> float:
    """Mean average precision over held-out pictures, of held-out labels, or of all seen ones where none is held out.

    NaN where no held-out picture has such a label.
    """
    S = embed_all(network, held_out.inputs, held_out.indices)
    scores = scores_of(network.model, S, held_out.W)
    if not np.isfinite(scores).all():
        raise ZerotagError("the scores of held-out pictures are no longer numbers; lower optimiser.learning_rate")
    precision = average_precision(scores, held_out.positives())
    return math.nan if np.isnan(precision).all() else float(np.nanmean(precision))


def _optimiser(settings: OptimiserSettings, network: Network) -> Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.name == "rmsprop":
        return RMSprop(network.parameters(), lr=rate, weight_decay=decay, momentum=settings.momentum)
    kind = {"adam": Adam, "adamw": AdamW}[settings.name]
    return kind(network.parameters(), lr=rate, weight_decay=decay, fused=True)


def _schedule(settings: OptimiserSettings, optimiser: Optimizer, steps_per_epoch: int) -> LRScheduler:
    total = steps_per_epoch * settings.epochs
    if settings.schedule == "one_cycle":
        return OneCycleLR(optimiser, settings.learning_rate, total_steps=total + 1, pct_start=settings.warm_up)
    if settings.schedule == "cosine":
        return LambdaLR(optimiser, _warm_cosine(settings, total))
    if settings.schedule == "steps":
        return MultiStepLR(optimiser, [epoch * steps_per_epoch for epoch in settings.milestones])
    return ConstantLR(optimiser, factor=1.0)


def _warm_cosine(settings: OptimiserSettings, total: int) -> Callable[[int], float]:
    """Factor of the learning rate at a step: up in a line, then down half a cosine to ``last_learning_rate``."""
    warm, last = settings.warm_up * total, settings.last_learning_rate / settings.learning_rate

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return last + (1 - last) * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm))) / 2

    return factor
