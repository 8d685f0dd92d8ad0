"""Frechet distances of known Gaussians, and between sets of windows."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import Split
from pipeline.evaluation import frechet
from pipeline.evaluation.frechet import FrechetSets, features
from pipeline.metrics.common_mel import peak_normalised_mel
from pipeline.metrics.measures import squared_frechet_distance
from tests.evaluation.small import CPU, LABELS, split

RNG = np.random.default_rng(0)


def gaussian_rows(rows: int, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """(rows, D) with exactly this mean and covariance."""
    noise = RNG.standard_normal((rows, len(mean)))
    noise -= noise.mean(0)
    white = noise @ np.linalg.inv(np.linalg.cholesky(np.cov(noise, rowvar=False))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def test_gaussians_with_independent_dimensions():
    a = gaussian_rows(50, np.array([0.0, 1.0, 2.0]), np.diag([1.0, 4.0, 9.0]))
    b = gaussian_rows(80, np.array([3.0, 1.0, 0.0]), np.diag([4.0, 4.0, 1.0]))
    by_hand = (9 + 0 + 4) + (1 - 2) ** 2 + (2 - 2) ** 2 + (3 - 1) ** 2  # means, then standard deviations
    assert squared_frechet_distance(a, b) == pytest.approx(by_hand) == pytest.approx(squared_frechet_distance(b, a))


@pytest.mark.parametrize("rows", [200, 10])  # 10 rows: covariances of 32 features are singular
def test_any_gaussians_agree_with_the_matrix_root(rows):
    mix = RNG.standard_normal((2, 32, 32))
    a, b = (RNG.standard_normal((rows, 32)) @ m + i for i, m in enumerate(mix))
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(cov_a @ cov_b).real
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(cov_a + cov_b - 2 * root)
    assert squared_frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)
    assert squared_frechet_distance(a, a) == pytest.approx(0, abs=1e-6 * np.trace(cov_a))


def test_one_feature_and_undefined_distances():
    assert squared_frechet_distance(np.array([[0.0], [2.0]]), np.array([[5.0], [5.0]])) == pytest.approx(16 + 2)
    assert squared_frechet_distance(np.zeros((1, 3)), np.ones((5, 3))) is None
    assert squared_frechet_distance(np.full((5, 3), np.nan), np.ones((5, 3))) is None


def test_features_are_mean_and_deviation_of_band_groups():
    mel = torch.from_numpy(RNG.uniform(0, 1, (3, 128, 20)))
    groups = 80 * mel.numpy().reshape(3, 16, 8, 20).mean(2)
    np.testing.assert_allclose(features(mel), np.concatenate([groups.mean(-1), groups.std(-1)], axis=1))
    assert features(mel[:, :5]).shape == (3, 10) and features(mel[:, :100]).shape == (3, 32)


def copies_and_silence(test: Split, train: Split, to_mel, gain: float = 1.0) -> dict[str, float | None]:
    """Scores of reconstructions that are copies with this gain, and of silent samples."""
    sets = FrechetSets(len(test), to_mel)
    for x, _ in window_loader(test, CPU).batches(7):
        sets.add_reconstructions(x, gain * x)
    sets.add("samples", torch.zeros(len(test), 1, *test.shape))
    return sets.score(window_loader(train, CPU), 7)


def test_copy_is_below_the_floor_and_silence_above():
    metrics = copies_and_silence(split(1, 60), split(0, 60), peak_normalised_mel(MelConfig(), MelConfig(bands=6)))
    assert metrics["frechet_reconstructions"] == pytest.approx(0, abs=1e-6)
    assert 0 < metrics["frechet_floor"] < metrics["frechet_samples"] / 10


@pytest.mark.parametrize(("max_windows", "size"), [(12, 12), (512, 30)])
def test_all_sets_have_the_same_size(monkeypatch, max_windows, size):
    monkeypatch.setattr(frechet, "MAX_WINDOWS", max_windows)
    seen = {}
    sets = FrechetSets(30, lambda x: seen.setdefault("test", []).extend(x.flatten(1).tolist()) or x.squeeze(1))
    monkeypatch.setattr(frechet, "squared_frechet_distance", lambda a, b: (len(a), len(b)))
    windows = torch.arange(30.0).reshape(30, 1, 1, 1).expand(30, 1, 2, 3)
    for part in windows.split(5):
        sets.add_reconstructions(part, part)
    assert sorted({row[0] for row in seen["test"]}) == frechet.evenly_spaced(30, max_windows).tolist()
    sets.add("samples", windows[:5])
    sets.add("samples", windows)
    assert set(sets.score(window_loader(split(0, 60), CPU), 4).values()) == {(size, size)}


def test_no_samples_no_distance():
    sets = FrechetSets(30, lambda x: x.squeeze(1))
    for x, _ in window_loader(split(1), CPU).batches(8):
        sets.add_reconstructions(x, x)
    assert sets.score(window_loader(split(0), CPU), 7)["frechet_samples"] is None


def test_waveform_gain_does_not_matter():
    time = np.arange(6000) / 3000
    tones = np.stack([np.sin(2 * np.pi * f * time) for f in np.linspace(100, 900, 20)])
    stored = (8000 * tones).astype(np.int16)
    data = Split("waveform", (6000,), stored, np.arange(20), np.arange(20).astype(str), np.resize(LABELS, 20))
    to_mel = peak_normalised_mel(MelConfig(), WaveformConfig())
    quiet, loud, silent = (to_mel(torch.from_numpy(gain * tones[:2, None]).float())[0] for gain in (0.01, 0.5, 0))
    assert loud.shape == MelConfig().shape(2.0) and loud.max() == 1 and silent.max() == 0
    assert (quiet - loud).abs().mean() < 0.02
    metrics = copies_and_silence(data, data, to_mel, gain=0.5)
    assert metrics["frechet_reconstructions"] < 1 < metrics["frechet_samples"]
    assert metrics["frechet_floor"] == pytest.approx(0, abs=1e-6)
