"""From windows to one row."""

import numpy as np
import pandas as pd

from pipeline.evaluation.summary import interval, metrics, per_track, summarise


def windows(seeds=(0,), tracks=(("a", 3), ("b", 1))) -> pd.DataFrame:
    rows = []
    for seed in seeds:
        number = 0
        for track, count in tracks:
            for _ in range(count):
                rows.append({"seed": seed, "window_id": number, "track_id": track, "label": "x"})
                number += 1
    frame = pd.DataFrame(rows)
    for name in ("mse", "cosine_similarity", "kl", "elbo", "mse_mean", "mse_zero"):
        frame[name] = np.where(frame["track_id"] == "a", 1.0, 3.0) + 10.0 * frame["seed"]
    return frame


def test_tracks_weigh_the_same_however_long_and_seeds_are_averaged():
    assert summarise(windows(), 100)["mse"] == 2.0  # a mean over windows would be 1.5
    assert summarise(windows(seeds=(0, 1)), 100)["mse"] == 7.0
    assert len(per_track(windows(seeds=(0, 1)), ["mse"])) == 2


def test_interval_covers_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        low, high = interval(rng.normal(5.0, 2.0, 40), 400)
        covered += low <= 5.0 <= high
    assert 0.90 <= covered / 300 <= 0.98


def test_interval_of_equal_values_is_a_point_and_draws_are_fixed():
    assert interval(np.full(10, 2.5), 100) == (2.5, 2.5)
    values = np.arange(20.0)
    assert interval(values, 100) == interval(values, 100)


def test_one_collapsed_seed_is_not_hidden_by_the_others():
    seeds = [
        {"seed": 0, "active_units": 8, "active_share": 1.0, "variance_ratio": 0.5},
        {"seed": 1, "active_units": 0, "active_share": 0.0, "variance_ratio": 0.0},
    ]
    result = metrics(windows(seeds=(0, 1)), seeds, latent_dims=8, parameters=10, resamples=50)
    assert result["collapsed"] and result["collapse_reason"].startswith("seed 1: 0.0%")


def test_flat_samples_are_said_and_what_a_variant_has_not_is_null():
    known = {"active_units": 8, "variance_ratio": 0.5, "sample_time_ratio": 0.4}
    seeds = [{"seed": s, **known, "sample_variance_ratio": ratio} for s, ratio in ((0, 0.5), (1, 0.01))]
    result = metrics(windows(seeds=(0, 1)), seeds, latent_dims=8, parameters=10, resamples=50)
    assert result["samples_flat"] and result["samples_flat_reason"].startswith("seed 1: samples differ 0.01 times")
    assert result["sample_time_ratio"] == 0.4 and not result["collapsed"]
    assert result["transfer_accuracy"] is result["probe_accuracy"] is result["sample_level_db"] is None
    fine = metrics(windows(), seeds[:1], latent_dims=8, parameters=10, resamples=50)
    assert fine["samples_flat"] is False and fine["samples_flat_reason"] is None


def test_a_baseline_has_no_kl_and_is_neither_collapsed_nor_not():
    frame = windows()
    frame["kl"] = frame["elbo"] = np.nan
    result = metrics(frame, [{"seed": 0, "variance_ratio": 0.0}], 0, 0, resamples=50, baseline=True)
    assert result["baseline"] and result["mse"] == 2.0
    empty = ("kl", "kl_low", "elbo", "elbo_high", "active_units", "perplexity", "collapsed", "collapse_reason")
    assert {result[name] for name in empty} == {None}


def test_metrics_json_has_its_keys():
    seeds = [{"seed": s, "active_units": 4 + s, "variance_ratio": 0.5} for s in (0, 1)]
    result = metrics(windows(seeds=(0, 1)), seeds, latent_dims=8, parameters=10, resamples=50)
    assert result["active_units"] == 4.5 and result["seeds"] == [0, 1] and result["collapsed"] is False
    assert (result["tracks"], result["windows"]) == (2, 4)
    assert result["mse_low"] <= result["mse"] <= result["mse_high"]
    assert {"mse", "cosine_similarity", "kl", "elbo", "parameters", "latent_dims", "mse_mean", "mse_zero"} <= set(
        result
    )
