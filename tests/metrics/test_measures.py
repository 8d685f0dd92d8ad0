"""Every distance: compared with another implementation on random arrays, and finite for silence."""

import librosa
import numpy as np
import pytest
import torch
from sklearn.metrics import mean_squared_error
from sklearn.metrics.pairwise import paired_cosine_distances
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio
from torchmetrics.functional.regression import cosine_similarity
from torchmetrics.functional.regression import mean_squared_error as torchmetrics_mse

from pipeline.metrics import measures

RNG = np.random.default_rng(0)
RATE = 3000
DISTANCES = {
    "mse": measures.mse,
    "si_sdr": measures.si_sdr,
    "stft_distance": measures.stft_distance,
    "log_spectral_distance": lambda y, x: measures.log_spectral_distance(y, x, RATE),
}


def pair(number: int = 5, length: int = 6000, noise: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    """Waveforms of several gains, and noisy copies of them with other gains."""
    gain = np.geomspace(0.001, 0.5, number)[:, None]
    x = gain * RNG.standard_normal((number, length))
    y = RNG.uniform(0.3, 2, (number, 1)) * (x + noise * gain * RNG.standard_normal(x.shape))
    return torch.from_numpy(y).float(), torch.from_numpy(x).float()


def test_squared_error_and_cosine_equal_scikit_learn_and_torchmetrics():
    y, x = (v.reshape(5, 60, 100) for v in pair())
    flat_y, flat_x = y.flatten(1).double(), x.flatten(1).double()
    mse = measures.mse(y, x).numpy()
    np.testing.assert_allclose(mse, mean_squared_error(flat_x.T, flat_y.T, multioutput="raw_values"), rtol=1e-5)
    assert mse.mean() == pytest.approx(float(torchmetrics_mse(y.flatten(), x.flatten())), rel=1e-5)
    cosine = measures.cosine_similarity(y, x).numpy()
    np.testing.assert_allclose(cosine, 1 - paired_cosine_distances(flat_x, flat_y), rtol=1e-9)
    np.testing.assert_allclose(cosine, cosine_similarity(flat_y, flat_x, "none").numpy(), rtol=1e-6)


@pytest.mark.parametrize("noise", [10.0, 0.3, 0.01])
def test_si_sdr_equals_torchmetrics(noise):
    y, x = pair(noise=noise)
    expected = scale_invariant_signal_distortion_ratio(y.double(), x.double())
    np.testing.assert_allclose(measures.si_sdr(y, x).numpy(), expected.numpy(), atol=1e-3)
    assert torch.allclose(measures.si_sdr(7 * y, x), measures.si_sdr(y, x))


def librosa_magnitudes(audio: np.ndarray, size: int) -> np.ndarray:
    """Magnitudes; a sine of amplitude 1 has a peak of 0.5."""
    spectrum = librosa.stft(audio.astype(np.float64), n_fft=size, hop_length=size // 4, pad_mode="constant")
    return np.abs(spectrum) / (size / 2)


def test_log_spectral_distance_equals_that_of_librosas_spectra():
    y, x = pair()
    size = measures.frame_length(RATE)
    assert size == 256 and measures.frame_length(22050) == 2048
    for a, b, distance in zip(y.numpy(), x.numpy(), measures.log_spectral_distance(y, x, RATE).tolist(), strict=True):
        spectra = [librosa_magnitudes(v, size) ** 2 for v in (a, b)]
        amin = max(spectra[1].max() * 1e-8, 1e-12)
        db_y, db_x = (librosa.power_to_db(s, amin=amin, top_db=None) for s in spectra)
        assert distance == pytest.approx(np.sqrt(((db_y - db_x) ** 2).mean(0)).mean(), rel=1e-3)


def test_stft_distance_equals_that_of_librosas_spectra():
    y, x = pair()
    for a, b, distance in zip(y.numpy(), x.numpy(), measures.stft_distance(y, x).tolist(), strict=True):
        distances = []
        for size in (2048, 1024, 512, 256, 128):
            spectra = [librosa_magnitudes(v, size) for v in (a, b)]
            spectrum_y, spectrum_x = (np.maximum(s, max(1e-4 * spectra[1].max(), 1e-6)) for s in spectra)
            relative = np.linalg.norm(spectrum_y - spectrum_x) / np.linalg.norm(spectrum_x)
            distances.append(relative + np.abs(np.log(spectrum_y / spectrum_x)).mean())
        assert distance == pytest.approx(np.mean(distances), rel=1e-3)


def test_mel_log_spectral_distance_is_in_decibels():
    mel = torch.rand(3, 20, 30)
    assert measures.mel_log_spectral_distance(mel + 0.1, mel).tolist() == pytest.approx([8.0] * 3, rel=1e-4)
    y, x = torch.rand(2, 3, 20, 30).double()
    db = 80 * (y - x).numpy()
    expected = [np.mean([np.sqrt((frame**2).mean()) for frame in window.T]) for window in db]
    np.testing.assert_allclose(measures.mel_log_spectral_distance(y, x), expected)


def test_out_of_range_is_a_share():
    values = torch.tensor([[-1.1, -1.0, 0.0, 1.0], [1.5, 2.0, -3.0, 0.5]])
    assert measures.out_of_range(values, values).tolist() == [0.25, 0.75]  # waveforms: below -1 or above 1
    mels = values.reshape(2, 2, 2)
    assert measures.out_of_range(mels, mels).tolist() == [0.5, 0.75]  # below 0 or above 1


@pytest.mark.parametrize("length", [1, 100, 6000])
@pytest.mark.parametrize("name", DISTANCES)
def test_distances_of_silent_equal_loud_and_short_windows_are_finite(name, length):
    noise = torch.from_numpy(RNG.uniform(-1, 1, (1, length))).float()
    silence = torch.zeros(1, length)
    pairs = [(silence, noise), (noise, silence), (silence, silence), (noise, noise), (1e4 * noise, 1e-4 * noise)]
    distances = [float(DISTANCES[name](y, x)) for y, x in pairs]
    assert np.isfinite(distances).all()
    if name == "si_sdr":
        assert distances == [-60, -60, -60, 60, 60]
    else:
        assert distances[2:4] == [0, 0] and distances[0] > 0 and distances[1] > 0


def test_each_window_is_scored_alone():
    """In a mean over the batch, a loud window would dominate."""
    y, x = pair()
    for name, distance in DISTANCES.items():
        alone = torch.cat([distance(y[i : i + 1], x[i : i + 1]) for i in range(len(x))])
        assert torch.allclose(distance(y, x), alone, rtol=1e-5), name
