"""The loss on held-out windows, and whether the latent is used."""

import dataclasses

import torch
from torch import Tensor

from pipeline.core import distributed
from pipeline.dataset.batches import WindowLoader
from pipeline.dataset.sampler import fixed_noise
from pipeline.losses import kl
from pipeline.losses.objective import Objective
from pipeline.losses.reconstruction import mse
from pipeline.models import collapse
from pipeline.models.vae import VAE


@torch.no_grad()
def validate(model: VAE, data: WindowLoader, objective: Objective, batch_size: int) -> dict[str, float]:
    """The validation part of a row of history, with the final KL weight and the same noise each time.

    Ranks share the windows. Terms are in nats per window, with the KL in closed form where there is one; valid_mse is
    of the reconstruction from the posterior mean. To detect a collapse, the row has active units or codebook
    perplexity, the ratio of the variances of reconstructions and data, and `collapsed` (1 or 0).
    """
    model.eval()
    rank, world = distributed.rank(), distributed.world_size()
    batch_size = max(1, batch_size // world)  # the windows of a rank's training step fit the memory
    is_shared = len(data) >= world * batch_size  # each rank has a batch; else each rank takes all windows
    part = (rank, world) if is_shared else (0, 1)
    noise = fixed_noise(len(data), model.latent_dims).split(batch_size)[part[0] :: part[1]]
    term_parts: dict[str, list[Tensor]] = {}
    penalty_parts: dict[str, list[Tensor]] = {}
    usage = collapse.LatentUsage(model.bottleneck)
    for (x, label), batch_noise in zip(data.batches(batch_size, *part), noise, strict=True):
        (y, code), (mean_y, mean_code) = model.reconstruct_draws(x, [batch_noise.to(x.device), None], label)
        terms = objective.distances(y, x, code) | {"mse": mse(mean_y, x), "divergence": kl.divergence(code)}
        for name, values in terms.items():
            term_parts.setdefault(name, []).append(values)
        for name, value in code.penalties.items():
            penalty_parts.setdefault(name, []).append(len(x) * value)
        usage.add(x, mean_y, mean_code)
    terms = {name: torch.cat(parts) for name, parts in term_parts.items()}
    penalties = {name: torch.stack(parts).sum() / len(data) for name, parts in penalty_parts.items()}
    if is_shared and world > 1:
        terms = {name: distributed.all_gather(values) for name, values in terms.items()}
        penalties = {name: distributed.all_reduce_sum(value) for name, value in penalties.items()}
        usage.gather()
    error, divergence = terms.pop("mse"), terms.pop("divergence")
    reconstruction = objective.nll(objective.combine(terms)).mean()
    code = dataclasses.replace(code, penalties=penalties)
    row = {
        "valid_loss": reconstruction + objective.regulariser(divergence, code, 1.0),
        "valid_reconstruction": reconstruction,
        "valid_kl": divergence.sum(1).mean(),
        **{f"valid_{name}": values.mean() for name, values in (terms | penalties).items()},
        "valid_mse": error.mean(),
    }
    if levels := model.bottleneck.levels:
        parts = divergence.mean(0).split(list(levels.values()))
        row |= {f"valid_kl_{name}": part.sum() for name, part in zip(levels, parts, strict=True)}
    metrics = dict(zip(row, torch.stack(list(row.values())).tolist(), strict=True))  # the host waits once
    metrics |= usage.metrics()
    kl_nats = None if model.bottleneck.baseline else metrics["valid_kl"]
    metrics["collapsed"] = float(collapse.why_collapsed(metrics | {"kl": kl_nats}) is not None)
    return distributed.broadcast_object(metrics)  # ranks must decide by the same bits
