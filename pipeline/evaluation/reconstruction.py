"""The one way in which every variant is scored: test windows, posterior mean, metrics per window first."""

from dataclasses import dataclass
from math import log, pi, prod

import numpy as np
import torch
from torch import Tensor

from pipeline.dataset.batches import WindowLoader, fixed_noise
from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import Split
from pipeline.evaluation.latent_space import Nats, Space, analyse
from pipeline.losses import kl
from pipeline.metrics import measures
from pipeline.metrics.predictors import mean_window
from pipeline.models.collapse import LatentUsage
from pipeline.models.vae import VAE
from pipeline.reference.common_scores import CommonScores


@dataclass(frozen=True)
class Scores:
    """Of one seed.

    Attributes:
        windows: a (windows,) array per metric.
        latents: (windows, latent_dims) float32, the posterior means.
        use: what tells a collapse, see `collapse.LatentUsage.numbers`.
        space: what the latent is used for.
        errors: (windows, bands) squared errors on the common log-mel.
        audio: (H, samples) float32 at the common rate, the reconstructions that are heard.
    """

    windows: dict[str, np.ndarray]
    latents: np.ndarray
    use: dict[str, float]
    space: Space
    errors: np.ndarray
    audio: np.ndarray


@torch.no_grad()
def score(model: VAE, test: Split, valid: Split, shared: CommonScores, batch_size: int, device: torch.device) -> Scores:
    """Reconstruct every test window.

    All distances are of the reconstruction from the posterior's mean: on the variant's own scale (`own`), on the common
    log-mel and on audio (`shared`). kl is in nats per window, summed over the latent; elbo in nats per window, at one
    draw from the posterior (fixed by a seed), under a Gaussian likelihood whose variance is the mean squared error of
    such draws on the validation split: the same for every variant whatever it was trained with. Where no analytic KL is
    known, it is taken at that draw. A baseline has neither: both are NaN.

    Args:
        model: in evaluation mode, on `device`.
        test: windows that no part of training has seen.
        valid: windows that set the likelihood's variance.
        shared: scores on what all variants have in common; new for each model.
        batch_size: of the forward pass.
        device: where it runs.
    """
    data = window_loader(test, device, model.labels)
    columns: dict[str, list[Tensor]] = {}
    latents: list[Tensor] = []
    use, nats_of_dimensions = LatentUsage(model.bottleneck), Nats(model.bottleneck)
    for x, label in data.batches(batch_size):
        y, code = model(x, None, label)
        done = sum(map(len, latents))
        for name, values in own(y.squeeze(1), x.squeeze(1), shared.common.representation.sample_rate).items():
            columns.setdefault(name, []).append(values)
        shared.add(y.squeeze(1), None if test.peak_db is None else test.peak_db[done : done + len(x)])
        latents.append(code.mean)
        use.add(x, y, code)
        nats_of_dimensions.add(code)
    windows = {name: torch.cat(parts).cpu().double().numpy() for name, parts in columns.items()}
    if model.bottleneck.baseline:
        windows["kl"] = windows["elbo"] = np.full(len(test), np.nan)
    else:
        variance = (
            _drawn(model, window_loader(valid, device, model.labels), batch_size)[0].mean().clamp_min(1e-8).item()
        )
        errors, nats = (values.cpu().double().numpy() for values in _drawn(model, data, batch_size))
        windows["kl"] = nats
        windows["elbo"] = -0.5 * prod(test.shape) * (errors / variance + log(2 * pi * variance)) - nats
    found = shared.finish()
    means = torch.cat(latents).cpu().numpy()
    space = analyse(use, nats_of_dimensions, means)
    return Scores(windows | found.windows, means, use.numbers(), space, found.errors, found.audio)


def own(y: Tensor, x: Tensor, rate: int) -> dict[str, Tensor]:
    """(B,) of each metric of reconstructions and originals on the variant's own scale.

    Args:
        y: (B, bands, frames) or (B, samples).
        x: likewise.
        rate: of a waveform, in Hz.
    """
    low = 0.0 if x.dim() == 3 else -1.0
    found = {
        "mse": measures.mse(y, x),
        "cosine_similarity": measures.cosine_similarity(y, x),
        "out_of_range": measures.out_of_range(y, low),
    }
    if x.dim() == 2:
        found["si_sdr"] = measures.si_sdr(y, x)
        found["stft_distance"] = measures.stft_distance(y, x)
        found["log_spectral_distance"] = measures.log_spectral_distance(y, x, rate)
    return found


def _drawn(model: VAE, data: WindowLoader, batch_size: int) -> tuple[Tensor, Tensor]:
    """(windows,) mean squared error at one draw from each window's posterior, and (windows,) nats of the KL."""
    noise = fixed_noise(len(data), model.latent_dims).to(data.device).split(batch_size)
    errors, nats = [], []
    for (x, label), draw in zip(data.batches(batch_size), noise, strict=True):
        y, code = model(x, draw, label)
        errors.append(measures.mse(y, x))
        nats.append(kl.divergence(code).sum(1))
    return torch.cat(errors), torch.cat(nats)


def baselines(train: Split, test: Split, batch_size: int) -> dict[str, np.ndarray]:
    """(windows,) test errors of two predictors that see nothing: the train split's mean window, and zero.

    Zero is silence: 80 dB below the peak for a mel, the zero signal for a waveform.
    """
    cpu = torch.device("cpu")
    seen = mean_window(train, batch_size)
    found: dict[str, list[Tensor]] = {"mse_mean": [], "mse_zero": []}
    for x, _ in window_loader(test, cpu).batches(batch_size):
        found["mse_mean"].append(measures.mse(seen.expand_as(x), x))
        found["mse_zero"].append(measures.mse(torch.zeros_like(x), x))
    return {name: torch.cat(parts).double().numpy() for name, parts in found.items()}
