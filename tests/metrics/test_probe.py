"""Probes against plain scikit-learn, and what they do where the data do not know."""

import time

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import r2_score, silhouette_score
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.core.errors import DataError
from pipeline.dataset.loader import window_loader
from pipeline.metrics.probe import (
    FACTS,
    FOLDS,
    LINEAR_PROBES,
    PENALTIES,
    Rows,
    known_facts,
    probe,
    project_to_span,
    read_rows,
    statistics,
)
from tests.evaluation.small import CPU, LABELS, SHAPE, make_tracks, spans, split

PARTS = slice(60), slice(60, 118)


def rows(features: np.ndarray, labels: np.ndarray, windows: int = 1, **facts: np.ndarray) -> Rows:
    """Rows of recordings with so many `windows` each; each recording is a group."""
    track = np.char.add("t", (np.arange(len(features)) // windows).astype(str))
    known = {"track_id": track, "group": track, "label": labels, **dict.fromkeys(FACTS), **facts}
    return Rows(features, pd.DataFrame(known))


def ridge(train: np.ndarray, values: np.ndarray, groups: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Predictions of the ridge regression with the best of `PENALTIES` on left-out groups, by its normal equations."""

    def fit(rows: np.ndarray, penalty: float, inputs: np.ndarray) -> np.ndarray:
        x, y = train[rows] - train[rows].mean(axis=0), values[rows] - values[rows].mean()
        weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
        return (inputs - train[rows].mean(axis=0)) @ weights + values[rows].mean()

    def error(penalty: float) -> float:
        left_out = [np.isin(np.arange(len(train)), rows) for _, rows in folds.split(train, groups=groups)]
        return np.mean([np.square(fit(~rows, penalty, train[rows]) - values[rows]).mean() for rows in left_out])

    folds = GroupKFold(min(FOLDS, len(np.unique(groups))))
    return fit(np.full(len(train), True), min(PENALTIES, key=error), test)


def clusters(number: int, dims: int, seed: int, apart: float = 1.5) -> Rows:
    """Overlapping clusters of three labels; each dimension has its own scale."""
    label = np.resize(np.arange(3), number)
    centres = apart * np.random.default_rng(0).standard_normal((3, dims)) * (np.arange(dims) < 4)
    noise = np.random.default_rng(seed).standard_normal((number, dims))
    features = (centres[label] + noise) * np.geomspace(0.1, 100, dims) + 3
    return rows(features.astype(np.float32), np.array(LABELS)[label].astype(object))


@pytest.mark.parametrize("dims", [6, 300])  # fewer and more than the train rows
def test_probes_agree_with_scikit_learn(dims):
    train, test = clusters(120, dims, 1), clusters(200, dims, 2)
    scores = probe(train, test)
    labels = test.known["label"]
    for name, classifier in (
        ("probe_accuracy", LogisticRegression(max_iter=1000)),
        ("knn_accuracy", KNeighborsClassifier(5)),
    ):
        fitted = make_pipeline(StandardScaler(), classifier).fit(train.features, train.known["label"])
        hits = fitted.predict(test.features) == labels
        assert 0.4 < hits.mean() < 1
        np.testing.assert_array_equal(scores.windows[name], hits)
    scaled = StandardScaler().fit(train.features).transform(test.features)
    assert scores.numbers["silhouette"] == pytest.approx(silhouette_score(scaled, labels), abs=1e-6)


def test_projection_changes_no_probability():
    train, labels, test = (
        clusters(60, 400, 1).features,
        clusters(60, 400, 1).known["label"],
        clusters(50, 400, 2).features,
    )
    scaler = StandardScaler().fit(train.astype(float))
    train, test = scaler.transform(train.astype(float)), scaler.transform(test.astype(float))
    small_train, small_test = project_to_span(train, test)
    assert small_train.shape[1] == 59  # centring costs one dimension
    classifier = LogisticRegression(max_iter=5000, tol=1e-8)
    expected = classifier.fit(train, labels).predict_proba(test)
    np.testing.assert_allclose(classifier.fit(small_train, labels).predict_proba(small_test), expected, atol=1e-5)


@pytest.mark.parametrize("dims", [3, 40])  # fewer and more than the train rows
def test_equal_features_give_the_most_frequent_class_and_no_tempo(dims):
    train = rows(np.full((12, dims), 0.1, np.float32), np.array(["a"] * 8 + ["b"] * 4), tempo=np.linspace(60, 90, 12))
    test = rows(np.full((6, dims), 0.1, np.float32), np.array(["a", "b"] * 3), tempo=np.linspace(60, 90, 6))
    windows = probe(train, test).windows
    assert windows["probe_accuracy"].tolist() == [1, 0] * 3
    assert -0.1 < windows["probe_tempo_r2"].mean() <= 0


def test_many_dimensions_take_few_seconds():
    train, test = clusters(500, 2000, 1), clusters(100, 2000, 2)
    probe(clusters(10, 2000, 1), test)  # imports
    start = time.process_time()
    assert probe(train, test).windows["probe_accuracy"].mean() > 0.34
    assert time.process_time() - start < 4


@pytest.mark.parametrize(
    "spoil",
    [
        lambda train, test: (Rows(train.features[:, :0], train.known), Rows(test.features[:, :0], test.known)),
        lambda train, test: (Rows(train.features, train.known.assign(label="a")), test),
        lambda train, test: (Rows(np.full_like(train.features, np.nan), train.known), test),
        lambda train, test: (train, Rows(np.where(np.arange(5) == 1, np.nan, test.features), test.known)),
    ],
    ids=["no features", "single label", "nan in training", "nan in test"],
)
def test_undefined_accuracies_are_nan(spoil):
    scores = probe(*spoil(clusters(30, 5, 1), clusters(20, 5, 2)))
    assert {*LINEAR_PROBES, "knn_accuracy"} == set(scores.windows)
    assert all(np.isnan(column).all() and len(column) == 20 for column in scores.windows.values())
    assert scores.numbers["chance_key"] is None


def test_only_classes_that_training_has_are_scored():
    train, test = clusters(30, 5, 1, apart=9), clusters(20, 5, 2, apart=9)
    known = test.known.assign(label=test.known["label"].replace("a", "z"))
    scores = probe(train, Rows(test.features, known))
    for name in ("probe_accuracy", "knn_accuracy"):
        assert np.isnan(scores.windows[name][known["label"] == "z"]).all()
        assert scores.windows[name][known["label"] != "z"].all()
    assert scores.numbers["chance"] == pytest.approx(7 / 13)  # of b and c
    single = probe(train, Rows(test.features, test.known.assign(label="a")))
    assert single.windows["probe_accuracy"].sum() == 7  # the others get labels that only training has
    assert single.numbers["silhouette"] is None and single.numbers["chance"] == 1
    few = probe(clusters(3, 5, 1), test)  # fewer than five neighbours
    assert few.windows["knn_accuracy"].shape == (20,)


def test_key_and_instrument_are_read_where_the_data_know_them():
    train, test = clusters(60, 5, 1, apart=9), clusters(30, 5, 2, apart=9)
    for table in (train.known, test.known):
        table["key"] = table["label"].map({"a": "C major", "b": "C minor"})  # the source does not know that of "c"
    scores = probe(train, test)
    assert np.isnan(scores.windows["probe_key_accuracy"]).sum() == 10
    assert np.nanmean(scores.windows["probe_key_accuracy"]) == 1 and scores.numbers["chance_key"] == 0.5
    assert np.isnan(scores.windows["probe_instrument_accuracy"]).all() and scores.numbers["chance_instrument"] is None


def test_chance_counts_recordings_not_windows():
    train = clusters(30, 5, 1)
    test = rows(train.features[:6], np.array(["a", "a", "a", "a", "b", "c"]))
    test.known["track_id"] = ["x", "x", "x", "x", "y", "z"]
    assert probe(train, test).numbers["chance"] == pytest.approx(1 / 3)


def test_tempo_r2_is_that_of_the_log_tempo_with_recordings_of_the_same_weight():
    rng = np.random.default_rng(0)
    octaves = np.repeat(rng.uniform(-1, 1, 40), 3)
    features = np.stack([octaves, *rng.standard_normal((3, 120))], axis=1) + 0.2 * rng.standard_normal((120, 4))
    recordings = rows(features, np.resize(LABELS, 120), 3, tempo=100 * 2**octaves)
    train, test = (Rows(features[part], recordings.known[part].reset_index(drop=True)) for part in PARTS)
    test.known.loc[:2, "tempo"] = np.nan  # of the first recording
    values = probe(train, test).windows["probe_tempo_r2"]
    scaler = StandardScaler().fit(train.features)
    a, b = scaler.transform(train.features), scaler.transform(test.features)
    predicted = ridge(a, np.log2(train.known["tempo"].to_numpy()), train.known["group"].to_numpy(), b)
    expected = np.log2(test.known["tempo"])
    weight = 1 / test.known.groupby("track_id")["label"].transform("size")  # the last recording has one window
    assert np.isnan(values[:3]).all()
    r2 = r2_score(expected[3:], predicted[3:], sample_weight=weight[3:])
    assert 0.5 < r2 < 0.99 and np.average(values[3:], weights=weight[3:]) == pytest.approx(r2)


def test_a_tempo_that_all_recordings_share_has_no_r2():
    train, test = clusters(30, 5, 1), clusters(20, 5, 2)
    for table in (train.known, test.known):
        table["tempo"] = 120.0
    assert np.isnan(probe(train, test).windows["probe_tempo_r2"]).all()


def test_windows_of_spans_get_what_is_known_of_their_recording():
    windows, tracks = split(0, 6), make_tracks("x", "y", "z")
    windows.values[:, 0, 0] = 0  # the peak, so that a crop of a span has the same one
    read = read_rows(window_loader(spans(windows), CPU), tracks, lambda x: x.flatten(1), 4)
    unit = read_rows(window_loader(windows, CPU), make_tracks(*windows.track_ids), lambda x: x.flatten(1), 4)
    np.testing.assert_array_equal(read.features, unit.features)
    assert read.known["track_id"].tolist() == list("xxyyzz") and read.known["label"].tolist() == list("aabbcc")
    assert read.known["key"].tolist() == [key for key in tracks["key"] for _ in range(2)]


def test_most_windows_are_evenly_spaced():
    tracks = make_tracks(*split(0).track_ids)
    read = read_rows(window_loader(split(0), CPU), tracks, lambda x: x.flatten(1), 4, most=9)
    assert read.known["label"].tolist() == ["a"] * 3 + ["b"] * 3 + ["c"] * 3 and read.features.shape == (9, 72)


def test_a_recording_that_tracks_parquet_lacks_is_named():
    with pytest.raises(DataError, match=r"tracks.parquet: lacks '29', which the cache has; run `dvc repro`"):
        known_facts(split(0), make_tracks(*split(0).track_ids[:-1]))


def test_statistics_of_a_mel_and_of_a_waveform():
    x = torch.rand(2, 1, *SHAPE)
    expected = torch.cat([x.mean(-1), x.std(-1, correction=0)], dim=-1).squeeze(1)
    torch.testing.assert_close(statistics(x), expected)
    time_axis = torch.arange(3000) / 3000
    low, high = (0.1 * torch.sin(2 * torch.pi * f * time_axis)[None, None] for f in (100, 1000))
    assert statistics(low[..., :101]).isfinite().all()  # the shortest window, a tenth of a second at 1,000 Hz
    assert statistics(x[..., :1]).isfinite().all()
    values = statistics(torch.cat([low, high, torch.zeros_like(low)]))
    assert values.shape == (3, 2 * 129) and values.isfinite().all()
    assert values[0, :129].argmax() == round(100 / 3000 * 256) and values[1, :129].argmax() == round(1000 / 3000 * 256)
