"""Aggregation of window scores to metrics.json."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import DataError
from pipeline.evaluation import variant
from pipeline.evaluation.summary import summary_line, variant_metrics
from pipeline.metrics.aggregate import METRICS, PREDICTORS, aggregate

MODEL = {"latent_dims": 8, "parameters": 10, "baseline": False, "bandwidth_hz": None, "seconds": 5.0}


def windows(seeds=(0,), tracks=(("a", 3), ("b", 1))) -> pd.DataFrame:
    names = [name for name, count in tracks for _ in range(count)]
    keys = [(seed, number, *[name] * 3) for seed in seeds for number, name in enumerate(names)]
    frame = pd.DataFrame(keys, columns=["seed", "window_id", "track_id", "label", "group"])
    for metric in ("mse", "cosine_similarity", "kl", "elbo", "out_of_range", "mel_mse", *PREDICTORS):
        frame[metric] = np.where(frame["track_id"] == "a", 1.0, 3.0) + 10.0 * frame["seed"]
    frame["audio_stft_distance"] = np.where(frame["window_id"] == 1, 2.0 + frame["seed"], np.nan)
    return frame


def test_tracks_weigh_the_same_and_seeds_are_averaged():
    assert aggregate(windows(), 100)["mse"] == 2.0  # a mean over windows would be 1.5
    both = aggregate(windows(seeds=(0, 1)), 100)
    assert both["mse"] == 7.0 and both["mse_seed_std"] == pytest.approx(np.std([2, 12], ddof=1))
    assert both["mse_low"] == 0 and both["mse_high"] > 12  # other seeds may give other means, but none below 0
    assert aggregate(windows(), 100)["mse_seed_std"] is None


def test_an_interval_stays_in_the_range_of_the_metric():
    frame = windows(seeds=(0, 1))
    scores = {"probe_accuracy": (0.7, 0.95), "cosine_similarity": (0.1, 0.3), "elbo": (-9.0, 9.0), "kl": (3.0, 50.0)}
    for metric, values in scores.items():
        frame[metric] = np.choose(frame["seed"], values)
    metrics = aggregate(frame, 100)
    assert metrics["probe_accuracy_high"] == 1 and 0 <= metrics["probe_accuracy_low"] < 0.7
    assert metrics["cosine_similarity_low"] < 0 and 0.3 < metrics["cosine_similarity_high"] <= 1
    assert metrics["kl_low"] == 0 and metrics["kl_high"] > 50 and metrics["elbo_low"] < -9 < 9 < metrics["elbo_high"]


def test_metric_of_few_windows_is_their_mean():
    metrics = aggregate(windows(seeds=(0, 1)), 100)
    assert metrics["audio_stft_distance"] == 2.5 and metrics["audio_stft_distance_seed_std"] == pytest.approx(0.5**0.5)
    assert metrics["audio_stft_distance_low"] is None  # one group has no interval


def test_every_metric_has_its_keys_and_missing_ones_are_null():
    metrics = aggregate(windows(), 50)
    assert all({name, f"{name}_low", f"{name}_high", f"{name}_seed_std"} <= set(metrics) for name in METRICS)
    assert metrics["si_sdr"] is metrics["probe_accuracy_high"] is None and metrics["mel_mse_mean"] == 2.0
    json.dumps(metrics, allow_nan=False)


def test_one_collapsed_seed_flags_the_variant():
    seeds = [
        {"seed": 0, "active_units": 8, "active_share": 1.0, "variance_ratio": 0.5},
        {"seed": 1, "active_units": 0, "active_share": 0.0, "variance_ratio": 0.0},
    ]
    result = variant_metrics(windows(seeds=(0, 1)), seeds, MODEL, resamples=50)
    assert result["collapsed"] and result["collapse_reason"].startswith("seed 1: 0.0%")
    assert "COLLAPSED: seed 1" in summary_line(result)


def test_flat_samples_are_reported_and_missing_numbers_are_null():
    known = {"active_units": 8, "variance_ratio": 0.5, "sample_time_ratio": 0.4}
    seeds = [{"seed": s, **known, "sample_variance_ratio": ratio} for s, ratio in ((0, 0.5), (1, 0.01))]
    result = variant_metrics(windows(seeds=(0, 1)), seeds, MODEL, resamples=50)
    assert result["samples_flat"] and result["samples_flat_reason"].startswith("seed 1: samples differ 0.01 times")
    assert result["sample_time_ratio"] == 0.4 and not result["collapsed"]
    assert result["transfer_accuracy"] is result["transfer_real"] is result["sample_level_db"] is None
    fine = variant_metrics(windows(), seeds[:1], MODEL, resamples=50)
    assert fine["samples_flat"] is False and fine["samples_flat_reason"] is None


def test_baseline_has_no_kl_and_null_for_collapsed():
    frame = windows()
    frame["kl"] = frame["elbo"] = np.nan
    result = variant_metrics(frame, [{"seed": 0, "variance_ratio": 0.0}], MODEL | {"baseline": True}, resamples=50)
    assert result["baseline"] and result["mse"] == 2.0
    empty = ("kl", "kl_low", "kbps", "mse_draw", "elbo", "elbo_high", "active_units", "perplexity")
    assert {result[name] for name in (*empty, "collapsed", "collapse_reason")} == {None}


def test_metrics_json_has_its_keys():
    seeds = [{"seed": s, "active_units": 4 + s, "silhouette": np.nan, "chance": 0.5} for s in (0, 1)]
    result = variant_metrics(windows(seeds=(0, 1)), seeds, MODEL, resamples=50)
    assert result["kbps"] == pytest.approx(result["kl"] / np.log(2) / 5 / 1000) and result["kbps_low"] < result["kbps"]
    assert result["active_units"] == 4.5 and result["seeds"] == [0, 1] and result["collapsed"] is False
    assert (result["tracks"], result["groups"], result["windows"], result["chance"]) == (2, 2, 4, 0.5)
    assert result["silhouette"] is None and MODEL.items() <= result.items()
    assert {"mse_mean", "mse_zero", "mel_mse_mean", "dims_95", "frechet_floor", "transfer_chance"} <= set(result)
    json.dumps(result, allow_nan=False)


def test_an_infinite_number_is_an_error_that_names_it_and_the_seed(monkeypatch):
    monkeypatch.setattr(variant, "variant_metrics", lambda *_: {"mse": 1.0, "kl": None, "mel_mse": float("inf")})
    scores = [SimpleNamespace(seed=3, windows=pd.DataFrame(), numbers={}, model={})]
    setup = SimpleNamespace(variant="mel_conv", config=SimpleNamespace(bootstrap=1))
    with pytest.raises(DataError, match=r"variant mel_conv, seed 3: mel_mse is infinite; .* lower train.learning_rate"):
        variant.combined_metrics(scores, setup)
