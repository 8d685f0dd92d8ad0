"""Evaluates a variant: scores the model of each seed, writes data/evaluation/<variant>/."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import isinf
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch

from pipeline.audio.inversion import Inversion
from pipeline.audio.representation import RepresentationConfig, parse_representation
from pipeline.core import arrays, workspace
from pipeline.core.artefacts import read_table
from pipeline.core.device import pick_device
from pipeline.core.errors import DataError
from pipeline.core.params import RuntimeConfig, read_section
from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import Split, read_split, read_stats
from pipeline.evaluation import interpolation, prior_samples, probe, reconstruction, transfer
from pipeline.evaluation.examples import save_examples
from pipeline.evaluation.frechet import FrechetSets
from pipeline.evaluation.summary import summary_line, variant_metrics
from pipeline.metrics import embedding
from pipeline.metrics.common_mel import ToMel, peak_normalised_mel
from pipeline.metrics.config import EvaluateConfig
from pipeline.metrics.pca import pca_errors, pca_sizes_table
from pipeline.metrics.probe import FACTS, Rows
from pipeline.models import store
from pipeline.models.vae import VAE
from pipeline.reference.common_scores import CommonScorer
from pipeline.reference.read import Reference, read_reference
from pipeline.training.config import check_trained, read_seeds, read_variant, settings_that_decide_weights
from pipeline.vocoder.read import read_inversion


@dataclass(frozen=True)
class EvaluationSetup:
    """Config and data, the same for every seed of a variant."""

    variant: str
    config: EvaluateConfig
    folder: Path  # the cache of the variant's representation
    stats: dict[str, Any]  # stats.json of the cache
    representation: RepresentationConfig
    inversion: Inversion | None  # of a mel
    splits: dict[str, Split]  # train, valid, test
    tracks: pd.DataFrame  # track_id, group, tempo, key and instrument of each recording
    reference: Reference
    predictors: dict[str, np.ndarray]  # (windows,) errors of each constant predictor
    to_mel: ToMel
    device: torch.device

    @property
    def fingerprint(self) -> str:
        """Hash of all settings of the evaluation that decide the scores."""
        settings = self.config.model_dump() | {"mel": self.reference.mel_config.model_dump()}
        if self.inversion is None:
            return workspace.fingerprint(settings)
        if self.inversion.weights is None:
            return workspace.fingerprint([settings, self.inversion.iterations])
        return workspace.fingerprint(settings, [self.inversion.weights])


@dataclass(frozen=True)
class SeedScores:
    """Scores of one seed."""

    seed: int
    windows: pd.DataFrame  # for each test window: seed, columns of the reference, metrics, errors of the predictors
    numbers: dict[str, Any]  # seed, and metrics of the whole test split
    tables: dict[str, pd.DataFrame]  # file name -> table: bands, and dimensions or codes
    latents: np.ndarray  # (windows, latent_dims) posterior means
    probed: tuple[Rows, Rows]  # the latents of train and test windows that the probes get
    audio: np.ndarray  # (H, samples) reconstructions at the common rate
    model: dict[str, Any]  # latent_dims, parameters, baseline, probe_pooled, seconds (of a window), bandwidth_hz


class RunRecorder(Protocol):
    """Records the evaluation of one seed, in the run of its training."""

    def log_evaluation(self, result: dict[str, Any]) -> None:
        """Log an element of seeds.json."""


# Opens the run of the model in a folder, <variant>/seed-<n>. True for the first seed: its model stands for the variant.
OpenRun = Callable[[EvaluationSetup, Path, bool], AbstractContextManager[RunRecorder]]


def evaluate_variant(name: str, raw: Mapping[str, Any], open_run: OpenRun) -> None:
    """Write data/evaluation/<name>; `raw` is params.yaml.

    Raises:
        ParamsError: a param is wrong.
        DataError: an artefact is missing or damaged, or a model was trained with other settings.
    """
    settings = settings_that_decide_weights(*read_variant(raw, name))
    setup = read_setup(name, settings["input"], raw)
    scores: list[SeedScores] = []
    results = []
    with workspace.output(workspace.EVALUATION / name) as out:
        for seed in read_seeds(raw):
            folder = workspace.MODELS / name / f"seed-{seed}"
            model, description = store.load(folder)
            check_trained(folder, description, settings)
            with open_run(setup, folder, not scores) as run:
                seed_scores = score_seed(seed, model, description, setup)
                if not scores:
                    workspace.write_json(out / "config.json", description)
                    write_examples(out, model, seed_scores, setup)
                results.append(
                    {key: description[key] for key in ("variant", "seed", "fingerprint", "data")}
                    | {"evaluation": setup.fingerprint, "settings": setup.config.model_dump(exclude_defaults=True)}
                    | {"metrics": combined_metrics([seed_scores], setup)}
                )
                run.log_evaluation(results[-1])
            scores.append(seed_scores)
        metrics = combined_metrics(scores, setup)
        write_tables(out, scores, setup)
        workspace.write_json(out / "metrics.json", metrics)
        workspace.write_json(out / "seeds.json", results)
    workspace.say(f"{name}: {summary_line(metrics)}")


def read_setup(name: str, representation: str, raw: Mapping[str, Any]) -> EvaluationSetup:
    """Config and data of the variant `name`.

    Raises:
        ParamsError: a param is wrong.
        DataError: the cache or the reference is missing or damaged, or they do not belong together.
    """
    config = read_section(EvaluateConfig, "evaluate", raw=raw)
    folder = workspace.CACHE / representation
    splits = {split: read_split(folder, split) for split in ("train", "valid", "test")}
    stats = read_stats(folder)
    representation_config = parse_representation(stats["representation"])
    reference = read_reference(workspace.REFERENCE, splits["test"].window_ids)
    return EvaluationSetup(
        variant=name,
        config=config,
        folder=folder,
        stats=stats,
        representation=representation_config,
        inversion=read_inversion(workspace.VOCODERS / representation, representation_config),
        splits=splits,
        tracks=read_table(workspace.RAW / "tracks.parquet", ["track_id", "group", *FACTS]),
        reference=reference,
        predictors=reconstruction.constant_predictors(splits["train"], splits["test"], config.batch_size),
        to_mel=peak_normalised_mel(reference.mel_config, representation_config),
        device=pick_device(read_section(RuntimeConfig, "runtime", raw=raw).device),
    )


def score_seed(seed: int, model: VAE, description: dict[str, Any], setup: EvaluationSetup) -> SeedScores:
    """Score a model; `description` is its config.json.

    For a new metric of a reconstruction, see `metrics.measures`. Any other metric is one more line here: in `windows`
    if each window has a value (list it in `aggregate.METRICS`), else in `numbers` (list it in `summary.SEED_NUMBERS`).
    """
    config, reference, device = setup.config, setup.reference, setup.device
    seconds = setup.stats["seconds"]
    scorer = CommonScorer(reference, setup.representation, seconds, setup.inversion, config)
    model = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster
    batch_size = config.batch_size
    loaders = {name: window_loader(split, device, model.labels) for name, split in setup.splits.items()}
    train, valid, test = (loaders[name] for name in ("train", "valid", "test"))
    sets = FrechetSets(len(test), setup.to_mel)
    reconstructed = reconstruction.score(model, test, valid, scorer, sets, batch_size)
    probed = probe.read_latents(model, train, test, setup.tracks, batch_size, reconstructed.latents)
    probe_scores = probe.score(model.bottleneck, *probed)
    transferred = transfer.score(model, train, test, batch_size)
    windows = {
        "seed": seed,
        **reference.score_table(),
        **reconstructed.windows,
        **probe_scores.windows,
        **transferred.windows,
        **setup.predictors,
    }
    numbers = {
        "seed": seed,
        **reconstructed.numbers,
        **probe_scores.numbers,
        **embedding.score(config.embedding, reference.mel_config.sample_rate, reconstructed.audio, reference.audio),
        **interpolation.score(model, test, setup.to_mel, config.walk_steps),
        **prior_samples.score(model, test, sets, batch_size),
        **sets.score(train, batch_size),
        **transferred.numbers,
    }
    return SeedScores(
        seed=seed,
        windows=pd.DataFrame(windows),
        numbers=numbers,
        tables=reconstructed.tables,
        latents=reconstructed.latents,
        probed=probed,
        audio=reconstructed.audio,
        model={
            **{key: description[key] for key in ("latent_dims", "parameters")},
            "baseline": model.bottleneck.baseline,
            "probe_pooled": model.bottleneck.frames > 1,
            "seconds": seconds,
            "bandwidth_hz": scorer.bands.bandwidth_hz,
        },
    )


def combined_metrics(scores: list[SeedScores], setup: EvaluationSetup) -> dict[str, Any]:
    """metrics.json of these seeds; DataError if a model's output is too large for them."""
    windows = pd.concat([s.windows for s in scores], ignore_index=True)
    metrics = variant_metrics(windows, [s.numbers for s in scores], scores[-1].model, setup.config.bootstrap)
    if infinite := [key for key, value in metrics.items() if isinstance(value, float) and isinf(value)]:
        seeds = " and ".join(str(s.seed) for s in scores)
        hint = "its training has diverged: lower train.learning_rate, and train it again"
        raise DataError(f"variant {setup.variant}, seed {seeds}: {infinite[0]} is infinite; {hint}")
    return metrics


def write_examples(out: Path, model: VAE, scores: SeedScores, setup: EvaluationSetup) -> None:
    """Write the files that only one seed has: examples.parquet, audio.parquet and, for a baseline, sizes.parquet.

    The model moves to the CPU.
    """
    reference, config, test = setup.reference, setup.config, setup.splits["test"]
    valid_peak_db = setup.splits["valid"].peak_db
    sample_peak_db = None if valid_peak_db is None else float(np.median(valid_peak_db))
    mse = scores.windows["mse"].to_numpy()
    save_examples(out / "examples.parquet", model.cpu(), test, reference.example_rows, mse, sample_peak_db, config)
    reference.write_examples(out / "audio.parquet", scores.audio)
    if model.bottleneck.baseline:
        errors = pca_errors(mse, scores.latents, test.shape)
        track_ids, groups = (scores.windows[name].to_numpy() for name in ("track_id", "group"))
        sizes = pca_sizes_table(errors, track_ids, groups, config.bootstrap)
        sizes = sizes.merge(probe.score_sizes(*scores.probed), how="left", on="latent")
        sizes.to_parquet(out / "sizes.parquet", index=False)


def write_tables(out: Path, scores: list[SeedScores], setup: EvaluationSetup) -> None:
    """Write windows.parquet, latents.parquet, bands.parquet, and dimensions.parquet or codes.parquet, of all seeds."""
    windows = pd.concat([s.windows for s in scores], ignore_index=True)
    windows.drop(columns=[*setup.predictors, "mel_mse_mean"]).to_parquet(out / "windows.parquet", index=False)
    keys = {key: windows[key].to_numpy() for key in ("seed", "window_id", "track_id", "label")}
    arrays.write(out / "latents.parquet", keys, {"latent": np.concatenate([s.latents for s in scores])})
    for name in scores[0].tables:
        table = pd.concat([s.tables[name].assign(seed=s.seed) for s in scores])
        table.to_parquet(out / f"{name}.parquet", index=False)
