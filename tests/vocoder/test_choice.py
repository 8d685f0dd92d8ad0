"""The distances by which a vocoder and Griffin-Lim are compared."""

from typing import Any

import numpy as np
import pytest
import torch

from pipeline.audio.mel import LogMel
from pipeline.audio.representation import MelConfig
from pipeline.vocoder.choice import is_better, score
from tests.artefacts import music

MEL = MelConfig(sample_rate=8000, n_fft=256, hop_length=64, bands=20)
WAVES = np.stack([music(number, 8000, 0.5) for number in (1, 2)])


class Louder:
    """Knows the waveforms, and returns them one after the other with a gain."""

    config = MEL

    def __init__(self, gain: float) -> None:
        self.gain, self.calls = gain, 0

    def __call__(self, unit_mel: np.ndarray, peak_db: float, length: int) -> np.ndarray:
        waveform, self.calls = WAVES[self.calls], self.calls + 1
        db = np.maximum(LogMel(MEL)(waveform).numpy(), peak_db - 80)
        np.testing.assert_allclose(80 * (unit_mel - 1) + peak_db, db, atol=1e-3)
        assert length == len(waveform) and db.max() == pytest.approx(peak_db)
        return self.gain * waveform


def score_of(gain: float) -> dict[str, float]:
    inversion: Any = Louder(gain)
    scores = score(inversion, torch.from_numpy(WAVES))
    assert inversion.calls == 2
    return scores


def test_equal_audio_has_no_distance_and_a_gain_has_one():
    assert max(score_of(1.0).values()) < 1e-5
    near, far = score_of(0.9), score_of(0.5)
    assert is_better(near, far) and not is_better(far, near)
    assert far["audio_mel_distance"] == pytest.approx(7 * np.log10(2), rel=0.05)  # of seven scales


def test_a_vocoder_must_be_better_by_both_distances():
    scores = {"audio_mel_distance": 1.0, "audio_stft_distance": 1.0}
    other = {"audio_mel_distance": 1.1, "audio_stft_distance": 1.1}
    assert is_better(scores, other) and not is_better(other, scores) and not is_better(scores, scores)
    for name in ("audio_mel_distance", "audio_stft_distance"):
        assert not is_better(scores | {name: 1.2}, other)
