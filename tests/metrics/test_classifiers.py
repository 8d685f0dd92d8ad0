"""The classifiers against scikit-learn's."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import silhouette_score
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from pipeline.metrics import classifiers

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def several_blocks(monkeypatch):
    monkeypatch.setattr(classifiers, "BLOCK_ROWS", 7)


def rows(number: int, labels: int, dims: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clusters, and their labels."""
    label = np.arange(number) % labels
    return RNG.standard_normal((number, dims)) + np.eye(labels, dims)[label], np.array(list("edcba"))[label]


@pytest.mark.parametrize("labels", [2, 3, 5])
def test_predictions_equal_those_of_scikit_learn(labels):
    (train, train_labels), (test, _) = rows(90, labels), rows(200, labels)
    for predict, theirs in (
        (classifiers.logistic_regression(train, train_labels), LogisticRegression()),
        (classifiers.nearest_neighbours(train, train_labels, 5), KNeighborsClassifier(5)),
    ):
        np.testing.assert_array_equal(predict(test), theirs.fit(train, train_labels).predict(test))


def test_the_first_of_equally_near_rows_count_as_in_scikit_learn():
    train, labels = np.ones((40, 3)), np.repeat(list("dcba"), 10)
    test = np.zeros((9, 3))
    predicted = classifiers.nearest_neighbours(train, labels, 5)(test)
    np.testing.assert_array_equal(predicted, KNeighborsClassifier(5).fit(train, labels).predict(test))
    assert set(predicted) == {"d"}


def test_the_silhouette_equals_that_of_scikit_learn():
    data, labels = rows(40, 4)
    labels[0] = "z"  # the only row of its label
    assert classifiers.silhouette(data, labels) == pytest.approx(silhouette_score(data, labels), abs=1e-12)
    assert classifiers.silhouette(np.ones_like(data), labels) == 0


def test_dimensions_that_do_not_vary_are_only_centred():
    data, _ = rows(50, 3)
    data[:, 1], data[:, 2] = 0.1, 0
    moved = data + np.linspace(0, 1, 5)
    np.testing.assert_allclose(
        classifiers.standardiser(data)(moved), StandardScaler().fit(data).transform(moved), atol=1e-12
    )


@pytest.mark.parametrize(("noise", "dims"), [(0.1, 5), (3.0, 5), (1.0, 60)])
def test_ridge_regression_is_the_best_of_scikit_learn_on_left_out_groups(noise, dims):
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(12), 6)
    offsets = rng.standard_normal((12, dims))[groups]  # rows of a group resemble each other
    data = offsets + 0.3 * rng.standard_normal((72, dims)) + 2
    values = data[:, 0] + noise * rng.standard_normal(12)[groups]
    search = GridSearchCV(
        Ridge(), {"alpha": classifiers.PENALTIES}, cv=LeaveOneGroupOut(), scoring="neg_mean_squared_error"
    )
    search.fit(data, values, groups=groups)
    inputs = rng.standard_normal((20, dims))
    predicted = classifiers.ridge_regression(data, values, groups)(inputs)
    np.testing.assert_allclose(predicted, search.predict(inputs), rtol=1e-6, atol=1e-8)


def test_ridge_regression_of_equal_rows_is_the_mean():
    predict = classifiers.ridge_regression(np.ones((4, 3)), np.array([1.0, 2.0, 3.0, 6.0]), np.arange(4))
    np.testing.assert_allclose(predict(np.zeros((2, 3))), 3.0)
