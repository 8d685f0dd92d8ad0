"""Joining windows: nothing is lost, nothing clicks, the loudness stays."""

from itertools import pairwise

import numpy as np
import pytest

from pipeline.apply import crossfade
from pipeline.apply.synthesis import blocks


def cut(signal, length, overlap):
    starts = range(0, signal.shape[-1] - overlap, length - overlap)
    return [signal[..., start : start + length] for start in starts]


@pytest.mark.parametrize("mix", [crossfade.sound, crossfade.levels])
@pytest.mark.parametrize(("length", "overlap"), [(10, 5), (11, 5), (10, 2), (10, 0), (1, 0)])
def test_windows_of_one_signal_become_that_signal(mix, length, overlap):
    signal = np.random.default_rng(0).standard_normal(10 * (length - overlap) + overlap).astype(np.float32)
    result = np.concatenate(list(crossfade.joined(cut(signal, length, overlap), overlap, mix)))
    np.testing.assert_allclose(result, signal, atol=1e-6)


def test_nothing_becomes_nothing():
    assert list(crossfade.joined([], 5, crossfade.sound)) == []


@pytest.mark.parametrize("alike", [0.0, 0.5, 1.0])
def test_sound_keeps_its_loudness_however_alike_the_two_are(alike):
    rng = np.random.default_rng(0)
    end, other = rng.standard_normal((2, 200_000)).astype(np.float32)
    begin = alike * end + np.float32(np.sqrt(1 - alike**2)) * other
    level = [20 * np.log10(part.std()) for part in np.split(crossfade.sound(end, begin), 10)]
    np.testing.assert_allclose(level, 0, atol=0.1)


def test_opposite_or_silent_ends_stay_finite_and_no_louder():
    end = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    for begin in (-end, 0 * end):
        mixed = crossfade.sound(end, begin)
        assert np.isfinite(mixed).all() and np.abs(mixed).max() <= np.abs(end).max() + 1e-6
    assert not crossfade.sound(0 * end, 0 * end).any()


@pytest.mark.parametrize("parts", [1, 3, 50, 1000])
def test_blocks_overlap_and_hold_everything(parts):
    signal = np.arange(1000)
    found = list(blocks(np.array_split(signal, parts), 100, 20))
    assert all(len(block) == 100 for block in found[:-1]) and 20 < len(found[-1]) <= 120
    for before, after in pairwise(found):
        assert (before[-20:] == after[:20]).all()
    assert np.concatenate([found[0], *(block[20:] for block in found[1:])]).tolist() == signal.tolist()


def test_what_fits_is_one_block():
    assert [len(block) for block in blocks([np.zeros(100), np.zeros(20)], 100, 20)] == [120]
    assert list(blocks([], 100, 20)) == []
