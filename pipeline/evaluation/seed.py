"""Scores the model of one seed on the test split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.audio.representation import RepresentationConfig
from pipeline.core import workspace
from pipeline.dataset.split import Split
from pipeline.evaluation import frechet, interpolation, prior_samples, probe, reconstruction, transfer
from pipeline.metrics import embedding
from pipeline.metrics.common_mel import ToMel
from pipeline.metrics.config import EvaluateConfig
from pipeline.models.vae import VAE
from pipeline.reference.common_scores import CommonScorer
from pipeline.reference.read import Reference


@dataclass(frozen=True)
class EvaluationSetup:
    """Config and data, the same for every seed of a variant."""

    variant: str
    config: EvaluateConfig
    folder: Path  # the cache of the variant's representation
    stats: dict[str, Any]  # stats.json of the cache
    representation: RepresentationConfig
    splits: dict[str, Split]  # train, valid, test
    reference: Reference
    predictors: dict[str, np.ndarray]  # (windows,) errors of each constant predictor
    to_mel: ToMel
    embed: embedding.Embed | None
    device: torch.device

    @property
    def fingerprint(self) -> str:
        """Hash of all settings that decide the scores."""
        return workspace.fingerprint(self.config.model_dump() | {"mel": self.reference.mel_config.model_dump()})


@dataclass(frozen=True)
class SeedScores:
    """Scores of one seed."""

    seed: int
    windows: pd.DataFrame  # for each test window: seed, columns of the reference, metrics, errors of the predictors
    numbers: dict[str, Any]  # seed, and metrics of the whole test split
    tables: dict[str, pd.DataFrame]  # by file name: bands, and dimensions or codes
    latents: np.ndarray  # (windows, latent_dims) posterior means
    audio: np.ndarray  # (H, samples) reconstructions at the common rate
    model: dict[str, Any]  # latent_dims, parameters, baseline, and reach_hz (see `bands.Bands`)


def score_seed(seed: int, model: VAE, description: dict[str, Any], setup: EvaluationSetup) -> SeedScores:
    """Score a model; `description` is its config.json.

    For a new metric of a reconstruction, see `metrics.measures`. Any other metric is one more line here: in `windows`
    if each window has a value (list it in `aggregate.METRICS`), else in `numbers` (list it in `summary.SEED_NUMBERS`).
    """
    config, reference, device = setup.config, setup.reference, setup.device
    train, valid, test = (setup.splits[name] for name in ("train", "valid", "test"))
    iterations = config.griffin_lim_iterations
    scorer = CommonScorer(reference, setup.representation, setup.stats["seconds"], iterations)
    model, batch_size = model.to(device), config.batch_size
    reconstructed = reconstruction.score(model, test, valid, scorer, batch_size, device)
    probed = probe.score(model, train, test, batch_size, device, reconstructed.latents)
    transferred = transfer.score(model, train, test, batch_size, device)
    windows = {
        "seed": seed,
        **reference.score_table(),
        **reconstructed.windows,
        **probed.windows,
        **transferred.windows,
        **setup.predictors,
    }
    numbers = {
        "seed": seed,
        **reconstructed.numbers,
        **probed.numbers,
        **frechet.score(model, train, test, setup.to_mel, batch_size, device),
        **embedding.score(setup.embed, reconstructed.audio, reference.audio),
        **interpolation.score(model, test, setup.to_mel, config.walk_steps, device),
        **prior_samples.score(model, test, batch_size, device),
        **transferred.numbers,
    }
    track_ids = reference.windows["track_id"].to_numpy()
    bands = scorer.bands.table(reconstructed.band_errors, reference.mean_error, track_ids)
    return SeedScores(
        seed=seed,
        windows=pd.DataFrame(windows),
        numbers=numbers,
        tables={"bands": bands, **reconstructed.tables},
        latents=reconstructed.latents,
        audio=reconstructed.audio,
        model={
            **{key: description[key] for key in ("latent_dims", "parameters")},
            "baseline": model.bottleneck.baseline,
            "reach_hz": scorer.bands.reach_hz,
        },
    )
