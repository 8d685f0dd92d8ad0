"""Every distance: compared with another implementation on random arrays, and finite for silence."""

import librosa
import numpy as np
import pytest
import torch
import torchaudio
from sklearn.metrics import mean_squared_error
from sklearn.metrics.pairwise import paired_cosine_distances
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio
from torchmetrics.functional.regression import cosine_similarity
from torchmetrics.functional.regression import mean_squared_error as torchmetrics_mse

from pipeline.metrics import measures, visqol
from tests import artefacts

RNG = np.random.default_rng(0)
RATE = 3000
DISTANCES = {
    "mse": measures.mse,
    "si_sdr": measures.si_sdr,
    "stft_distance": measures.stft_distance,
    "log_spectral_distance": lambda y, x: measures.log_spectral_distance(y, x, RATE),
    "loudness_difference": lambda y, x: measures.loudness_difference(y, x, RATE),
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


@pytest.mark.parametrize("length", [6000, 1200])
def test_stft_distance_equals_that_of_librosas_spectra(length):
    """The definition of the Descript Audio Codec: L1 of magnitudes, and of log10 of their squares."""
    y, x = pair(length=length)
    y[0], x[0] = 1e-3 * y[0], 1e-3 * x[0]  # below the floor
    for a, b, distance in zip(y.numpy(), x.numpy(), measures.stft_distance(y, x).tolist(), strict=True):
        expected = 0.0
        for size in (2048, 512):
            pairs = [np.pad(v.astype(np.float64), (0, max(0, size - length))) for v in (a, b)]
            mags = [np.abs(librosa.stft(v, n_fft=size, hop_length=size // 4, pad_mode="reflect")) for v in pairs]
            logs = [np.log10(np.maximum(m, 1e-5) ** 2) for m in mags]
            expected += np.abs(mags[0] - mags[1]).mean() + np.abs(logs[0] - logs[1]).mean()
        assert distance == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_loudness_difference_equals_torchaudios(rate):
    y, x = (v[2:] / 10 for v in pair(length=3 * rate))  # not silent, and torchaudio's filters clip at 1
    loudness = [torchaudio.functional.loudness(v[:, None], rate) for v in (y, x)]
    expected = (loudness[0] - loudness[1]).abs().numpy()
    np.testing.assert_allclose(measures.loudness_difference(y, x, rate).numpy(), expected, atol=0.02)
    assert float(measures.loudness_difference(2 * x, x, rate)[-1]) == pytest.approx(6.02, abs=0.05)
    assert float(measures.loudness_difference(0 * x, 0 * x, rate).max()) == 0
    assert measures.loudness_difference(x, x, 2000).isnan().all()


def test_kernel_distance_is_an_unbiased_mmd():
    """By sums over pairs, and by its mean over draws of two equal distributions, apart and as pairs."""
    a, b = RNG.standard_normal((6, 3)) + 1, RNG.standard_normal((6, 3))
    width = np.median([np.linalg.norm(b[i] - b[j]) for i in range(6) for j in range(i)])

    def kernel(one, other):
        pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
        return np.mean([np.exp(-np.square(one[i] - other[j]).sum() / (2 * width**2)) for i, j in pairs])

    assert measures.kernel_distance(a, b) == pytest.approx(100 * (kernel(a, a) + kernel(b, b) - 2 * kernel(a, b)))
    for share in (0.0, 0.9):  # of each row that its pair has too
        x, y = RNG.standard_normal((2, 2000, 6, 3))
        draws = [measures.kernel_distance(share * v + (1 - share**2) ** 0.5 * u, v) for u, v in zip(x, y, strict=True)]
        assert abs(np.mean(draws)) < 4 * np.std(draws) / 2000**0.5
    biased = [measures.squared_frechet_distance(*RNG.standard_normal((2, 6, 3))) for _ in range(200)]
    assert np.mean(biased) > 10 * np.std(biased) / 200**0.5  # why few windows get no Frechet distance
    assert measures.kernel_distance(a, a) == pytest.approx(0, abs=1e-12)
    assert measures.kernel_distance(a[:1], b[:1]) is measures.kernel_distance(a * np.nan, b) is None


def test_kernel_distance_of_many_rows_is_that_of_some(monkeypatch):
    a, b = RNG.standard_normal((2, 60, 3))
    expected = measures.kernel_distance(a[::3], b[::3])
    monkeypatch.setattr(measures, "MAX_ROWS", 25)
    assert measures.kernel_distance(a, b) == expected


def test_visqol_is_high_for_equal_and_lower_for_noisy_audio():
    pytest.importorskip("numba")  # as librosa does, before visqol-python could choose its threads
    pytest.importorskip("visqol", reason="needs `make setup EXTRAS=visqol`")
    threads, score = torch.get_num_threads(), visqol.load()
    music = torch.from_numpy(artefacts.music(0, 22050, 3.0).astype(np.float32))[None]
    equal, noisy = (float(score(music + noise * torch.randn_like(music), music, 22050)) for noise in (0.0, 0.05))
    assert 4.5 < equal <= 5 and 1 <= noisy < equal - 0.5
    assert score(0 * music, music, 22050).tolist() == [1] and score(music, 0 * music, 22050).isnan().all()
    assert torch.get_num_threads() == threads  # numba may set OpenMP's; then all that follows waits for busy cores


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
