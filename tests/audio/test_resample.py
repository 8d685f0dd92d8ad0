"""Resampling block by block."""

from itertools import product

import numpy as np
import pytest
import soxr

from pipeline.audio.resample import resample, resample_blocks
from tests.recordings import tone

RATES = (8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000)


def uneven_blocks(audio: np.ndarray, seed: int) -> list[np.ndarray]:
    """The first block holds one sample."""
    edges = np.sort(np.random.default_rng(seed).integers(1, len(audio), 20))
    return np.split(audio, np.unique([1, *edges]))


@pytest.mark.parametrize(("rate", "target"), [*product(RATES, (22050, 3000)), (3000, 22050)])
def test_blocks_equal_the_resampled_whole_and_have_the_exact_length(rate, target):
    audio = np.random.default_rng(rate).uniform(-1, 1, rate + 137).astype(np.float32)
    result = np.concatenate(list(resample_blocks(uneven_blocks(audio, target), rate, target)))
    assert result.dtype == np.float32 and len(result) == round(len(audio) * target / rate)
    expected = soxr.resample(audio, rate, target, quality="HQ")
    shared = min(len(result), len(expected))
    assert abs(len(result) - len(expected)) <= 1  # soxr rounds half a sample the other way
    np.testing.assert_array_equal(result[:shared], expected[:shared])


def test_audio_shorter_than_the_filter_has_the_exact_length():
    for samples, rate, target in product((1, 2, 7, 100), RATES, (22050, 3000)):
        assert len(resample(np.ones(samples, np.float32), rate, target)) == round(samples * target / rate)


@pytest.mark.parametrize(
    ("rate", "target"), [(44100, 22050), (22050, 3000), (8000, 22050), (48000, 3000), (22050, 22050)]
)
def test_a_tone_keeps_its_frequency_and_phase(rate, target):
    audio = resample(tone(2.0, rate), rate, target)
    expected = tone(2.0, target)
    middle = slice(target // 2, -target // 2)  # the filter rings at the ends
    assert np.abs(audio[middle] - expected[middle]).max() < 2e-3


def test_frequencies_above_the_new_nyquist_are_removed():
    audio = resample(tone(2.0, 22050, hertz=2500), 22050, 3000)  # the new Nyquist frequency is 1,500 Hz
    assert np.abs(audio[300:-300]).max() < 1e-3
