"""Probes of the latents of a model: pooled over time, and without sight of the label."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import Split
from pipeline.evaluation import probe as module
from pipeline.evaluation.probe import pooled, read_latents, score, score_sizes
from pipeline.metrics.probe import LINEAR_PROBES, Rows, known_facts, probe
from pipeline.models.bottlenecks import BOTTLENECKS
from pipeline.models.bottlenecks.base import Bottleneck
from pipeline.models.config import FSQConfig, GaussianConfig, HierarchicalConfig
from tests.evaluation.small import CPU, LABELS, SHAPE, build_model, make_tracks, split
from tests.evaluation.test_transfer import fitted_model
from tests.metrics.test_probe import clusters

FEATURES = (6, 3, 8)  # channels, bands, frames
SEQUENCES = {
    "gaussian": GaussianConfig(type="gaussian", latent=4, layout="sequence"),
    "hierarchical": HierarchicalConfig(type="hierarchical", latent_z2=2, latent_z1=4, layout="sequence"),
    "fsq": FSQConfig(type="fsq", levels=[5, 5, 5, 5], prior_width=4),
}


def build(name: str) -> Bottleneck:
    torch.manual_seed(0)
    bottleneck = BOTTLENECKS[name](SEQUENCES[name], FEATURES)
    for parameter in bottleneck.parameters():
        torch.nn.init.normal_(parameter)
    return bottleneck.eval()


def test_a_large_train_split_is_sampled_evenly(monkeypatch):
    monkeypatch.setattr(module, "MAX_TRAIN_WINDOWS", 9)
    tracks = make_tracks(*split(0).track_ids)
    loaders = [window_loader(split(seed), CPU) for seed in (0, 1)]
    train, test = read_latents(build_model(False), *loaders, tracks, 4, np.zeros((30, 3), np.float32))
    assert train.known["label"].tolist() == ["a"] * 3 + ["b"] * 3 + ["c"] * 3
    assert train.features.shape == (9, 3) and test.known["label"].tolist() == split(1).labels.tolist()


@pytest.mark.parametrize("name", ["gaussian", "fsq"])
def test_frames_of_a_sequence_are_in_the_order_of_time(name):
    bottleneck = build(name)
    features = 3 * torch.randn(5, *FEATURES)
    later = features.clone()
    later[..., 5] = 3 * torch.randn(5, *FEATURES[:-1])
    with torch.no_grad():
        first, second = (bottleneck.by_frame(bottleneck.encode(x).mean) for x in (features, later))
    assert first.shape == (5, 4 * 3, 8)  # the bands of a frame stay apart
    changed = (first != second).any(1).any(0)
    assert changed.tolist() == [frame == 5 for frame in range(8)]


def test_each_frame_of_a_hierarchy_has_the_upper_level():
    bottleneck = build("hierarchical")
    z = torch.randn(5, bottleneck.latent_dims)
    frames = bottleneck.by_frame(z)
    assert frames.shape == (5, 2 + 4 * 3, 8)
    assert (frames[:, :2] == z[:, :2, None]).all() and torch.equal(frames[:, 2:].flatten(1), z[:, 2:])


@pytest.mark.parametrize("name", ["gaussian", "fsq"])
def test_pooled_latents_do_not_depend_on_when(name):
    bottleneck = build(name)
    features = 3 * torch.randn(5, *FEATURES)
    with torch.no_grad():
        z, rolled = (bottleneck.encode(x).mean.numpy() for x in (features, features.roll(3, dims=-1)))
    first, second = (pooled(bottleneck, Rows(latents, pd.DataFrame())).features for latents in (z, rolled))
    assert first.shape == (5, 2 * 4 * 3)
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert np.abs(z - rolled).max() > 0.1


def test_a_sequence_whose_label_is_in_its_deviation_needs_pooling():
    """A tone of another level in each label, with a random phase: flat, the mean of each number is 0 for all labels."""
    bottleneck = BOTTLENECKS["gaussian"](GaussianConfig(type="gaussian", latent=2, layout="sequence"), (6, 40))
    tracks = make_tracks(*split(0, 90).track_ids)

    def tones(seed: int) -> Rows:
        rng = np.random.default_rng(seed)
        known = known_facts(split(0, 90), tracks)
        level = known["label"].map({"a": 0.3, "b": 1.0, "c": 3.0}).to_numpy()[:, None, None]
        phase = rng.uniform(0, 2 * np.pi, (90, 2, 1))
        return Rows((level * np.sin(np.arange(40) + phase)).reshape(90, -1).astype(np.float32), known)

    windows = score(bottleneck, tones(1), tones(2)).windows
    assert windows["probe_accuracy"].mean() > 0.95 > 0.6 > windows["probe_flat_accuracy"].mean()


def test_a_vector_has_no_second_probe():
    windows = score(build_model(False).bottleneck, clusters(30, 3, 1), clusters(20, 3, 2)).windows
    assert np.isnan(windows["probe_flat_accuracy"]).all() and np.isfinite(windows["probe_accuracy"]).all()


def test_sizes_are_probes_of_the_first_latents():
    train, test = clusters(60, 6, 1), clusters(30, 6, 2)
    sizes = score_sizes(train, test).set_index("latent")
    assert sizes.index.tolist() == [1, 2, 4] and set(sizes) == set(LINEAR_PROBES)
    two = probe(*(Rows(rows.features[:, :2], rows.known) for rows in (train, test))).windows["probe_accuracy"]
    assert sizes["probe_accuracy"][2] == pytest.approx(two.mean()) and sizes["probe_tempo_r2"].isna().all()
    assert score_sizes(*(Rows(rows.features[:, :0], rows.known) for rows in (train, test))).empty


def test_the_probe_of_a_conditional_model_does_not_see_the_label():
    """With the true label, the condition subtracts that label's statistics from windows that do not depend on it."""
    model = fitted_model()
    tracks = make_tracks(*np.arange(120).astype(str))

    def noise(seed: int) -> Split:
        values = np.random.default_rng(seed).uniform(-80, 0, (120, *SHAPE)).astype(np.float16)
        return Split("mel", SHAPE, values, np.arange(120), np.arange(120).astype(str), np.resize(LABELS, 120))

    def with_label(split: Split) -> Rows:
        x, label = window_loader(split, CPU, LABELS).batch(torch.arange(120))
        with torch.no_grad():
            return Rows(model.encode(x, None, label).mean.numpy(), known_facts(split, tracks))

    train, test = noise(1), noise(2)
    leak = probe(with_label(train), with_label(test))
    assert leak.windows["probe_accuracy"].mean() > 0.65  # so there is something to leak
    loaders = [window_loader(windows, CPU, LABELS) for windows in (train, test)]
    latents = read_latents(model, *loaders, tracks, 16, test_means=with_label(test).features)
    scores = score(model.bottleneck, *latents).windows
    assert scores["probe_accuracy"].mean() < 0.5 and scores["knn_accuracy"].mean() < 0.5
