"""Scores of reconstructions against other implementations."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity

from pipeline.audio.inversion import Inversion
from pipeline.audio.mel import LogMel
from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.audio.resample import resample
from pipeline.dataset.loader import window_loader
from pipeline.dataset.sampler import fixed_noise
from pipeline.dataset.split import Split
from pipeline.evaluation import reconstruction
from pipeline.evaluation.frechet import FrechetSets
from pipeline.evaluation.reconstruction import ReconstructionScores, constant_predictors, score
from pipeline.metrics.config import EvaluateConfig
from pipeline.models.vae import VAE
from pipeline.reference.common_scores import CommonScorer
from pipeline.reference.read import Reference

CPU = torch.device("cpu")
MEL = MelConfig(sample_rate=2000, n_fft=64, hop_length=32, bands=8)
SECONDS = 0.18
SHAPE = MEL.shape(SECONDS)
AUDIO_ROWS = [1, 4, 9]
DESCRIPTION = {
    "network": {"type": "conv2d", "channels": [4]},
    "bottleneck": {"type": "gaussian", "latent": 3},
    "kind": "mel",
    "shape": SHAPE,
    "stats": {"mean": [0.5] * SHAPE[0], "std": [0.3] * SHAPE[0]},
    "representation": {},
}


def split(number: int, seed: int) -> Split:
    values = np.random.default_rng(seed).uniform(-80, 0, (number, *SHAPE)).astype(np.float16)
    ids = np.arange(number)
    labels = np.array([f"l{i * 3 // number}" for i in range(number)])
    peaks = np.linspace(-10, 10, number).astype(np.float32)
    return Split("mel", SHAPE, values, ids + 100, ids.astype(str), labels, peaks)


TRAIN, VALID, TEST = split(20, 0), split(10, 1), split(11, 2)


def frechet_sets(test: Split) -> FrechetSets:
    return FrechetSets(len(test), lambda x: x.reshape(len(x), 1, -1))


def common_scorer(representation: MelConfig | WaveformConfig = MEL) -> CommonScorer:
    """With the test windows as their own reference, three of them with audio."""
    ids = {"window_id": TEST.window_ids, "track_id": TEST.track_ids, "label": TEST.labels, "group": TEST.labels}
    audio = np.random.default_rng(5).uniform(-1, 1, (3, 360)).astype(np.float32)
    windows = pd.DataFrame({**ids, "peak_db": TEST.peak_db})
    error = np.zeros((len(TEST), MEL.bands), np.float32)
    reference = Reference(MEL, windows, TEST.values, error, np.array(AUDIO_ROWS), np.array([0, -1, 1]), audio)
    inversion = Inversion(representation, 1) if isinstance(representation, MelConfig) else None
    return CommonScorer(reference, representation, SECONDS, inversion, EvaluateConfig())


def score_model(model, batch_size: int = 4) -> ReconstructionScores:
    test, valid = (window_loader(split, CPU, model.labels) for split in (TEST, VALID))
    return score(model, test, valid, common_scorer(), frechet_sets(TEST), batch_size)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return VAE(DESCRIPTION).eval()


def unit(split: Split) -> np.ndarray:
    return split.values.astype(np.float64) / 80 + 1


def test_scores_agree_with_numpy_scikit_learn_and_scipy(model):
    scores = score_model(model)
    with torch.no_grad():
        x, v = (torch.tensor(unit(s), dtype=torch.float32).unsqueeze(1) for s in (TEST, VALID))
        y, code = model(x)
        variance = ((model(v, fixed_noise(len(v), 3))[0] - v) ** 2).mean().item()
        flat_draw = model(x, fixed_noise(len(x), 3))[0].flatten(1).double().numpy()
    flat_x, flat_y = x.flatten(1).double().numpy(), y.flatten(1).double().numpy()
    cosine = np.diag(cosine_similarity(flat_x, flat_y))
    np.testing.assert_allclose(scores.windows["mse"], ((flat_x - flat_y) ** 2).mean(1), rtol=1e-5)
    np.testing.assert_allclose(scores.windows["cosine_similarity"], cosine, rtol=1e-5)
    likelihood = stats.norm(flat_draw, np.sqrt(variance)).logpdf(flat_x).sum(1)
    np.testing.assert_allclose(scores.windows["elbo"], likelihood - scores.windows["kl"], rtol=1e-4)
    np.testing.assert_allclose(scores.latents, code.mean.numpy(), atol=1e-6)
    assert scores.numbers["variance_ratio"] == pytest.approx(flat_y.var(0).mean() / flat_x.var(0).mean(), rel=1e-4)


def test_the_error_of_the_components_alone_is_that_of_pca(model):
    assert "mse_components" not in score_model(model).windows
    network = {"type": "conv2d", "components": 3, "encoder": "network", "channels": [4]}
    with_components = VAE(DESCRIPTION | {"network": network}).eval()
    train = torch.tensor(unit(TRAIN), dtype=torch.float32).unsqueeze(1)
    with_components.fit(lambda: [(train, torch.zeros(len(train)))])
    pca = PCA(3).fit(unit(TRAIN).reshape(len(TRAIN), -1))
    x = unit(TEST).reshape(len(TEST), -1)
    expected = ((pca.inverse_transform(pca.transform(x)) - x) ** 2).mean(1)
    np.testing.assert_allclose(score_model(with_components).windows["mse_components"], expected, rtol=1e-4)
    two = DESCRIPTION["bottleneck"] | {"latent": 2}
    assert "mse_components" not in score_model(VAE(DESCRIPTION | {"network": network, "bottleneck": two})).windows


def test_streamed_windows_have_the_scores_of_resident_ones(model, monkeypatch):
    resident, predictors = score_model(model), constant_predictors(TRAIN, TEST, 4)
    streaming = partial(reconstruction.window_loader, max_resident_bytes=0)
    monkeypatch.setattr(reconstruction, "window_loader", streaming)
    streamed = score_model(model)
    for actual, expected in (
        (streamed.windows, resident.windows),
        (constant_predictors(TRAIN, TEST, 4), predictors),
    ):
        assert all(np.array_equal(actual[name], values, equal_nan=True) for name, values in expected.items())
    assert np.array_equal(streamed.latents, resident.latents) and streamed.numbers == resident.numbers


def test_constant_predictors():
    errors = constant_predictors(TRAIN, TEST, 4)
    x = unit(TEST)
    np.testing.assert_allclose(errors["mse_zero"], (x**2).mean((1, 2)), rtol=1e-4)
    np.testing.assert_allclose(errors["mse_mean"], ((x - unit(TRAIN).mean(0)) ** 2).mean((1, 2)), rtol=1e-4)


def test_mel_with_the_common_settings_is_scored_directly(model):
    """Its audio does not depend on the batches."""
    scores = score_model(model)
    with torch.no_grad():
        x = torch.tensor(unit(TEST), dtype=torch.float32)
        y = model(x.unsqueeze(1))[0].squeeze(1).clamp_min(0)
    errors = ((x - y) ** 2).mean(2)
    np.testing.assert_allclose(scores.tables["bands"]["mse"], errors.mean(0), rtol=1e-4)
    np.testing.assert_allclose(scores.windows["mel_mse"], errors.mean(1), rtol=1e-4)
    assert np.flatnonzero(~np.isnan(scores.windows["audio_stft_distance"])).tolist() == AUDIO_ROWS
    assert scores.audio.shape == (3, 360) and scores.audio.any(1).all()
    np.testing.assert_allclose(score_model(model, batch_size=3).audio, scores.audio, atol=1e-4)


def test_waveform_is_scored_on_its_own_scale_and_on_the_common_log_mel():
    """1,000 Hz reach half of the common log-mel's bands."""
    config = WaveformConfig(sample_rate=1000)
    values = (8000 * np.random.default_rng(3).standard_normal((11, 180))).astype(np.int16)
    test = Split("waveform", (180,), values, TEST.window_ids, TEST.track_ids, TEST.labels)
    torch.manual_seed(0)
    description = {
        "network": {"type": "fc", "layers": 1, "width": 8, "frame": 20},
        "kind": "waveform",
        "shape": (180,),
        "stats": {"mean": 0.0, "std": 0.3},
        "representation": config.model_dump(),
    }
    model = VAE(DESCRIPTION | description).eval()
    scorer = common_scorer(config)
    loader = window_loader(test, CPU)
    scores = score(model, loader, loader, scorer, frechet_sets(test), 4)
    with torch.no_grad():
        x = torch.from_numpy(values / 32767).float()
        y = model(x.unsqueeze(1))[0].squeeze(1)
    for name, expected in reconstruction.own_scale_metrics(y, x, 1000).items():
        np.testing.assert_allclose(scores.windows[name], expected, rtol=1e-4, err_msg=name)
    assert {"si_sdr", "stft_distance", "log_spectral_distance", "mel_mse", "kl"} <= set(scores.windows)
    audio = np.stack([resample(window, 1000, 2000) for window in y.numpy()])
    log_mel = LogMel(MEL)
    in_bandwidth = scorer.bands.groups["bandwidth"]
    for row in range(len(test)):
        db = log_mel(audio[row]).numpy() - TEST.peak_db[row]
        errors = np.square(np.maximum(db / 80 + 1, 0) - unit(TEST)[row])
        assert scores.windows["mel_mse"][row] == pytest.approx(errors.mean(), rel=1e-3)
        assert scores.windows["mel_mse_bandwidth"][row] == pytest.approx(errors[in_bandwidth].mean(), rel=1e-3)
    np.testing.assert_allclose(scores.audio, audio[AUDIO_ROWS], atol=1e-6)
    assert scorer.bands.bandwidth_hz == 500 and 3 <= in_bandwidth.sum() <= 5
