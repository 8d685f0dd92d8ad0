"""Mel to audio: the audio has the given mel and loudness, and is the same each time."""

import librosa
import numpy as np
import pytest
from sklearn.decomposition import non_negative_factorization

from pipeline.audio.griffin_lim import UPDATES, griffin_lim, invert_filters, mel_to_audio
from pipeline.audio.mel_scale import mel_filters
from pipeline.audio.representation import MelConfig

MEL = MelConfig()
SECONDS = 2
SAMPLES = SECONDS * MEL.sample_rate


def to_mel(audio: np.ndarray, config: MelConfig = MEL) -> tuple[np.ndarray, float]:
    """librosa's log-mel, scaled to [0, 1], and its peak in dB."""
    settings = {"sr": config.sample_rate, "n_fft": config.n_fft, "hop_length": config.hop_length}
    power = librosa.feature.melspectrogram(y=audio, n_mels=config.bands, pad_mode="constant", **settings)
    db = 10 * np.log10(np.maximum(power, 1e-12))
    return np.clip(1 + (db - db.max()) / 80, 0, 1), float(db.max())


def notes(*frequencies: float) -> np.ndarray:
    """Decaying sines at half-second intervals over a little noise."""
    seconds = np.arange(SAMPLES) / MEL.sample_rate
    mix = sum(np.sin(2 * np.pi * f * seconds) / (1 + i) for i, f in enumerate(frequencies))
    noise = np.random.default_rng(0).standard_normal(SAMPLES)
    return (0.2 * mix * np.exp(-4 * (seconds % 0.5)) + 0.002 * noise).astype(np.float32)


def test_the_mel_of_the_audio_is_within_2_db_of_the_given_mel() -> None:
    mel, peak = to_mel(notes(220, 277, 330, 1320, 3000))
    audio = mel_to_audio(mel, peak, MEL, SAMPLES, 32)
    power = 10 ** (np.array(to_mel(audio)[0] * 80 - 80 + to_mel(audio)[1]) / 10)
    result = np.maximum(10 * np.log10(power) - peak, -80)
    distance = np.sqrt(np.mean((result - (mel * 80 - 80)) ** 2, axis=0)).mean()  # log-spectral distance, dB
    assert distance < 2
    assert audio.shape == (SAMPLES,) and audio.dtype == np.float32


@pytest.mark.parametrize("bands", [128, 400])  # of 400 bands, some have no bin
def test_the_inverse_of_the_filters_equals_that_of_scikit_learn(bands: int) -> None:
    power = np.random.default_rng(0).random((bands, 9), np.float32)
    filters = mel_filters(MEL.sample_rate, MEL.n_fft, bands)
    expected = non_negative_factorization(
        power.T.copy(), H=filters.T.copy(), n_components=1025, update_H=False, solver="mu",
        beta_loss="kullback-leibler", tol=0, max_iter=UPDATES,
    )[0].T  # fmt: skip
    np.testing.assert_allclose(invert_filters(power, filters), expected, rtol=1e-4, atol=1e-6 * expected.max())


@pytest.mark.parametrize(("n_fft", "hop", "length"), [(2048, 512, SAMPLES), (512, 160, 12345), (301, 301, 5000)])
def test_griffin_lim_equals_librosa(n_fft: int, hop: int, length: int) -> None:
    recording = notes(220, 330, 3000)[:length]
    settings = {"n_fft": n_fft, "hop_length": hop, "pad_mode": "constant"}
    magnitudes = np.abs(librosa.stft(recording, **settings)).astype(np.float32)
    for iterations in (0, 5):
        expected = librosa.griffinlim(
            magnitudes, n_iter=iterations, momentum=0.99, length=length, random_state=0, **settings
        )
        audio = griffin_lim(magnitudes, n_fft, hop, length, iterations)
        assert audio.dtype == np.float32 and audio.shape == expected.shape
        np.testing.assert_allclose(audio, expected, atol=1e-3 * np.abs(expected).max())


def test_a_tone_keeps_its_frequency_and_loudness() -> None:
    tone = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(SAMPLES) / MEL.sample_rate)
    audio = mel_to_audio(*to_mel(tone), MEL, SAMPLES, 32)
    strongest = np.fft.rfftfreq(SAMPLES, 1 / MEL.sample_rate)[np.abs(np.fft.rfft(audio)).argmax()]
    assert strongest == pytest.approx(1000, abs=20)
    assert 20 * np.log10(audio.std() / tone.std()) == pytest.approx(0, abs=1.5)
