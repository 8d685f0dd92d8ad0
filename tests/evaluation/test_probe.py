"""Probes against plain scikit-learn, and what they must not see."""

import time

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.dataset.loader import ResidentLoader
from pipeline.dataset.split import Split
from pipeline.evaluation import probe as module
from pipeline.evaluation.probe import posterior_means, probe, project_to_span, score
from tests.evaluation.small import CPU, LABELS, SHAPE, build_model, split
from tests.evaluation.test_transfer import fitted_model


def clusters(rows: int, dims: int, seed: int, apart: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clusters of three labels; each dimension has its own scale."""
    label = np.resize(np.arange(3), rows)
    centres = apart * np.random.default_rng(0).standard_normal((3, dims)) * (np.arange(dims) < 4)
    noise = np.random.default_rng(seed).standard_normal((rows, dims))
    latents = (centres[label] + noise) * np.geomspace(0.1, 100, dims) + 3
    return latents.astype(np.float32), np.array(LABELS)[label].astype(object)


@pytest.mark.parametrize("dims", [6, 300])  # fewer and more than the train rows
def test_probes_agree_with_scikit_learn(dims):
    (train, train_labels), (test, test_labels) = clusters(120, dims, 1), clusters(200, dims, 2)
    scores = probe(train, train_labels, test, test_labels)
    for name, classifier in (
        ("probe_accuracy", LogisticRegression(max_iter=1000)),
        ("knn_accuracy", KNeighborsClassifier(5)),
    ):
        predicted = make_pipeline(StandardScaler(), classifier).fit(train, train_labels).predict(test)
        assert 0.4 < (predicted == test_labels).mean() < 1
        np.testing.assert_array_equal(scores.windows[name], predicted == test_labels)
    scaled = StandardScaler().fit(train).transform(test)
    assert scores.numbers["silhouette"] == pytest.approx(silhouette_score(scaled, test_labels), abs=1e-6)


def test_projection_changes_no_probability():
    (train, labels), (test, _) = clusters(60, 400, 1), clusters(50, 400, 2)
    scaler = StandardScaler().fit(train.astype(float))
    train, test = scaler.transform(train.astype(float)), scaler.transform(test.astype(float))
    small_train, small_test = project_to_span(train, test)
    assert small_train.shape[1] == 59  # centring costs one dimension
    classifier = LogisticRegression(max_iter=5000, tol=1e-8)
    expected = classifier.fit(train, labels).predict_proba(test)
    np.testing.assert_allclose(classifier.fit(small_train, labels).predict_proba(small_test), expected, atol=1e-5)


@pytest.mark.parametrize("dims", [3, 40])  # fewer and more than the train rows
def test_equal_latents_give_the_most_frequent_label(dims):
    train, test = np.full((12, dims), 0.1, np.float32), np.full((6, dims), 0.1, np.float32)
    scores = probe(train, np.array(["a"] * 8 + ["b"] * 4), test, np.array(["a", "b"] * 3))
    assert scores.windows["probe_accuracy"].tolist() == [1, 0] * 3


def test_many_dimensions_take_few_seconds():
    (train, train_labels), (test, test_labels) = clusters(500, 2000, 1), clusters(100, 2000, 2)
    probe(train[:10], train_labels[:10], test, test_labels)  # imports
    start = time.process_time()
    assert probe(train, train_labels, test, test_labels).windows["probe_accuracy"].mean() > 0.34
    assert time.process_time() - start < 4


@pytest.mark.parametrize(
    "spoil",
    [
        lambda train, labels, test: (train[:, :0], labels, test[:, :0]),
        lambda train, labels, test: (train, np.repeat("a", len(labels)), test),
        lambda train, labels, test: (np.full_like(train, np.nan), labels, test),
        lambda train, labels, test: (train, labels, np.where(np.arange(test.shape[1]) == 1, np.nan, test)),
    ],
    ids=["no latent", "single label", "nan in training", "nan in test"],
)
def test_undefined_accuracies_are_nan(spoil):
    (train, train_labels), (test, test_labels) = clusters(30, 5, 1), clusters(20, 5, 2)
    train, train_labels, test = spoil(train, train_labels, test)
    scores = probe(train, train_labels, test, test_labels)
    assert all(np.isnan(column).all() and len(column) == 20 for column in scores.windows.values())


def test_labels_of_one_split_only():
    (train, train_labels), (test, test_labels) = clusters(30, 5, 1, apart=9), clusters(20, 5, 2, apart=9)
    scores = probe(train, train_labels, test, np.repeat("a", 20))
    assert scores.numbers == {"silhouette": None}
    assert scores.windows["probe_accuracy"].sum() == 7  # the others get labels that only training has
    unknown = np.where(test_labels == "a", "z", test_labels)  # training does not have "z"
    hits = probe(train, train_labels, test, unknown).windows["knn_accuracy"]
    assert (hits[unknown == "z"] == 0).all() and hits[unknown != "z"].all()
    few = probe(train[:3], train_labels[:3], test, test_labels)  # fewer than five neighbours
    assert few.windows["knn_accuracy"].shape == (20,)


def test_large_train_split_is_sampled_evenly(monkeypatch):
    monkeypatch.setattr(module, "MAX_TRAIN_WINDOWS", 9)
    taken = []
    monkeypatch.setattr(module, "probe", lambda train, labels, *_: taken.append((len(train), labels.tolist())))
    score(build_model(condition=False), split(0), split(1), 4, CPU, np.zeros((30, 3)))
    assert taken == [(9, ["a"] * 3 + ["b"] * 3 + ["c"] * 3)]


def test_windows_of_spans_have_the_label_of_their_recording():
    windows = split(0, 6)
    windows.values[:, 0, 0] = 0  # the peak, so that a crop of a span has the same one
    spans = Split(
        "mel",
        SHAPE,
        np.concatenate([windows.values[::2], windows.values[1::2]], axis=-1),
        np.arange(3),
        np.array(["x", "y", "z"]),
        np.array(["a", "b", "c"]),
        lengths=np.full(3, 2 * SHAPE[1]),
        windows=np.full(3, 2),
    )
    model = build_model(condition=False)
    means = [posterior_means(model, ResidentLoader(data, CPU), torch.arange(6), 4) for data in (spans, windows)]
    np.testing.assert_array_equal(*means)
    test_means = posterior_means(model, ResidentLoader(split(1), CPU), torch.arange(30), 4)
    accuracies = [score(model, s, split(1), 4, CPU, test_means).windows["probe_accuracy"] for s in (spans, windows)]
    np.testing.assert_array_equal(*accuracies)


def test_probe_of_a_conditional_model_does_not_see_the_label():
    """With the true label, the condition subtracts that label's statistics from windows that do not depend on it."""
    model = fitted_model()

    def noise(seed: int) -> Split:
        values = np.random.default_rng(seed).uniform(-80, 0, (120, *SHAPE)).astype(np.float16)
        return Split("mel", SHAPE, values, np.arange(120), np.arange(120).astype(str), np.resize(LABELS, 120))

    def means_with_label(split: Split) -> np.ndarray:
        x, label = ResidentLoader(split, CPU, LABELS).batch(torch.arange(120))
        with torch.no_grad():
            return model.encode(x, None, label).mean.numpy()

    train, test = noise(1), noise(2)
    leak = probe(means_with_label(train), train.labels, means_with_label(test), test.labels)
    assert leak.windows["probe_accuracy"].mean() > 0.65  # so there is something to leak
    scores = score(model, train, test, 16, CPU, test_means=means_with_label(test)).windows
    assert scores["probe_accuracy"].mean() < 0.5 and scores["knn_accuracy"].mean() < 0.5
