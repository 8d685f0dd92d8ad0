"""Windows from a stream of blocks equal slices of the whole recording."""

from itertools import count, islice

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.cut import cut_windows, pad


def split_into_blocks(audio: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    return [block for block in np.split(audio, np.cumsum(sizes)) if len(block)]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    samples=st.integers(1, 200),
    sizes=st.lists(st.integers(1, 50), max_size=30),
    steps=st.lists(st.integers(0, 60), min_size=1, max_size=12),
    length=st.integers(1, 80),
)
def test_windows_are_slices_for_any_starts(samples, sizes, steps, length):
    audio = np.arange(samples, dtype=np.float32)
    starts = np.cumsum(steps).tolist()  # overlapping, adjacent, with gaps, repeated, after the end
    windows = list(cut_windows(split_into_blocks(audio, sizes), starts, length))
    expected = [audio[start : start + length] for start in starts if start < samples]
    assert len(windows) == len(expected)
    for window, part in zip(windows, expected, strict=True):
        np.testing.assert_array_equal(window, part)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(samples=st.integers(1, 300), size=st.integers(1, 40), hop=st.integers(1, 50), length=st.integers(1, 50))
def test_endless_starts_end_with_the_recording(samples, size, hop, length):
    audio = np.arange(samples, dtype=np.float32)
    windows = list(cut_windows(split_into_blocks(audio, [size] * (samples // size)), count(0, hop), length))
    assert len(windows) == -(-samples // hop)
    if hop == length:
        np.testing.assert_array_equal(np.concatenate(windows), audio)


def test_only_the_blocks_that_a_window_needs_are_read():
    read = []

    def endless_blocks():
        for number in count():
            read.append(number)
            yield np.full(10, number, np.float32)

    windows = cut_windows(endless_blocks(), count(0, 25), 25)
    assert [window[0] for window in islice(windows, 4)] == [0, 2, 5, 7]
    assert len(read) == 10


def test_pad_appends_zeros_to_a_short_window_only():
    full = np.ones(4, np.float32)
    assert pad(full, 4) is full
    np.testing.assert_array_equal(pad(np.ones(2, np.float32), 4), [1, 1, 0, 0])
