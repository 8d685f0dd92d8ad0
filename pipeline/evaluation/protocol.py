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
from pipeline.training.collapse import Use
from pipeline.training.data import Feed, fixed_noise
from pipeline.training.feed import feed


@dataclass(frozen=True)
class Scores:
    """Of one seed.

    Attributes:
        windows: a (windows,) array per metric.
        latents: (windows, latent_dims) float32, the posterior means.
        use: what tells a collapse, see `collapse.Use.numbers`.
    """

    windows: dict[str, np.ndarray]
    latents: np.ndarray
    use: dict[str, float]


@torch.no_grad()
def score(model: VAE, test: Split, valid: Split, batch_size: int, device: torch.device) -> Scores:
    """Reconstruct every test window.

    mse and cosine_similarity are of the reconstruction from the posterior's mean, on the variant's own scale; kl is in
    nats per window, summed over the latent; elbo in nats per window, at one draw from the posterior (fixed by a seed),
    under a Gaussian likelihood whose variance is the mean squared error of such draws on the validation split: the same
    for every variant whatever it was trained with. Where no analytic KL is known, it is taken at that draw. A baseline
    has neither: both are NaN.

    Args:
        model: in evaluation mode, on `device`.
        test: windows that no part of training has seen.
        valid: windows that set the likelihood's variance.
        batch_size: of the forward pass.
        device: where it runs.
    """
    data = feed(test, device, model.labels)
    columns: dict[str, list[Tensor]] = {"mse": [], "cosine_similarity": []}
    latents = []
    use = Use(model.bottleneck)
    for x, label in data.batches(batch_size):
        y, code = model(x, None, label)
        columns["mse"].append(mse(y, x))
        columns["cosine_similarity"].append(functional.cosine_similarity(y.flatten(1), x.flatten(1)))
        latents.append(code.mean)
        use.add(x, y, code)
    windows = {name: torch.cat(parts).cpu().double().numpy() for name, parts in columns.items()}
    if model.bottleneck.baseline:
        windows["kl"] = windows["elbo"] = np.full(len(test), np.nan)
    else:
        variance = _drawn(model, feed(valid, device, model.labels), batch_size)[0].mean().clamp_min(1e-8).item()
        errors, nats = (values.cpu().double().numpy() for values in _drawn(model, data, batch_size))
        windows["kl"] = nats
        windows["elbo"] = -0.5 * prod(test.shape) * (errors / variance + log(2 * pi * variance)) - nats
    return Scores(windows, torch.cat(latents).cpu().numpy(), use.numbers())


def _drawn(model: VAE, data: Feed, batch_size: int) -> tuple[Tensor, Tensor]:
    """(windows,) mean squared error at one draw from each window's posterior, and (windows,) nats of the KL."""
    noise = fixed_noise(len(data), model.latent_dims).to(data.device).split(batch_size)
    errors, nats = [], []
    for (x, label), draw in zip(data.batches(batch_size), noise, strict=True):
        y, code = model(x, draw, label)
        errors.append(mse(y, x))
        nats.append(kl.divergence(code).sum(1))
    return torch.cat(errors), torch.cat(nats)


def baselines(train: Split, test: Split, batch_size: int) -> dict[str, np.ndarray]:
    """(windows,) test errors of two predictors that see nothing: the train split's mean window, and zero.

    Zero is silence: 80 dB below the peak for a mel, the zero signal for a waveform.
    """
    cpu = torch.device("cpu")
    seen = sum(x.double().sum(0) for x, _ in feed(train, cpu).batches(batch_size)) / len(train)
    found: dict[str, list[Tensor]] = {"mse_mean": [], "mse_zero": []}
    for x, _ in feed(test, cpu).batches(batch_size):
        found["mse_mean"].append(mse(seen.expand_as(x), x))  # type: ignore[union-attr]
        found["mse_zero"].append(mse(torch.zeros_like(x), x))
    return {name: torch.cat(parts).double().numpy() for name, parts in found.items()}
