"""Batches from a resident split."""

from collections import Counter

import numpy as np
import pytest
import torch

from pipeline.dataset.batches import Batch
from pipeline.dataset.loader import ResidentLoader
from pipeline.dataset.sampler import fixed_noise
from pipeline.dataset.split import Split
from tests.dataset.shards import write

CPU = torch.device("cpu")


def resident(kind: str, shape: tuple[int, ...], number: int = 7) -> ResidentLoader:
    rng = np.random.default_rng(0)
    values = rng.uniform(-80, 0, (number, *shape)).astype(np.float16)
    if kind == "waveform":
        values = rng.integers(-32767, 32767, (number, *shape)).astype(np.int16)
    ids = np.arange(number)
    return ResidentLoader(Split(kind, shape, values, ids, ids, ids), CPU)


@pytest.mark.parametrize(("kind", "shape", "low"), [("mel", (4, 10), 0.0), ("waveform", (50,), -1.0)])
def test_an_epoch_has_every_window_once_in_the_value_range(kind, shape, low):
    loader = resident(kind, shape)
    windows = torch.cat([x for x, _ in loader.batches(3)])
    assert windows.shape == (7, 1, *shape) and windows.dtype == torch.float32
    assert low <= windows.min() < low + 0.2 and 0.8 < windows.max() <= 1
    keys = ((0, 1), (0, 1), (1, 1), (0, 2))
    first, repeated, *others = (torch.cat([x for x, _ in loader.epoch(3, *key)]) for key in keys)
    assert torch.equal(first, repeated) and not any(torch.equal(first, epoch) for epoch in others)
    assert torch.equal(first[7:], first[:2])  # three batches of three
    np.testing.assert_allclose(sorted(first[:7].flatten(1).sum(1)), sorted(windows.flatten(1).sum(1)), rtol=1e-4)


def test_fixed_noise_is_the_same_for_the_same_rows():
    assert torch.equal(fixed_noise(5, 3), fixed_noise(5, 3)) and fixed_noise(5, 3).unique().numel() == 15


WINDOW, WINDOWS, LENGTHS = 10, [1, 3, 4], [10, 30, 33]


def spans() -> ResidentLoader:
    """Three rows of 1, 3 and 4 windows of 10 samples. A value encodes row and sample; 0 is after the end."""
    values = np.zeros((3, 40), np.int16)
    for row, length in enumerate(LENGTHS):
        values[row, :length] = 1000 * (row + 1) + np.arange(length)
    ids = np.arange(3)
    lengths, windows = np.array(LENGTHS, np.int32), np.array(WINDOWS, np.int32)
    return ResidentLoader(Split("waveform", (WINDOW,), values, ids, ids, ids, None, lengths, windows), CPU)


def places(batches: list[Batch]) -> list[tuple[int, int]]:
    """Row and first sample of each crop; checks that a crop is contiguous and within the filled length."""
    result = []
    for crop in torch.cat([x for x, _ in batches]):
        values = torch.round(crop[0] * 32767).long()
        row, first = int(values[0]) // 1000 - 1, int(values[0]) % 1000
        assert values.tolist() == list(range(int(values[0]), int(values[0]) + WINDOW))
        assert 0 <= row < 3 and first + WINDOW <= LENGTHS[row]
        result.append((row, first))
    return result


def test_fixed_crops_of_spans_are_evenly_spaced_from_start_to_end():
    loader = spans()
    assert len(loader) == sum(WINDOWS)
    assert places(list(loader.batches(3))) == [
        *[(0, 0), (1, 0), (1, 10), (1, 20)],
        *[(2, 0), (2, 8), (2, 15), (2, 23)],
    ]


@pytest.mark.parametrize("size", [3, 100])
def test_an_epoch_of_spans_has_a_random_crop_per_window(size):
    loader = spans()

    def epoch(number: int) -> list[tuple[int, int]]:
        return places(list(loader.epoch(size, 0, number)))

    shown = epoch(0)
    assert Counter(row for row, _ in shown[:8]) == dict(enumerate(WINDOWS))
    assert len(shown) == -(-8 // size) * size and shown[8:] == (shown[:8] * size)[: len(shown) - 8]
    assert shown == epoch(0) != epoch(1)
    many = [place for number in range(300) for place in epoch(number)]
    for row, length in enumerate(LENGTHS):  # including the first and the last start
        assert {first for r, first in many if r == row} == set(range(length - WINDOW + 1))


def test_a_crop_of_a_mel_span_is_relative_to_its_own_peak():
    values = np.full((1, 2, 30), -200.0, np.float16)
    values[0, 0] = -np.arange(30) * 2.0  # the span's peak is at its start
    lengths, windows = np.array([30], np.int32), np.array([3], np.int32)
    loader = ResidentLoader(Split("mel", (2, 10), values, *[np.arange(1)] * 3, None, lengths, windows), CPU)
    for number, crop in enumerate(torch.cat([x for x, _ in loader.batches(8)])):
        np.testing.assert_allclose(crop[0, 0], 1 - np.arange(10) * 2 / 80, atol=1e-6, err_msg=str(number))
        assert (crop[0, 1] == 0).all()  # 80 dB below it


def test_an_unknown_label_has_the_last_index():
    values = np.zeros((3, 30), np.int16)
    labels, windows = np.array(["b", "a", "x"]), np.array([1, 2, 1], np.int32)
    ids, lengths = np.arange(3), np.array([10, 30, 10], np.int32)
    split = Split("waveform", (10,), values, ids, ids, labels, None, lengths, windows)
    loader = ResidentLoader(split, CPU, ("a", "b"))
    assert torch.cat([label for _, label in loader.batches(3)]).tolist() == [1, 0, 0, 2]
    assert sorted(torch.cat([label for _, label in loader.epoch(2, 0, 0)]).tolist()) == [0, 0, 1, 2]


@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_selected_rows_keep_their_values_and_columns(tmp_path, kind):
    split, rows = write(tmp_path, kind, shards=[4, 3], group=2, split="valid"), np.array([0, 2, 5])
    few = split.select(rows)
    assert len(few) == 3 and few.is_loaded and few.shape == split.shape
    assert np.array_equal(few.values, split.values[rows])
    for name in ("window_ids", "track_ids", "labels"):
        assert np.array_equal(getattr(few, name), getattr(split, name)[rows])
    if kind == "mel":
        assert few.peak_db is not None and np.array_equal(few.peak_db, split.peak_db[rows])
    picked = ResidentLoader(few, CPU).batch(torch.arange(3))
    expected = ResidentLoader(split, CPU).batch(torch.tensor(rows))
    assert torch.equal(picked.x, expected.x)
