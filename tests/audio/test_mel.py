"""The mel is librosa's, in what is computed and in what is stored."""

import librosa
import numpy as np
import pytest

from pipeline.audio.mel import LogMel
from pipeline.audio.scale import to_db, to_unit


def noise_and_tones(rate: int, seconds: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tones = sum(a * np.sin(2 * np.pi * f * time) for a, f in zip((0.3, 0.1, 0.03), (110, 1234, 5000), strict=True))
    fade = np.linspace(0, 1, len(time)) ** 4  # from near silence, so that the floor is reached
    return ((tones + 0.02 * rng.standard_normal(len(time))) * fade).astype(np.float32)


@pytest.mark.parametrize(
    ("rate", "n_fft", "hop", "bands", "seconds"),
    [
        (22050, 2048, 512, 128, 5.0),
        (22050, 1024, 256, 128, 3.0),
        (22050, 2048, 512, 256, 1.0),
        (16000, 512, 160, 40, 1.0),
    ],
)
def test_equals_librosa(rate, n_fft, hop, bands, seconds):
    audio = noise_and_tones(rate, seconds, seed=1)
    mel = librosa.feature.melspectrogram(y=audio, sr=rate, n_fft=n_fft, hop_length=hop, n_mels=bands)
    expected = librosa.power_to_db(mel, ref=np.max, top_db=80)
    ours, peak = LogMel(rate, n_fft, hop, bands)(audio)
    assert ours.shape == expected.shape == (bands, 1 + len(audio) // hop)
    assert np.abs(ours - expected).max() < 1e-3  # dB
    assert np.abs(ours.astype(np.float16).astype(np.float32) - expected).max() < 0.04
    assert peak == pytest.approx(10 * np.log10(mel.max()), abs=1e-3)
    assert ours.max() == 0 and ours.min() == -80


def test_five_seconds_are_128_by_216():
    assert LogMel(22050, 2048, 512, 128)(noise_and_tones(22050, 5.0, 0))[0].shape == (128, 216)


def test_scales_are_inverse_and_bounded():
    db = np.array([-80.0, -40.0, 0.0])
    np.testing.assert_allclose(to_unit(db, "mel"), [0, 0.5, 1])
    np.testing.assert_allclose(to_db(to_unit(db, "mel")), db)
    np.testing.assert_allclose(to_unit(np.array([-32767.0, 0.0, 32767.0]), "waveform"), [-1, 0, 1])
