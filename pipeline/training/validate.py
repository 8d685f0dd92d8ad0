"""The training's objective on held-out windows, and whether the latent is in use."""

import dataclasses

import torch
from torch import Tensor

from pipeline.core import distributed
from pipeline.dataset.batches import WindowLoader, fixed_noise
from pipeline.losses import kl
from pipeline.losses.objective import Objective
from pipeline.losses.reconstruction import mse
from pipeline.models import collapse
from pipeline.models.vae import VAE


@torch.no_grad()
def validate(model: VAE, data: WindowLoader, objective: Objective, batch_size: int) -> dict[str, float]:
    """A row of history, at the final KL weight and with the same draws every time; ranks share the windows.

    In nats per window, the KL in closed form where there is one; valid_mse alone is of the reconstruction from the
    posterior's mean. Whatever tells a collapse is there too: active units or codebook perplexity, the reconstructions'
    variance against the data's, and `collapsed`, which is 1 where `collapse.reason` finds one.
    """
    model.eval()
    rank, world = distributed.rank(), distributed.world_size()
    batch_size = max(1, batch_size // world)  # no more at a time than a step takes
    shared = len(data) >= world * batch_size  # each rank has a batch at least; otherwise all do the same
    part = (rank, world) if shared else (0, 1)
    noise = fixed_noise(len(data), model.latent_dims).split(batch_size)[part[0] :: part[1]]
    columns: dict[str, list[Tensor]] = {}
    penalties: dict[str, list[Tensor]] = {}
    use = collapse.LatentUsage(model.bottleneck)
    for (x, label), draw in zip(data.batches(batch_size, *part), noise, strict=True):
        y, code = model(x, draw.to(x.device), label)
        mean, point = model(x, None, label)
        found = objective.distances(y, x, code) | {"mse": mse(mean, x), "divergence": kl.divergence(code)}
        for name, values in found.items():
            columns.setdefault(name, []).append(values)
        for name, value in code.penalties.items():
            penalties.setdefault(name, []).append(len(x) * value)
        use.add(x, mean, point)
    table = {name: torch.cat(parts) for name, parts in columns.items()}
    means = {name: torch.stack(parts).sum() / len(data) for name, parts in penalties.items()}
    if shared and world > 1:
        table = {name: distributed.all_gather(values) for name, values in table.items()}
        means = {name: distributed.all_reduce_sum(value) for name, value in means.items()}
        use.gather()
    error, divergence = table.pop("mse"), table.pop("divergence")
    nats = objective.nats(objective.combined(table)).mean()
    row = {
        "valid_loss": nats + objective.regulariser(divergence, dataclasses.replace(code, penalties=means), 1.0),
        "valid_reconstruction": nats,
        "valid_kl": divergence.sum(1).mean(),
        **{f"valid_{name}": values.mean() for name, values in (table | means).items()},
        "valid_mse": error.mean(),
    }
    if model.bottleneck.levels:
        parts = divergence.mean(0).split(list(model.bottleneck.levels.values()))
        row |= {f"valid_kl_{name}": part.sum() for name, part in zip(model.bottleneck.levels, parts, strict=True)}
    numbers = dict(zip(row, torch.stack(list(row.values())).tolist(), strict=True))  # one wait for the device
    seen = use.numbers()
    row_found = numbers | seen | {"collapsed": float(collapse.reason(seen | {"kl": numbers["valid_kl"]}) is not None)}
    return distributed.broadcast_object(row_found)  # what all ranks decide by must not differ in the last bit
