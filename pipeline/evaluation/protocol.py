"""The one way in which every variant is scored: test windows, posterior mean, metrics per window first."""

from dataclasses import dataclass
from math import log, pi, prod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.cache.reader import Split
from pipeline.losses import kl
from pipeline.losses.reconstruction import mse
from pipeline.models.vae import VAE
from pipeline.training.data import Resident, fixed_noise


@dataclass(frozen=True)
class Scores:
    """Of one seed. `windows` holds a (windows,) array per metric; `latents` is (windows, latent_dims) float32."""

    windows: dict[str, np.ndarray]
    latents: np.ndarray
    active_units: int
    variance_ratio: float


@torch.no_grad()
def score(model: VAE, test: Split, valid: Split, batch_size: int, device: torch.device) -> Scores:
    """Reconstruct every test window.

    mse and cosine_similarity are of the reconstruction from the posterior's mean, on the variant's own scale; kl is in
    nats per window, summed over the latent; elbo in nats per window, at one draw from the posterior (fixed by a seed),
    under a Gaussian likelihood whose variance is the mean squared error of such draws on the validation split: the same
    for every variant whatever it was trained with.

    Args:
        model: in evaluation mode, on `device`.
        test: windows that no part of training has seen.
        valid: windows that set the likelihood's variance.
        batch_size: of the forward pass.
        device: where it runs.
    """
    variance = float(_drawn_errors(model, Resident(valid, device), batch_size).mean().clamp_min(1e-8))
    drawn = _drawn_errors(model, Resident(test, device), batch_size).cpu().double().numpy()
    columns: dict[str, list[Tensor]] = {"mse": [], "cosine_similarity": [], "kl": []}
    latents = []
    spread = _Spread(), _Spread()
    for x in Resident(test, device).batches(batch_size):
        y, code = model(x)
        columns["mse"].append(mse(y, x))
        columns["cosine_similarity"].append(functional.cosine_similarity(y.flatten(1), x.flatten(1)))
        columns["kl"].append(kl.analytic(code).sum(1))
        latents.append(code.mean)
        for moments, values in zip(spread, (y, x), strict=True):
            moments.add(values)
    windows = {name: torch.cat(parts).cpu().double().numpy() for name, parts in columns.items()}
    likelihood = -0.5 * prod(test.shape) * (drawn / variance + log(2 * pi * variance))
    windows["elbo"] = likelihood - windows["kl"]
    means = torch.cat(latents)
    ratio = spread[0].variance() / max(spread[1].variance(), 1e-12)
    return Scores(windows, means.cpu().numpy(), kl.active_units(means), ratio)


def _drawn_errors(model: VAE, data: Resident, batch_size: int) -> Tensor:
    """(windows,) mean squared error of one draw from each window's posterior."""
    noise = fixed_noise(len(data), model.latent_dims).to(data.device).split(batch_size)
    return torch.cat([mse(model(x, n)[0], x) for x, n in zip(data.batches(batch_size), noise, strict=True)])


class _Spread:
    """Variance over windows at each place of a window, averaged over places: 0 for a model with one answer to all."""

    def __init__(self) -> None:
        self.count = 0
        self.total: Tensor | float = 0.0
        self.square: Tensor | float = 0.0

    def add(self, values: Tensor) -> None:
        self.count += len(values)
        wide = values.cpu().double()  # not every device has doubles
        self.total = self.total + wide.sum(0)
        self.square = self.square + wide.square().sum(0)

    def variance(self) -> float:
        return float(torch.mean(self.square / self.count - (self.total / self.count) ** 2))  # type: ignore[arg-type]


def baselines(train: Split, test: Split, batch_size: int) -> dict[str, np.ndarray]:
    """(windows,) test errors of two predictors that see nothing: the train split's mean window, and zero.

    Zero is silence: 80 dB below the peak for a mel, the zero signal for a waveform.
    """
    cpu = torch.device("cpu")
    seen = sum(x.double().sum(0) for x in Resident(train, cpu).batches(batch_size)) / len(train)
    found: dict[str, list[Tensor]] = {"mse_mean": [], "mse_zero": []}
    for x in Resident(test, cpu).batches(batch_size):
        found["mse_mean"].append(mse(seen.expand_as(x), x))  # type: ignore[union-attr]
        found["mse_zero"].append(mse(torch.zeros_like(x), x))
    return {name: torch.cat(parts).double().numpy() for name, parts in found.items()}
