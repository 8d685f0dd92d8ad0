"""The training loop: one for every variant."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from pipeline.cache.reader import Split
from pipeline.errors import TrainingError
from pipeline.losses import kl
from pipeline.losses.config import LossConfig
from pipeline.losses.reconstruction import make, mse
from pipeline.models.vae import VAE
from pipeline.training.config import TrainConfig
from pipeline.training.data import Resident, fixed_noise

History = list[dict[str, float]]


@dataclass
class Snapshots:
    """What the model made of a few fixed windows and latents at chosen epochs; arrays are (n, *shape)."""

    originals: Tensor
    epochs: list[int] = field(default_factory=list)
    reconstructions: list[Tensor] = field(default_factory=list)
    samples: list[Tensor] = field(default_factory=list)


def fit(
    model: VAE,
    train: Split,
    valid: Split,
    config: TrainConfig,
    loss: LossConfig,
    seed: int,
    device: torch.device,
    on_epoch: Callable[[dict[str, float]], None],
) -> tuple[History, Snapshots]:
    """Train `model` in place and leave it at the epoch with the best validation objective at the final KL weight.

    Args:
        model: on the device.
        train: windows to learn from.
        valid: windows to choose the epoch by.
        config: optimiser, schedule, length.
        loss: what is minimised, in nats per window; its gradient is taken per value, so that clipping and learning
            rate mean the same for any size of window.
        seed: of the order of windows, their places in their rows and the noise.
        device: where batches are made.
        on_epoch: called with each epoch's row of history.

    Raises:
        TrainingError: a loss is no longer finite.
    """
    values = prod(train.shape)
    term = make(loss.reconstruction, train.kind, values)
    estimate = kl.ESTIMATORS[loss.kl.estimator]
    data, held_out = Resident(train, device), Resident(valid, device)
    steps = config.epochs * math.ceil(len(data) / config.batch_size)
    optimiser = torch.optim.AdamW(
        model.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=device.type != "mps"
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps, config))
    generator = torch.Generator(device).manual_seed(seed)
    shuffle = torch.Generator().manual_seed(seed)
    snapshots = Snapshots(held_out.batch(_spread(len(held_out), 4)))
    fixed_noise = torch.randn(4, model.latent_dims, generator=generator, device=device)
    marks = {round(e) for e in torch.linspace(1, config.epochs, config.snapshots).tolist()}
    history: History = []
    best, best_state, step = math.inf, copy.deepcopy(model.state_dict()), 0

    for epoch in range(1, config.epochs + 1):
        began = time.perf_counter()
        model.train()
        sums = torch.zeros(5, device=device)  # loss, reconstruction, KL, effective beta, gradient norm
        for x in data.epoch(config.batch_size, shuffle):
            noise = torch.randn(len(x), model.latent_dims, generator=generator, device=device)
            reconstruction, code = model(x, noise)
            distance = term.distance(reconstruction, x)
            nats = term.nats(distance).mean()
            divergence = estimate(code).sum(1).mean()
            beta = kl.weight(loss.kl, step / steps)
            optimiser.zero_grad(set_to_none=True)
            total = nats + beta * divergence
            (total / values).backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()
            scheduler.step()
            effective = beta * term.variance(distance)
            sums += torch.stack((total.detach(), nats.detach(), divergence.detach(), effective, norm)) * len(x)
            step += 1
        means = (sums / len(data)).tolist()  # the only wait for the device in an epoch
        row = {
            "epoch": epoch,
            "train_loss": means[0],
            "train_reconstruction": means[1],
            "train_kl": means[2],
            **validate(model, held_out, loss, config.batch_size),
            "beta": beta,
            "beta_effective": means[3],
            "learning_rate": optimiser.param_groups[0]["lr"],
            "grad_norm": means[4],
            "seconds": time.perf_counter() - began,
        }
        bad = [name for name, value in row.items() if not math.isfinite(value)]
        if bad:
            raise TrainingError(f"{', '.join(bad)} not finite in epoch {epoch}; try a lower train.learning_rate")
        history.append(row)
        on_epoch(row)
        if row["valid_loss"] < best:
            best, best_state = row["valid_loss"], copy.deepcopy(model.state_dict())
        since = epoch - min(history, key=lambda r: r["valid_loss"])["epoch"]
        stop = config.patience is not None and since >= config.patience
        if epoch in marks or stop:
            _keep(snapshots, epoch, model, fixed_noise)
        if stop:
            break
    model.load_state_dict(best_state)
    return history, snapshots


@torch.no_grad()
def validate(model: VAE, data: Resident, loss: LossConfig, batch_size: int) -> dict[str, float]:
    """The training's objective on held-out windows, at the final KL weight and with the same draws every time.

    In nats per window; valid_mse alone is of the reconstruction from the posterior's mean.
    """
    model.eval()
    noise = fixed_noise(len(data), model.latent_dims).to(data.device)
    term = make(loss.reconstruction, data.kind, prod(data.shape))
    distances, errors, divergences, means = [], [], [], []
    for x, draw in zip(data.batches(batch_size), noise.split(batch_size), strict=True):
        reconstruction, code = model(x, draw)
        distances.append(term.distance(reconstruction, x))
        errors.append(mse(model.decode(code.mean), x))
        divergences.append(kl.analytic(code).sum(1))
        means.append(code.mean)
    nats, divergence = float(term.nats(torch.cat(distances)).mean()), float(torch.cat(divergences).mean())
    return {
        "valid_loss": nats + loss.kl.beta * divergence,
        "valid_reconstruction": nats,
        "valid_kl": divergence,
        "valid_mse": float(torch.cat(errors).mean()),
        "active_units": kl.active_units(torch.cat(means)),
    }


def _rate(step: int, steps: int, config: TrainConfig) -> float:
    """Share of the learning rate at a step: linear warm-up, then constant or a half cosine down to 1 %."""
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return 1.0
    done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _spread(length: int, number: int) -> Tensor:
    """`number` indices over a split: windows lie in it by label, so these are of different ones."""
    return torch.linspace(0, length - 1, min(number, length)).round().long()


@torch.no_grad()
def _keep(snapshots: Snapshots, epoch: int, model: VAE, noise: Tensor) -> None:
    model.eval()
    snapshots.epochs.append(epoch)
    snapshots.reconstructions.append(model(snapshots.originals)[0].cpu())
    snapshots.samples.append(model.sample(noise).cpu())
