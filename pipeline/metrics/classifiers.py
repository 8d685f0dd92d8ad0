"""Plain classifiers and a regression in NumPy, after scikit-learn's, whose import takes longer than their work."""

from collections.abc import Callable

import numpy as np

MAX_ITERATIONS = 1000
TOLERANCE = 1e-4  # of the gradient of the mean loss, scikit-learn's default
BLOCK_ROWS = 1024  # bounds the memory of distances
PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)  # of the ridge regression
RANK_TOLERANCE = 1e-12  # relative to the largest variance; below it, rounding decides a direction

Predict = Callable[[np.ndarray], np.ndarray]  # (rows, D) to labels (rows,)


def standardiser(train: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that gives rows (n, D) the mean and the standard deviation of `train`: float64.

    A dimension that does not vary in `train`, but for rounding, is only centred.
    """
    mean, std = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    std[std <= len(train) * np.finfo(np.float64).eps * np.abs(mean)] = 1
    return lambda rows: (rows - mean) / std


def logistic_regression(train: np.ndarray, labels: np.ndarray) -> Predict:
    """Multinomial logistic regression with an L2 penalty and C = 1; two labels have a single logit.

    Minimises mean cross entropy + |weights|² / (2 n) by L-BFGS from zero; the bias has no penalty.
    """
    from scipy.optimize import minimize

    names, index = np.unique(labels, return_inverse=True)
    is_binary, rows = len(names) == 2, np.arange(len(train))

    def logits_of(values: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        parameters = values.reshape(-1, train.shape[1] + 1)
        logits = inputs @ parameters[:, :-1].T + parameters[:, -1]
        return np.hstack([np.zeros_like(logits), logits]) if is_binary else logits

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        weights = values.reshape(-1, train.shape[1] + 1).copy()
        weights[:, -1] = 0
        logits = logits_of(values, train)
        logits -= logits.max(axis=1, keepdims=True)
        sums = np.exp(logits).sum(axis=1)
        cross_entropy = (np.log(sums) - logits[rows, index]).mean()
        residuals = np.exp(logits) / sums[:, None]
        residuals[rows, index] -= 1
        residuals = residuals[:, is_binary:] / len(train)
        gradient = np.hstack([residuals.T @ train, residuals.sum(axis=0)[:, None]]) + weights / len(train)
        return cross_entropy + np.square(weights).sum() / (2 * len(train)), gradient.reshape(-1)

    start = np.zeros((len(names) - is_binary) * (train.shape[1] + 1))
    options = {"maxiter": MAX_ITERATIONS, "maxls": 50, "gtol": TOLERANCE, "ftol": 64 * np.finfo(np.float64).eps}
    best = minimize(loss, start, method="L-BFGS-B", jac=True, options=options).x
    return lambda inputs: names[logits_of(best, inputs).argmax(axis=1)]


def ridge_regression(train: np.ndarray, values: np.ndarray, groups: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Linear regression with an L2 penalty, of rows (n, D) to `values` (n,); the bias has no penalty.

    Of `PENALTIES`, it takes the one with the lowest squared error on the rows of each of the `groups` (n,), two or
    more, after a fit to all other groups. Rows of a group resemble each other: a penalty for left-out rows whose group
    stays in the fit would be too small. No such fit is needed: the residuals r of the full fit and the rows and columns
    H of its hat matrix that belong to a group give the residuals (1 - H)^-1 r of the fit without it.
    """
    offset, centre = train.mean(axis=0), values.mean()
    train, values = train - offset, values - centre
    variances, vectors = np.linalg.eigh(train.T @ train)
    significant = variances > RANK_TOLERANCE * variances[-1]
    variances, vectors = variances[significant], vectors[:, significant]
    basis = train @ vectors / np.sqrt(variances)
    coordinates = basis.T @ values
    _, index = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(index == number) for number in range(index.max() + 1)]

    def error(penalty: float) -> float:
        shrinkage = variances / (variances + penalty)
        residuals = values - basis @ (shrinkage * coordinates)
        total = 0.0
        for rows in members:
            hat = 1 / len(values) + (basis[rows] * shrinkage) @ basis[rows].T
            total += np.square(np.linalg.solve(np.eye(len(rows)) - hat, residuals[rows])).sum()
        return total

    penalty = min(PENALTIES, key=error)
    weights = vectors @ (np.sqrt(variances) / (variances + penalty) * coordinates)
    return lambda rows: (rows - offset) @ weights + centre


def nearest_neighbours(train: np.ndarray, labels: np.ndarray, number: int) -> Predict:
    """The most frequent label of the `number` nearest rows of `train`, or of all. At a tie, the first row and label."""
    names, index = np.unique(labels, return_inverse=True)
    number = min(number, len(train))
    one_hot = np.eye(len(names))[index]

    def predict(inputs: np.ndarray) -> np.ndarray:
        blocks = np.array_split(inputs, -(-len(inputs) // BLOCK_ROWS))
        nearest = [squared_distances(block, train).argsort(axis=1, kind="stable")[:, :number] for block in blocks]
        return names[one_hot[np.concatenate(nearest)].sum(axis=1).argmax(axis=1)]

    return predict


def silhouette(rows: np.ndarray, labels: np.ndarray) -> float:
    """Mean over `rows` (n, D) of (b - a) / max(a, b), 0 for the only row of a label (Rousseeuw 1987).

    a is the mean distance to other rows of the same label, b to the rows of the nearest other label.
    """
    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    one_hot = np.eye(len(counts))[index]
    blocks = np.array_split(rows, -(-len(rows) // BLOCK_ROWS))
    sums = np.concatenate([np.sqrt(squared_distances(block, rows)) @ one_hot for block in blocks])
    own = np.arange(len(rows)), index
    a = sums[own] / np.maximum(counts[index] - 1, 1)
    means = sums / counts
    means[own] = np.inf
    b = means.min(axis=1)
    values = (b - a) / np.maximum(np.maximum(a, b), np.finfo(np.float64).tiny)
    return float(np.where(counts[index] > 1, values, 0).mean())


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, m) squared Euclidean distances of rows (n, D) and (m, D); below the rounding error they are 0."""
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)
    distances = squares - 2 * (a @ b.T)
    return np.where(distances > 1e-13 * squares, distances, 0)
