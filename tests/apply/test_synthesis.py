"""Joining windows: nothing is lost, nothing clicks, the loudness stays."""

from itertools import pairwise

import numpy as np
import pytest

from pipeline.apply.synthesis import crossfade_audio, crossfade_mel, join, split_blocks


@pytest.mark.parametrize("crossfade", [crossfade_audio, crossfade_mel])
@pytest.mark.parametrize(("length", "overlap"), [(10, 5), (11, 5), (10, 0), (1, 0)])
def test_windows_of_one_signal_become_that_signal(crossfade, length, overlap):
    signal = np.random.default_rng(0).standard_normal(10 * (length - overlap) + overlap).astype(np.float32)
    starts = range(0, len(signal) - overlap, length - overlap)
    joined = np.concatenate(list(join([signal[start : start + length] for start in starts], overlap, crossfade)))
    np.testing.assert_allclose(joined, signal, atol=1e-6)


def test_no_windows_become_nothing():
    assert list(join([], 5, crossfade_audio)) == []


@pytest.mark.parametrize("correlation", [0.0, 0.5, 1.0])
def test_a_crossfade_keeps_the_loudness_at_any_correlation(correlation):
    end, noise = np.random.default_rng(0).standard_normal((2, 200_000)).astype(np.float32)
    begin = correlation * end + np.float32(np.sqrt(1 - correlation**2)) * noise
    loudness_db = [20 * np.log10(part.std()) for part in np.split(crossfade_audio(end, begin), 10)]
    np.testing.assert_allclose(loudness_db, 0, atol=0.1)


def test_a_crossfade_of_opposite_or_silent_ends_is_finite_and_no_louder():
    end = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    for begin in (-end, 0 * end):
        mixed = crossfade_audio(end, begin)
        assert np.isfinite(mixed).all() and np.abs(mixed).max() <= np.abs(end).max() + 1e-6
    assert not crossfade_audio(0 * end, 0 * end).any()


@pytest.mark.parametrize("parts", [1, 50, 1000])
def test_blocks_overlap_and_hold_everything(parts):
    signal = np.arange(1000)
    blocks = list(split_blocks(np.array_split(signal, parts), 100, 20))
    assert all(len(block) == 100 for block in blocks[:-1]) and 20 < len(blocks[-1]) <= 120
    for before, after in pairwise(blocks):
        assert (before[-20:] == after[:20]).all()
    assert np.concatenate([blocks[0], *(block[20:] for block in blocks[1:])]).tolist() == signal.tolist()


def test_a_signal_that_fits_is_one_block():
    assert [len(block) for block in split_blocks([np.zeros(100), np.zeros(20)], 100, 20)] == [120]
    assert list(split_blocks([], 100, 20)) == []
