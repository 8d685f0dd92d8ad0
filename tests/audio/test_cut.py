"""Windows out of a stream, against slices of the whole."""

from itertools import count, islice

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.cut import cut_windows, pad


def blocks(audio: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    return [part for part in np.split(audio, np.cumsum(sizes)) if len(part)]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    samples=st.integers(1, 200),
    sizes=st.lists(st.integers(1, 50), max_size=30),
    steps=st.lists(st.integers(0, 60), min_size=1, max_size=12),
    length=st.integers(1, 80),
)
def test_windows_are_slices_wherever_they_start(samples, sizes, steps, length):
    audio = np.arange(samples, dtype=np.float32)
    starts = np.cumsum(steps).tolist()  # overlapping, adjoining, with gaps, twice the same, after the end
    found = list(cut_windows(blocks(audio, sizes), starts, length))
    expected = [audio[start : start + length] for start in starts if start < samples]
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(samples=st.integers(1, 300), size=st.integers(1, 40), hop=st.integers(1, 50), length=st.integers(1, 50))
def test_endless_starts_end_with_the_recording(samples, size, hop, length):
    audio = np.arange(samples, dtype=np.float32)
    found = list(cut_windows(blocks(audio, [size] * (samples // size)), count(0, hop), length))
    assert len(found) == -(-samples // hop)
    if hop == length:
        np.testing.assert_array_equal(np.concatenate(found), audio)


def test_no_more_is_read_than_a_window_needs():
    read = []

    def endless():
        for number in count():
            read.append(number)
            yield np.full(10, number, np.float32)

    assert [w[0] for w in islice(cut_windows(endless(), count(0, 25), 25), 4)] == [0, 2, 5, 7]
    assert len(read) == 10


def test_a_short_window_is_filled_with_zeros_and_a_full_one_is_left_alone():
    full = np.ones(4, np.float32)
    assert pad(full, 4) is full
    np.testing.assert_array_equal(pad(np.ones(2, np.float32), 4), [1, 1, 0, 0])
