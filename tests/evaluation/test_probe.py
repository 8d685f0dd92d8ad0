"""Probes against scikit-learn used plainly, and what they must not see."""

import time

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.dataset.batches import ResidentLoader
from pipeline.dataset.split import Split
from pipeline.evaluation import probe as module
from pipeline.evaluation.probe import means, probe, score, spanned
from tests.evaluation.test_transfer import NAMES, SHAPE, model, split

CPU = torch.device("cpu")


def clusters(rows: int, dims: int, seed: int, apart: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clouds, each dimension on a scale of its own."""
    labels = np.resize(NAMES, rows)
    centre = apart * np.random.default_rng(0).standard_normal((3, dims)) * (np.arange(dims) < 4)
    scale = np.geomspace(0.1, 100, dims)
    noise = np.random.default_rng(seed).standard_normal((rows, dims))
    values = (centre[np.resize(np.arange(3), rows)] + noise) * scale + 3
    return values.astype(np.float32), labels.astype(object)


@pytest.mark.parametrize("dims", [6, 300])  # fewer and more than there are train rows
def test_probes_are_those_of_scikit_learn(dims):
    (train, known), (test, wanted) = clusters(120, dims, 1), clusters(200, dims, 2)
    found = probe(train, known, test, wanted)
    for name, classifier in (
        ("probe_accuracy", LogisticRegression(max_iter=1000)),
        ("knn_accuracy", KNeighborsClassifier(5)),
    ):
        said = make_pipeline(StandardScaler(), classifier).fit(train, known).predict(test)
        assert 0.4 < (said == wanted).mean() < 1
        np.testing.assert_array_equal(found.windows[name], said == wanted)
    scaled = StandardScaler().fit(train).transform(test)
    assert found.numbers["silhouette"] == pytest.approx(silhouette_score(scaled, wanted), abs=1e-6)


def test_fewer_coordinates_change_no_probability():
    (train, known), (test, _) = clusters(60, 400, 1), clusters(50, 400, 2)
    scaler = StandardScaler().fit(train.astype(float))
    train, test = scaler.transform(train.astype(float)), scaler.transform(test.astype(float))
    small, unseen = spanned(train, test)
    assert small.shape[1] == 59  # one is lost to the mean
    plain, reduced = LogisticRegression(max_iter=5000, tol=1e-8), LogisticRegression(max_iter=5000, tol=1e-8)
    expected = plain.fit(train, known).predict_proba(test)
    np.testing.assert_allclose(reduced.fit(small, known).predict_proba(unseen), expected, atol=1e-5)


@pytest.mark.parametrize("dims", [3, 40])  # fewer and more than there are train rows
def test_latents_that_are_all_one_point_name_no_more_than_the_commonest_label(dims):
    train, test = np.full((12, dims), 0.1, np.float32), np.full((6, dims), 0.1, np.float32)
    found = probe(train, np.array(["a"] * 8 + ["b"] * 4), test, np.array(["a", "b"] * 3))
    assert found.windows["probe_accuracy"].tolist() == [1, 0] * 3


def test_many_dimensions_take_no_seconds():
    (train, known), (test, wanted) = clusters(500, 2000, 1), clusters(100, 2000, 2)
    probe(train[:10], known[:10], test, wanted)  # imports
    began = time.process_time()
    assert probe(train, known, test, wanted).windows["probe_accuracy"].mean() > 0.34
    assert time.process_time() - began < 4


@pytest.mark.parametrize(
    "spoil",
    [
        lambda train, known, test: (train[:, :0], known, test[:, :0]),
        lambda train, known, test: (train, np.repeat("a", len(known)), test),
        lambda train, known, test: (np.full_like(train, np.nan), known, test),
        lambda train, known, test: (train, known, np.where(np.arange(test.shape[1]) == 1, np.nan, test)),
    ],
    ids=["no latent", "a single label", "broken in training", "broken in test"],
)
def test_where_nothing_can_be_told_nothing_is(spoil):
    (train, known), (test, wanted) = clusters(30, 5, 1), clusters(20, 5, 2)
    train, known, test = spoil(train, known, test)
    found = probe(train, known, test, wanted)
    assert all(np.isnan(column).all() and len(column) == 20 for column in found.windows.values())


def test_odd_labels():
    (train, known), (test, wanted) = clusters(30, 5, 1, apart=9), clusters(20, 5, 2, apart=9)
    one = np.repeat("a", 20)
    found = probe(train, known, test, one)
    assert found.numbers == {"silhouette": None}
    assert found.windows["probe_accuracy"].sum() == 7  # the others are named by labels that only training has
    strange = np.where(wanted == "a", "z", wanted)  # a label that training has not seen
    named = probe(train, known, test, strange).windows["knn_accuracy"]
    assert (named[strange == "z"] == 0).all() and named[strange != "z"].all()
    assert probe(train[:3], known[:3], test, wanted).windows["knn_accuracy"].shape == (20,)  # under five neighbours


def test_of_a_large_train_split_some_windows_are_used_from_first_to_last(monkeypatch):
    monkeypatch.setattr(module, "WINDOWS", 9)
    taken = []
    monkeypatch.setattr(module, "probe", lambda train, labels, *_: taken.append((len(train), labels.tolist())))
    score(model(condition=False), split(0), split(1), 4, CPU)
    assert taken == [(9, ["a"] * 3 + ["b"] * 3 + ["c"] * 3)]


def test_windows_of_spans_are_probed_by_the_label_of_their_recording():
    windows = split(0, 6)
    windows.values[:, 0, 0] = 0  # the peak, which a crop of a span is brought to
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
    made = model(condition=False)
    every = torch.arange(6)
    np.testing.assert_array_equal(
        means(made, ResidentLoader(spans, CPU), every, 4), means(made, ResidentLoader(windows, CPU), every, 4)
    )
    plain, of_spans = score(made, windows, split(1), 4, CPU), score(made, spans, split(1), 4, CPU)
    np.testing.assert_array_equal(plain.windows["probe_accuracy"], of_spans.windows["probe_accuracy"])


def test_a_condition_is_not_told_the_label():
    """Windows that say nothing of their label: whoever is told it takes the statistics of another one off."""
    made = model()
    made.fit_condition(ResidentLoader(split(0), CPU, NAMES).batches(8))

    def blank(seed: int) -> Split:
        rng = np.random.default_rng(seed)
        values = rng.uniform(-80, 0, (120, *SHAPE)).astype(np.float16)
        return Split("mel", SHAPE, values, np.arange(120), np.arange(120).astype(str), np.resize(NAMES, 120))

    train, test = blank(1), blank(2)

    def told(split: Split) -> np.ndarray:
        x, label = ResidentLoader(split, CPU, NAMES).batch(torch.arange(120))
        with torch.no_grad():
            return made.encode(x, None, label).mean.numpy()

    leak = probe(told(train), train.labels, told(test), test.labels).windows["probe_accuracy"].mean()
    assert leak > 0.65  # so that there is something not to leak
    found = score(made, train, test, 16, CPU, known=told(test)).windows
    assert found["probe_accuracy"].mean() < 0.5 and found["knn_accuracy"].mean() < 0.5
