"""Scores against other implementations."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.metrics.pairwise import cosine_similarity

from pipeline.audio.mel import LogMel
from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.audio.resample import resample
from pipeline.dataset.batches import fixed_noise
from pipeline.dataset.split import Split
from pipeline.evaluation import reconstruction
from pipeline.evaluation.reconstruction import Scores, baselines, score
from pipeline.metrics.config import EvaluateConfig
from pipeline.models.vae import build
from pipeline.reference.common_scores import CommonScores
from pipeline.reference.read import Reference

CPU = torch.device("cpu")
MEL = MelConfig(sample_rate=2000, n_fft=64, hop_length=32, bands=8)
SECONDS = 0.18
SHAPE = MEL.shape(SECONDS)
SETTINGS = EvaluateConfig(mel=MEL, examples=2, heard=3, griffin_lim_iterations=1)


def split(number: int, seed: int) -> Split:
    values = np.random.default_rng(seed).uniform(-80, 0, (number, *SHAPE)).astype(np.float16)
    ids = np.arange(number)
    labels = np.array([f"l{i * 3 // number}" for i in range(number)])
    return Split(
        "mel", SHAPE, values, ids + 100, ids.astype(str), labels, np.linspace(-10, 10, number).astype(np.float32)
    )


TRAIN, VALID, TEST = split(20, 0), split(10, 1), split(11, 2)


def shared(representation: MelConfig | WaveformConfig = MEL) -> CommonScores:
    """The test windows as their own reference, three of them heard."""
    ids = {"window_id": TEST.window_ids, "track_id": TEST.track_ids, "label": TEST.labels, "group": TEST.labels}
    audio = np.random.default_rng(5).uniform(-1, 1, (3, 360)).astype(np.float32)
    frame = pd.DataFrame({**ids, "peak_db": TEST.peak_db})
    error = np.zeros((len(TEST), MEL.bands), np.float32)
    reference = Reference(frame, TEST.values, error, np.array([1, 4, 9]), np.array([0, -1, 1]), audio)
    return CommonScores(reference, representation, SECONDS, SETTINGS)


def scored(model) -> Scores:
    return score(model, TEST, VALID, shared(), 4, CPU)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build(
        {
            "network": {"type": "conv2d", "channels": [4]},
            "bottleneck": {"type": "gaussian", "latent": 3},
            "kind": "mel",
            "shape": SHAPE,
            "stats": {"mean": [0.5] * SHAPE[0], "std": [0.3] * SHAPE[0]},
            "representation": {},
        }
    ).eval()


def unit(split: Split) -> np.ndarray:
    return split.values.astype(np.float64) / 80 + 1


def test_scores_agree_with_numpy_scikit_learn_and_scipy(model):
    found = scored(model)
    with torch.no_grad():
        x, v = (torch.tensor(unit(s), dtype=torch.float32).unsqueeze(1) for s in (TEST, VALID))
        y, code = model(x)
        noise = ((model(v, fixed_noise(len(v), 3))[0] - v) ** 2).mean().item()
        flat_draw = model(x, fixed_noise(len(x), 3))[0].flatten(1).double().numpy()
    flat_x, flat_y = x.flatten(1).double().numpy(), y.flatten(1).double().numpy()
    np.testing.assert_allclose(found.windows["mse"], ((flat_x - flat_y) ** 2).mean(1), rtol=1e-5)
    np.testing.assert_allclose(
        found.windows["cosine_similarity"], np.diag(cosine_similarity(flat_x, flat_y)), rtol=1e-5
    )
    likelihood = stats.norm(flat_draw, np.sqrt(noise)).logpdf(flat_x).sum(1)
    np.testing.assert_allclose(found.windows["elbo"], likelihood - found.windows["kl"], rtol=1e-4)
    np.testing.assert_allclose(found.latents, code.mean.numpy(), atol=1e-6)
    assert found.use["variance_ratio"] == pytest.approx(flat_y.var(0).mean() / flat_x.var(0).mean(), rel=1e-4)


def test_windows_from_disk_are_scored_as_those_in_memory_are(model, monkeypatch):
    expected, baseline = scored(model), baselines(TRAIN, TEST, 4)
    monkeypatch.setattr(reconstruction, "window_loader", partial(reconstruction.window_loader, budget=0))
    found = scored(model)
    for ours, theirs in ((found.windows, expected.windows), (baselines(TRAIN, TEST, 4), baseline)):
        assert all(np.array_equal(ours[name], values, equal_nan=True) for name, values in theirs.items())
    assert np.array_equal(found.latents, expected.latents) and found.use == expected.use


def test_baselines(model):
    found = baselines(TRAIN, TEST, 4)
    x = unit(TEST)
    np.testing.assert_allclose(found["mse_zero"], (x**2).mean((1, 2)), rtol=1e-4)
    np.testing.assert_allclose(found["mse_mean"], ((x - unit(TRAIN).mean(0)) ** 2).mean((1, 2)), rtol=1e-4)


def test_a_mel_of_the_common_settings_is_scored_as_it_is(model):
    """And what is heard of it is the same whatever the batches."""
    found = scored(model)
    with torch.no_grad():
        x = torch.tensor(unit(TEST), dtype=torch.float32)
        y = model(x.unsqueeze(1))[0].squeeze(1).clamp_min(0)
    errors = ((x - y) ** 2).mean(2)
    np.testing.assert_allclose(found.errors, errors, rtol=1e-4)
    np.testing.assert_allclose(found.windows["mel_mse"], errors.mean(1), rtol=1e-4)
    assert np.flatnonzero(~np.isnan(found.windows["audio_stft_distance"])).tolist() == [1, 4, 9]
    assert found.audio.shape == (3, 360) and found.audio.any(1).all()
    np.testing.assert_allclose(score(model, TEST, VALID, shared(), 3, CPU).audio, found.audio, atol=1e-4)


def test_a_waveform_is_scored_as_one_and_on_the_common_log_mel():
    """1,000 Hz reach half of the common log-mel's bands."""
    config = WaveformConfig(sample_rate=1000)
    values = (8000 * np.random.default_rng(3).standard_normal((11, 180))).astype(np.int16)
    test = Split("waveform", (180,), values, TEST.window_ids, TEST.track_ids, TEST.labels)
    torch.manual_seed(0)
    model = build(
        {
            "network": {"type": "fc", "layers": 1, "width": 8, "frame": 20},
            "bottleneck": {"type": "gaussian", "latent": 3},
            "kind": "waveform",
            "shape": (180,),
            "stats": {"mean": 0.0, "std": 0.3},
            "representation": config.model_dump(),
        }
    ).eval()
    whole = shared(config)
    found = score(model, test, test, whole, 4, CPU)
    with torch.no_grad():
        x = torch.from_numpy(values / 32767).float()
        y = model(x.unsqueeze(1))[0].squeeze(1)
    for name, expected in reconstruction.own(y, x, 1000).items():
        np.testing.assert_allclose(found.windows[name], expected, rtol=1e-4, err_msg=name)
    assert {"si_sdr", "stft_distance", "log_spectral_distance", "mel_mse", "kl"} <= set(found.windows)
    audio = np.stack([resample(window, 1000, 2000) for window in y.numpy()])
    log_mel = LogMel(MEL.sample_rate, MEL.n_fft, MEL.hop_length, MEL.bands)
    for row in range(len(test)):
        db = log_mel(audio[row]).numpy() - TEST.peak_db[row]
        errors = np.square(np.maximum(db / 80 + 1, 0) - unit(TEST)[row])
        assert found.windows["mel_mse"][row] == pytest.approx(errors.mean(), rel=1e-3)
        reached = whole.bands.groups["reach"]
        assert found.windows["mel_mse_reach"][row] == pytest.approx(errors[reached].mean(), rel=1e-3)
    np.testing.assert_allclose(found.audio, audio[[1, 4, 9]], atol=1e-6)
    assert whole.bands.reach_hz == 500 and 3 <= reached.sum() <= 5
