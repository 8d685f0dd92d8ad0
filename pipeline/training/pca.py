"""Baselines, fitted in closed form: no gradient, no epochs."""

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from pipeline.dataset.batches import WindowLoader
from pipeline.dataset.loader import window_loader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.dataset.split import Split
from pipeline.losses.reconstruction import mse
from pipeline.models.bottlenecks.linear import Linear
from pipeline.models.vae import VAE
from pipeline.training.records import History
from pipeline.training.snapshots import DRAWN, FIXED, Snapshots

COMPONENTS = 2048  # at most: the largest latent of the systems in docs/variants.md
WINDOWS = 8192  # at most, evenly spread: of so many, the products of all pairs take half a gigabyte
BLOCK = 512  # windows in memory at a time, twice
LEAST = 1e-9  # variance, as a share of the first component's, below which rounding decides a component

CPU = torch.device("cpu")


def fit(
    model: VAE, train: Split, valid: Split, on_epoch: Callable[[dict[str, float]], None]
) -> tuple[History, Snapshots]:
    """Fit the linear bottleneck of `model`, which is on the CPU, to the train windows as they are evenly cut.

    Returns:
        The one row of its history, with the mean squared error on train and validation windows, and snapshots of it.
    """
    began = time.perf_counter()
    middle = model.bottleneck
    assert isinstance(middle, Linear)
    data, held_out = window_loader(train, CPU), window_loader(valid, CPU)
    middle.set(*principal(data, COMPONENTS if middle.limit is None else middle.limit))
    row = {
        "epoch": 1,
        "train_mse": error(model, data),
        "valid_mse": error(model, held_out),
        "seconds": time.perf_counter() - began,
    }
    on_epoch(row)
    fixed = held_out.batch(evenly_spaced(len(held_out), FIXED)).x
    drawn = model.sample(DRAWN, torch.Generator().manual_seed(0))
    return [row], Snapshots(fixed, [1], [model.reconstruct(fixed)], [drawn])


def principal(data: WindowLoader, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (values,), the first components (K, values) and their coordinates' standard deviation (K,), in 32 bits.

    K is at most `number`, and less where the windows have no more directions. Exact, from the eigenvectors of the
    windows' products with each other (the method of snapshots, Sirovich 1987): of 500 windows of 27,648 values these
    are 500 x 500 numbers.
    """
    index = evenly_spaced(len(data), WINDOWS)
    mean = torch.stack([x.sum(0) for _, x in _blocks(data, index)]).sum(0) / len(index)
    if number == 0:
        return mean.float(), torch.zeros(0, len(mean)), torch.zeros(0)
    products = torch.empty(len(index), len(index), dtype=torch.float64)
    for rows, x in _blocks(data, index):
        x = x - mean
        for columns, other in _blocks(data, index[rows.start :]):
            place = slice(columns.start + rows.start, columns.stop + rows.start)
            product = x @ (other - mean).T
            products[rows, place], products[place, rows] = product, product.T
    values, vectors = torch.linalg.eigh(products)
    values, vectors = values.flip(0), vectors.flip(1)
    kept = min(number, int((values > LEAST * values[0]).sum()))
    lengths = values[:kept].sqrt()
    weights = vectors[:, :kept] / lengths
    components = torch.zeros(kept, len(mean), dtype=torch.float64)
    for rows, x in _blocks(data, index):
        components += weights[rows].T @ (x - mean)
    std = lengths / len(index) ** 0.5
    return mean.float(), components.float(), std.float()


def error(model: VAE, data: WindowLoader) -> float:
    """Mean squared error of the reconstructions of all windows."""
    parts = [mse(model.reconstruct(x), x) for x, _ in data.batches(BLOCK)]
    return float(torch.cat(parts).mean())


def _blocks(data: WindowLoader, index: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Places in `index`, and (B, values) float64 of the windows there."""
    for start in range(0, len(index), BLOCK):
        part = index[start : start + BLOCK]
        yield slice(start, start + len(part)), data.batch(part).x.flatten(1).double()
