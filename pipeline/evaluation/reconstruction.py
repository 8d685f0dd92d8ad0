"""Scores the reconstructions of the test windows: the same way for every variant, from the posterior mean."""

from dataclasses import dataclass
from math import log, pi, prod

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.dataset.batches import WindowLoader
from pipeline.dataset.loader import mean_window, window_loader
from pipeline.dataset.sampler import fixed_noise
from pipeline.dataset.split import Split
from pipeline.evaluation import latent_space
from pipeline.evaluation.frechet import FrechetSets
from pipeline.losses import kl
from pipeline.metrics import measures
from pipeline.models.collapse import LatentUsage
from pipeline.models.vae import VAE
from pipeline.reference.common_scores import CommonScorer

MIN_LIKELIHOOD_VARIANCE = 1e-8


@dataclass(frozen=True)
class ReconstructionScores:
    """Scores of one model."""

    windows: dict[str, np.ndarray]  # metric -> (windows,)
    latents: np.ndarray  # (windows, latent_dims) float32 posterior means
    numbers: dict[str, float | None]  # usage of the latent, see `LatentUsage.metrics` and `variance_numbers`
    tables: dict[str, pd.DataFrame]  # file name -> table: bands, and dimensions or codes
    audio: np.ndarray  # (H, samples) float32 at the common rate, the reconstructions that are scored on audio


@torch.no_grad()
def score(
    model: VAE,
    test: WindowLoader,
    valid: WindowLoader,
    scorer: CommonScorer,
    sets: FrechetSets,
    batch_size: int,
) -> ReconstructionScores:
    """Reconstruct and score every test window.

    Distances compare the reconstruction from the posterior mean with the original: on the variant's own scale
    (`own_scale_metrics`), on the common log-mel and on audio (`scorer`).

    mse_components is the mean squared error of `VAE.project`, absent if that is None.
    mse_draw is the mean squared error with one draw from the posterior, with a fixed seed. kl and elbo are in nats per
    window, summed over the latent. elbo uses that draw and a Gaussian likelihood. The likelihood's variance is mse_draw
    on the validation split: the same rule for every variant with any loss. kl uses the draw if it has no closed form. A
    baseline has none of the three: they are NaN.

    `scorer` and `sets` are new.
    """
    rate = scorer.common.representation.sample_rate
    columns: dict[str, list[Tensor]] = {}
    latents: list[Tensor] = []
    usage, dimension_kl = LatentUsage(model.bottleneck), latent_space.DimensionKL(model.bottleneck)
    noise = fixed_noise(len(test), model.latent_dims).to(test.device).split(batch_size)
    start, peak_db = 0, test.split.peak_db
    for (x, label), batch_noise in zip(test.batches(batch_size), noise, strict=True):
        noises = [None] if model.bottleneck.baseline else [None, batch_noise]
        (y, code), *draws = model.reconstruct_draws(x, noises, label)
        metrics = own_scale_metrics(y.squeeze(1), x.squeeze(1), rate)
        if (projected := model.project(x, label)) is not None:
            metrics["mse_components"] = measures.mse(projected, x)
        for y_draw, draw in draws:
            metrics |= {"mse_draw": measures.mse(y_draw, x), "kl": kl.divergence(draw).sum(1)}
        for name, values in metrics.items():
            columns.setdefault(name, []).append(values)
        scorer.add(y.squeeze(1), None if peak_db is None else peak_db[start : start + len(x)])
        sets.add_reconstructions(x, y)
        start += len(x)
        latents.append(code.mean)
        usage.add(x, y, code)
        dimension_kl.add(code)
    windows = {name: torch.cat(parts).cpu().double().numpy() for name, parts in columns.items()}
    if model.bottleneck.baseline:
        windows |= dict.fromkeys(("mse_draw", "kl", "elbo"), np.full(len(test), np.nan))
    else:
        variance = _likelihood_variance(model, valid, batch_size)
        error = windows["mse_draw"] / variance + log(2 * pi * variance)
        windows["elbo"] = -0.5 * prod(test.shape) * error - windows["kl"]
    common_scores = scorer.finish()
    means = torch.cat(latents).cpu().numpy()
    whitened = latent_space.whitened_means(usage, means)
    dimensions = latent_space.dimensions_table(model.bottleneck, whitened, dimension_kl.mean())
    codes = latent_space.codes_table(usage.counts)
    tables = {"bands": common_scores.bands, "dimensions": dimensions, "codes": codes}
    return ReconstructionScores(
        windows=windows | common_scores.windows,
        latents=means,
        numbers={**usage.metrics(), **latent_space.variance_numbers(whitened)},
        tables={name: table for name, table in tables.items() if table is not None},
        audio=common_scores.audio,
    )


def own_scale_metrics(y: Tensor, x: Tensor, rate: int) -> dict[str, Tensor]:
    """(B,) for each metric on the variant's own scale.

    Reconstructions y and originals x are mels (B, bands, frames), or waveforms (B, samples) at `rate` Hz.
    """
    metrics = {name: measure(y, x) for name, measure in measures.OWN_SCALE.items()}
    if x.dim() == 2:
        metrics |= {name: measure(y, x, rate) for name, measure in measures.WAVEFORM.items()}
    return metrics


def _likelihood_variance(model: VAE, valid: WindowLoader, batch_size: int) -> float:
    """Mean squared error of the validation windows with one draw from each posterior."""
    noise = fixed_noise(len(valid), model.latent_dims).to(valid.device).split(batch_size)
    batches = zip(valid.batches(batch_size), noise, strict=True)
    errors = [measures.mse(model(x, batch_noise, label)[0], x) for (x, label), batch_noise in batches]
    return torch.cat(errors).mean().clamp_min(MIN_LIKELIHOOD_VARIANCE).item()


def constant_predictors(train: Split, test: Split, batch_size: int) -> dict[str, np.ndarray]:
    """(windows,) test errors of two predictors that ignore the window: the train split's mean window, and zero.

    Zero is silence: 80 dB below the peak for a mel, the zero signal for a waveform.
    """
    mean = mean_window(train, batch_size)
    errors: dict[str, list[Tensor]] = {"mse_mean": [], "mse_zero": []}
    for x, _ in window_loader(test, torch.device("cpu")).batches(batch_size):
        errors["mse_mean"].append(measures.mse(mean.expand_as(x), x))
        errors["mse_zero"].append(measures.mse(torch.zeros_like(x), x))
    return {name: torch.cat(parts).double().numpy() for name, parts in errors.items()}
