"""Frechet distances of known Gaussians, and between windows."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.dataset.split import Split
from pipeline.evaluation import frechet
from pipeline.evaluation.frechet import features, score
from pipeline.evaluation.peak_normalised_mel import to_mel
from pipeline.metrics.measures import frechet_distance as distance
from tests.evaluation.test_transfer import NAMES, SHAPE, model, split

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


def exact(rows: int, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """(rows, D) whose fitted mean and covariance are just these."""
    drawn = RNG.standard_normal((rows, len(mean)))
    drawn -= drawn.mean(0)
    white = drawn @ np.linalg.inv(np.linalg.cholesky(np.cov(drawn, rowvar=False))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def test_of_gaussians_with_independent_dimensions():
    a = exact(50, np.array([0.0, 1.0, 2.0]), np.diag([1.0, 4.0, 9.0]))
    b = exact(80, np.array([3.0, 1.0, 0.0]), np.diag([4.0, 4.0, 1.0]))
    by_hand = (9 + 0 + 4) + (1 - 2) ** 2 + (2 - 2) ** 2 + (3 - 1) ** 2  # means, then standard deviations
    assert distance(a, b) == pytest.approx(by_hand) == pytest.approx(distance(b, a))


@pytest.mark.parametrize("rows", [200, 10])  # ten: covariances of 32 features without full rank
def test_of_any_gaussians_is_that_of_the_matrix_root(rows):
    mix = RNG.standard_normal((2, 32, 32))
    a, b = (RNG.standard_normal((rows, 32)) @ m + i for i, m in enumerate(mix))
    one, other = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(one @ other).real
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(one + other - 2 * root)
    assert distance(a, b) == pytest.approx(expected, rel=1e-4)
    assert distance(a, a) == pytest.approx(0, abs=1e-6 * np.trace(one))


def test_one_feature_and_what_has_no_distance():
    assert distance(np.array([[0.0], [2.0]]), np.array([[5.0], [5.0]])) == pytest.approx(16 + 2)
    assert distance(np.zeros((1, 3)), np.ones((5, 3))) is None
    assert distance(np.full((5, 3), np.nan), np.ones((5, 3))) is None


def test_features_are_mean_and_deviation_of_groups_of_bands():
    mel = torch.from_numpy(RNG.uniform(0, 1, (3, 128, 20)))
    groups = 80 * mel.numpy().reshape(3, 16, 8, 20).mean(2)
    np.testing.assert_allclose(features(mel), np.concatenate([groups.mean(-1), groups.std(-1)], axis=1))
    assert features(mel[:, :5]).shape == (3, 10) and features(mel[:, :100]).shape == (3, 32)


def test_a_copy_is_nearer_than_the_floor_and_a_blank_is_farther():
    made = model(condition=False)
    made.reconstruct = lambda x, label=None: x  # type: ignore[method-assign]
    made.sample = lambda number, generator, label: torch.zeros(number, 1, *SHAPE)  # type: ignore[method-assign]
    mel = to_mel(MelConfig(), MelConfig(bands=6))
    found = score(made, split(0, 60), split(1, 60), mel, 7, CPU)
    assert found["frechet_reconstructions"] == pytest.approx(0, abs=1e-6)
    assert 0 < found["frechet_floor"] < found["frechet_samples"] / 10


def test_sets_are_of_as_many_windows_each(monkeypatch):
    monkeypatch.setattr(frechet, "WINDOWS", 12)
    sizes = []
    monkeypatch.setattr(frechet, "frechet_distance", lambda a, b: sizes.append((len(a), len(b))))
    made, mel = model(), to_mel(MelConfig(), MelConfig(bands=6))
    score(made, split(0, 60), split(1, 30), mel, 5, CPU)
    assert sizes == [(12, 12)] * 3
    monkeypatch.setattr(frechet, "WINDOWS", 512)
    score(made, split(0, 60), split(1, 30), mel, 8, CPU)
    assert sizes[3:] == [(30, 30)] * 3


def test_without_a_latent_nothing_is_drawn():
    made = model(condition=False)
    made.bottleneck.latent_dims = 0
    made.reconstruct = lambda x, label=None: x  # type: ignore[method-assign]
    assert score(made, split(0), split(1), lambda x: x.squeeze(1), 7, CPU)["frechet_samples"] is None


def test_a_waveform_is_compared_by_its_sound_not_its_level():
    time = np.arange(6000) / 3000
    tones = np.stack([np.sin(2 * np.pi * f * time) for f in np.linspace(100, 900, 20)])
    stored = (8000 * tones).astype(np.int16)
    data = Split("waveform", (6000,), stored, np.arange(20), np.arange(20).astype(str), np.resize(NAMES, 20))
    mel = to_mel(MelConfig(), WaveformConfig())
    quiet, loud, silent = (mel(torch.from_numpy(level * tones[:2, None]).float())[0] for level in (0.01, 0.5, 0))
    assert loud.shape == MelConfig().shape(2.0) and loud.max() == 1 and silent.max() == 0
    assert (quiet - loud).abs().mean() < 0.02
    made = model(condition=False)
    made.reconstruct = lambda x, label=None: 0.5 * x  # type: ignore[method-assign]
    made.sample = lambda number, generator, label: torch.zeros(number, 1, 6000)  # type: ignore[method-assign]
    found = score(made, data, data, mel, 8, CPU)
    assert found["frechet_reconstructions"] < 1 < found["frechet_samples"]
    assert found["frechet_floor"] == pytest.approx(0, abs=1e-6)
