"""The training loop: one for every variant."""

import copy
import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.cache.reader import Split
from pipeline.errors import TrainingError
from pipeline.losses import kl
from pipeline.losses.objective import Objective
from pipeline.losses.reconstruction import mse
from pipeline.models.vae import VAE
from pipeline.training import collapse
from pipeline.training.config import TrainConfig
from pipeline.training.data import Batch, Feed, fixed_noise
from pipeline.training.feed import GIB, feed

# The second moment forgets within a hundred steps, not a thousand: in the first epochs of a short training the
# gradients of a mean squared error become many times smaller.
BETAS = (0.9, 0.99)

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
    objective: Objective,
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
        objective: what is minimised, in nats per window; its gradient is taken per value, so that clipping and learning
            rate mean the same for any size of window.
        seed: of the order of windows, their places in their rows and the noise.
        device: where batches are made.
        on_epoch: called with each epoch's row of history.

    Raises:
        TrainingError: a loss is no longer finite.
    """
    values = objective.to(device).signal.values
    budget = config.resident_gib * GIB
    data = feed(train, device, model.labels, budget, config.order)
    held_out = feed(valid, device, model.labels, budget)
    model.fit_condition(data.batches(config.batch_size))
    batches = math.ceil(len(data) / config.batch_size)
    steps = config.epochs * batches
    optimiser = torch.optim.AdamW(
        model.parameters(), config.learning_rate, BETAS, weight_decay=config.weight_decay, fused=device.type != "mps"
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps, config))
    generator = torch.Generator(device).manual_seed(seed)
    fixed = held_out.batch(spread(len(held_out), 4))
    snapshots = Snapshots(fixed.x)
    marks = {round(e) for e in torch.linspace(1, config.epochs, config.snapshots).tolist()}
    history: History = []
    best, best_state, step = math.inf, copy.deepcopy(model.state_dict()), 0

    for epoch in range(1, config.epochs + 1):
        began = time.perf_counter()
        model.train()
        sums: dict[str, Tensor] = {}
        for x, label in data.epoch(config.batch_size, seed, epoch):
            noise = torch.randn(len(x), model.latent_dims, generator=generator, device=device)
            if model.condition is not None:
                label = model.condition.forget(label, torch.rand(len(x), generator=generator, device=device))
            y, code = model(x, noise, label)
            distances = objective.distances(y, x, code) | objective.challenge(y, x, code)
            combined = objective.combined(distances)
            nats, divergence = objective.nats(combined).mean(), objective.divergence(code)
            total = nats + objective.regulariser(divergence, code, step / steps)
            optimiser.zero_grad(set_to_none=True)
            (total / values).backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()
            scheduler.step()
            beta = kl.weight(objective.config.kl, step / steps)
            seen = {"train_loss": total, "train_reconstruction": nats, "train_kl": divergence.sum(1).mean()}
            seen |= {f"train_{name}": term.mean() for name, term in (distances | code.penalties).items()}
            seen |= {"beta_effective": beta * objective.variance(combined), "grad_norm": norm}
            for name, value in seen.items():
                sums[name] = sums.get(name, 0) + value.detach()
            step += 1
        means = dict(zip(sums, (torch.stack(list(sums.values())) / batches).tolist(), strict=True))  # the one wait
        row = {
            "epoch": epoch,
            **means,
            **validate(model, held_out, objective, config.batch_size),
            "beta": beta,
            "learning_rate": optimiser.param_groups[0]["lr"],
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
            _keep(snapshots, epoch, model, fixed)
        if stop:
            break
    model.load_state_dict(best_state)
    return history, snapshots


@torch.no_grad()
def validate(model: VAE, data: Feed, objective: Objective, batch_size: int) -> dict[str, float]:
    """The training's objective on held-out windows, at the final KL weight and with the same draws every time.

    In nats per window, the KL in closed form where there is one; valid_mse alone is of the reconstruction from the
    posterior's mean. Whatever tells a collapse is
    there too: active units or codebook perplexity, the reconstructions' variance against the data's, and `collapsed`,
    which is 1 where `collapse.reason` finds one.
    """
    model.eval()
    noise = fixed_noise(len(data), model.latent_dims).to(data.device)
    terms: dict[str, list[Tensor]] = {}
    errors, divergences, penalties = [], [], []
    use = collapse.Use(model.bottleneck)
    for (x, label), draw in zip(data.batches(batch_size), noise.split(batch_size), strict=True):
        y, code = model(x, draw, label)
        for name, term in objective.distances(y, x, code).items():
            terms.setdefault(name, []).append(term)
        mean, point = model(x, None, label)
        errors.append(mse(mean, x))
        divergences.append(kl.divergence(code))
        penalties.append({name: len(x) * value for name, value in code.penalties.items()})
        use.add(x, mean, point)
    distances = {name: torch.cat(parts) for name, parts in terms.items()}
    nats, divergence = objective.nats(objective.combined(distances)).mean(), torch.cat(divergences)
    mean_penalties = {name: sum(p[name] for p in penalties) / len(data) for name in penalties[0]}
    code = dataclasses.replace(code, penalties=mean_penalties)
    row = {
        "valid_loss": nats + objective.regulariser(divergence, code, 1.0),
        "valid_reconstruction": nats,
        "valid_kl": divergence.sum(1).mean(),
        **{f"valid_{name}": term.mean() for name, term in (distances | mean_penalties).items()},
        "valid_mse": torch.cat(errors).mean(),
    }
    if model.bottleneck.levels:
        parts = divergence.mean(0).split(list(model.bottleneck.levels.values()))
        row |= {f"valid_kl_{name}": part.sum() for name, part in zip(model.bottleneck.levels, parts, strict=True)}
    numbers = {name: float(value) for name, value in row.items()}
    found = use.numbers()
    return numbers | found | {"collapsed": float(collapse.reason(found | {"kl": numbers["valid_kl"]}) is not None)}


def _rate(step: int, steps: int, config: TrainConfig) -> float:
    """Share of the learning rate at a step: linear warm-up, then constant or a half cosine down to 1 %."""
    if step < config.warmup_steps:
        return (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return 1.0
    done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def spread(length: int, number: int) -> Tensor:
    """`number` indices over a split, or all: windows lie in it by label, so few of them are of different ones."""
    return torch.linspace(0, length - 1, min(number, length)).round().long()


@torch.no_grad()
def _keep(snapshots: Snapshots, epoch: int, model: VAE, fixed: Batch) -> None:
    model.eval()
    snapshots.epochs.append(epoch)
    snapshots.reconstructions.append(model.reconstruct(fixed.x, fixed.label).cpu())
    same = torch.Generator().manual_seed(0)
    snapshots.samples.append(model.sample(4, same, fixed.label.repeat(4)[:4]).cpu())
