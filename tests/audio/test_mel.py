"""The log-mel equals that of librosa."""

import librosa
import numpy as np
import pytest
import torch

from pipeline.audio.mel import LogMel
from pipeline.audio.mel_scale import band_edges, mel_filters
from pipeline.audio.representation import MelConfig
from pipeline.audio.scale import below_peak, to_db, to_unit


def noise_and_tones(rate: int, seconds: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tones = sum(a * np.sin(2 * np.pi * f * time) for a, f in zip((0.3, 0.1, 0.03), (110, 1234, 5000), strict=True))
    fade = np.linspace(0, 1, len(time)) ** 4  # starts near silence, to reach the floor
    return ((tones + 0.02 * rng.standard_normal(len(time))) * fade).astype(np.float32)


@pytest.mark.filterwarnings("ignore:n_fft=4096 is too large")
@pytest.mark.parametrize(
    ("rate", "n_fft", "hop", "bands", "seconds"),
    [
        (22050, 2048, 512, 128, 5.0),
        (22050, 1024, 256, 128, 3.0),
        (22050, 2048, 512, 256, 1.0),
        (16000, 512, 160, 40, 1.0),
        (22050, 2048, 512, 128, 30.0),  # 1292 frames
        (22050, 512, 64, 20, 3.0),  # 1034 frames
        (22050, 4096, 512, 128, 0.1),  # shorter than a frame
        (8000, 513, 100, 17, 1.0),  # an odd frame, and a last group of one band
    ],
)
def test_log_mel_equals_librosa_before_and_after_storage(rate, n_fft, hop, bands, seconds):
    audio = noise_and_tones(rate, seconds, seed=1)
    power = librosa.feature.melspectrogram(y=audio, sr=rate, n_fft=n_fft, hop_length=hop, n_mels=bands)
    config = MelConfig(sample_rate=rate, n_fft=n_fft, hop_length=hop, bands=bands)
    mel = LogMel(config)(audio)
    assert tuple(mel.shape) == power.shape == config.shape(seconds)
    loud = power > 1e-9 * power.max()  # below -90 dB, both float32 products are mostly rounding errors
    expected = 10 * np.log10(np.maximum(power, 1e-10))
    assert np.abs(mel.numpy() - expected)[loud].max() < 1e-3  # dB
    stored = below_peak(mel)
    expected = librosa.power_to_db(power, ref=np.max, top_db=80)
    assert np.abs(stored.numpy() - expected).max() < 1e-3
    assert np.abs(stored.half().float().numpy() - expected).max() < 0.04
    assert stored.max() == 0 and stored.min() >= -80


@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize(("rate", "n_fft", "bands"), [(22050, 2048, 128), (3000, 256, 100), (8000, 513, 17)])
def test_filters_equal_those_of_librosa(rate, n_fft, bands):
    expected = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=bands)
    assert mel_filters(rate, n_fft, bands).tobytes() == expected.tobytes()
    np.testing.assert_array_equal(band_edges(rate, bands), librosa.mel_frequencies(bands + 2, fmin=0, fmax=rate / 2))


def test_silence_is_minus_100_db_not_minus_infinity():
    config = MelConfig(sample_rate=8000, n_fft=512, hop_length=256, bands=20)
    assert LogMel(config)(np.zeros(8000, np.float32)).unique().tolist() == pytest.approx([-100])


def test_to_unit_and_to_db_are_inverse():
    db = np.array([-80.0, -40.0, 0.0])
    np.testing.assert_allclose(to_unit(db, "mel"), [0, 0.5, 1])
    np.testing.assert_allclose(to_db(to_unit(db, "mel")), db)
    np.testing.assert_allclose(to_unit(np.array([-32767.0, 0.0, 32767.0]), "waveform"), [-1, 0, 1])


def test_each_window_has_its_own_peak():
    db = torch.tensor([[[0.0, -50.0]], [[-90.0, -200.0]]])
    assert below_peak(db).tolist() == [[[0, -50]], [[0, -80]]]
