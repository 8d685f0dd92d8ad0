"""Fit a baseline in closed form: PCA, or the mean window."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.dataset.batches import WindowLoader
from pipeline.dataset.loader import window_loader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.dataset.split import Split
from pipeline.losses.reconstruction import mse
from pipeline.models.bottlenecks.linear import Linear
from pipeline.models.vae import VAE
from pipeline.training.history import SNAPSHOT_SAMPLES, SNAPSHOT_WINDOWS, History, Snapshots

MAX_COMPONENTS = 2048  # the largest latent of the systems in docs/variants.md
MAX_WINDOWS = 8192  # evenly spaced; the products of all pairs take half a gigabyte
BLOCK = 512  # windows; two blocks are in memory at a time
MIN_VARIANCE = 1e-9  # share of the first component's, below which a component is rounding error
CPU = torch.device("cpu")


def fit(model: VAE, train: Split, valid: Split) -> tuple[History, Snapshots]:
    """Fit the linear bottleneck of `model`, on the CPU, to evenly cut train windows.

    The history has one row, with the mean squared error on train and validation windows.
    """
    bottleneck = model.bottleneck
    assert isinstance(bottleneck, Linear)
    train_data, valid_data = window_loader(train, CPU), window_loader(valid, CPU)
    limit = MAX_COMPONENTS if bottleneck.max_components is None else bottleneck.max_components
    bottleneck.set_components(*principal_components(train_data, limit))
    row = {
        "epoch": 1,
        "train_mse": reconstruction_error(model, train_data),
        "valid_mse": reconstruction_error(model, valid_data),
    }
    windows = valid_data.batch(evenly_spaced(len(valid_data), SNAPSHOT_WINDOWS)).x
    samples = model.sample(SNAPSHOT_SAMPLES, torch.Generator().manual_seed(0))
    return [row], Snapshots(windows, [1], [model.reconstruct(windows)], [samples])


def principal_components(data: WindowLoader, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (values,), components (K, values) and standard deviations along them (K,), float32.

    K is at most `limit`, and less if the windows span fewer dimensions. The result is exact, from the eigenvectors of
    the windows' products with each other (method of snapshots, Sirovich 1987): 500 windows of 27,648 values need a
    matrix of 500 x 500.
    """
    index = evenly_spaced(len(data), MAX_WINDOWS)
    mean = torch.stack([x.sum(0) for _, x in _blocks(data, index)]).sum(0) / len(index)
    if limit == 0:
        return mean.float(), torch.zeros(0, len(mean)), torch.zeros(0)
    products = torch.empty(len(index), len(index), dtype=torch.float64)
    for rows, x in _blocks(data, index):
        x = x - mean
        for later, y in _blocks(data, index[rows.start :]):
            columns = slice(later.start + rows.start, later.stop + rows.start)
            block = x @ (y - mean).T
            products[rows, columns], products[columns, rows] = block, block.T
    values, vectors = torch.linalg.eigh(products)
    values, vectors = values.flip(0), vectors.flip(1)
    count = min(limit, int((values > MIN_VARIANCE * values[0]).sum()))
    lengths = values[:count].sqrt()
    weights = vectors[:, :count] / lengths
    components = torch.zeros(count, len(mean), dtype=torch.float64)
    for rows, x in _blocks(data, index):
        components += weights[rows].T @ (x - mean)
    std = lengths / len(index) ** 0.5
    return mean.float(), components.float(), std.float()


def reconstruction_error(model: VAE, data: WindowLoader) -> float:
    """Mean squared error over all windows."""
    return float(torch.cat([mse(model.reconstruct(x), x) for x, _ in data.batches(BLOCK)]).mean())


def _blocks(data: WindowLoader, index: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Slices of `index`, and (B, values) float64 windows there."""
    for start in range(0, len(index), BLOCK):
        part = index[start : start + BLOCK]
        yield slice(start, start + len(part)), data.batch(part).x.flatten(1).double()
