"""Codecs: aligned with the original, at their bit rate, and better at a higher one."""

import io

import numpy as np
import pytest
import soundfile

from pipeline.audio.resample import resample
from pipeline.reference.codec import through_codec
from tests.artefacts import music

SECONDS = 3.0


def snr(decoded: np.ndarray, audio: np.ndarray) -> float:
    return 10 * np.log10(np.square(audio).sum() / np.square(decoded - audio).sum())


def delay(decoded: np.ndarray, audio: np.ndarray) -> int:
    """Samples by which `decoded` is late, from the peak of the cross-correlation."""
    size = 2 * len(audio)
    correlation = np.fft.irfft(np.fft.rfft(decoded, size) * np.fft.rfft(audio, size).conj())
    lag = int(correlation.argmax())
    return lag if lag < len(audio) else lag - size


@pytest.mark.parametrize("rate", [22050, 16000, 48000, 20001])
@pytest.mark.parametrize(("codec", "low", "high"), [("opus", 8, 64), ("mp3", 32, 64)])
def test_audio_through_a_codec(codec, low, high, rate):
    audio = music(0, rate, SECONDS).astype(np.float32)
    before = audio.copy()
    (coarse, coarse_rate), (fine, fine_rate) = (through_codec(audio, rate, codec, kbps) for kbps in (low, high))
    assert coarse_rate == pytest.approx(low, rel=0.05) and fine_rate == pytest.approx(high, rel=0.05)
    for decoded in (coarse, fine):
        assert decoded.shape == audio.shape and decoded.dtype == np.float32 and abs(delay(decoded, audio)) <= 1
    assert snr(fine, audio) > snr(coarse, audio) + 0.5 > 6
    assert np.array_equal(audio, before)


def test_opus_equals_that_of_another_program():
    """libsndfile has an encoder of its own around libopus."""
    audio, kbps = music(1, 22050, SECONDS).astype(np.float32), 64
    file = io.BytesIO()
    level = 1 - (1000 * kbps - 6000) / 250_000  # libsndfile: from 256 to 6 kbit/s
    soundfile.write(file, resample(audio, 22050, 48000), 48000, "OPUS", format="OGG", compression_level=level)
    file.seek(0)
    other = resample(soundfile.read(file, dtype="float32")[0], 48000, 22050)[: len(audio)]
    ours, _ = through_codec(audio, 22050, "opus", kbps)
    assert snr(ours, other) > 15 and abs(snr(ours, audio) - snr(other, audio)) < 3


def test_silence_and_full_scale_survive():
    for audio in (np.zeros(22050, np.float32), np.sign(music(0, 22050, 1.0)).astype(np.float32)):
        decoded, _ = through_codec(audio, 22050, "opus", 24)
        assert np.isfinite(decoded).all() and abs(decoded).max() <= 2 and (audio.any() or abs(decoded).max() < 1e-3)
