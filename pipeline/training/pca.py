"""The data that PCA is fitted to, and the baselines, which are fitted in closed form."""

from collections.abc import Iterator

import torch

from pipeline.dataset.batches import Batch, WindowLoader
from pipeline.dataset.loader import window_loader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.dataset.split import Split
from pipeline.losses.reconstruction import mse
from pipeline.models.bottlenecks.linear import Linear
from pipeline.models.probabilistic_pca import ProbabilisticPCA
from pipeline.models.vae import VAE
from pipeline.training.history import SNAPSHOT_SAMPLES, SNAPSHOT_WINDOWS, History, Snapshots

MAX_CROPS = 8192
BLOCK = 32  # windows in memory; more fit no cache
CPU = torch.device("cpu")


def crops(data: WindowLoader) -> Iterator[Batch]:
    """Random crops of the train split, as the first epochs of a training see them: up to 8,192, but all of an epoch.

    If rows are single windows, there is nothing else to cut, so each is given once.
    """
    epochs = max(1, MAX_CROPS // len(data)) if data.last_start.any() else 1
    for epoch in range(1, epochs + 1):
        left = len(data)
        for x, label in data.epoch(BLOCK, 0, epoch):
            yield Batch(x[:left], label[:left])  # the last batch is filled up with windows of the first
            left -= len(x)


def fit_baseline(model: VAE, train: Split, valid: Split) -> tuple[History, Snapshots]:
    """Fit the linear bottleneck of `model`, on the CPU, to `crops` of the train windows.

    The history has one row, with the mean squared error on evenly cut train windows and on validation windows.
    """
    bottleneck = model.bottleneck
    assert isinstance(bottleneck, Linear)
    train_data, valid_data = window_loader(train, CPU), window_loader(valid, CPU)
    fitted = ProbabilisticPCA(bottleneck.latent_dims, train.shape, train.shape)
    fitted.fit(lambda: (x for x, _ in crops(train_data)))
    bottleneck.set_components(fitted.mean.flatten(), fitted.components, fitted.variances.sqrt())
    row = {
        "epoch": 1,
        "train_mse": reconstruction_error(model, train_data),
        "valid_mse": reconstruction_error(model, valid_data),
    }
    windows = valid_data.batch(evenly_spaced(len(valid_data), SNAPSHOT_WINDOWS)).x
    samples = model.sample(SNAPSHOT_SAMPLES, torch.Generator().manual_seed(0))
    return [row], Snapshots(windows, [1], [model.reconstruct(windows)], [samples])


def reconstruction_error(model: VAE, data: WindowLoader) -> float:
    """Mean squared error over all windows."""
    return float(torch.cat([mse(model.reconstruct(x), x) for x, _ in data.batches(BLOCK)]).mean())
