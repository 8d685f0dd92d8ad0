"""Batches from a split on the device."""

import numpy as np
import pytest
import torch

from pipeline.cache.reader import Split
from pipeline.training.data import Resident


def resident(kind: str, shape: tuple[int, ...], number: int = 7) -> Resident:
    rng = np.random.default_rng(0)
    values = rng.uniform(-80, 0, (number, *shape)).astype(np.float16)
    if kind == "waveform":
        values = rng.integers(-32767, 32767, (number, *shape)).astype(np.int16)
    ids = np.arange(number)
    return Resident(Split(kind, values, ids, ids, ids, None), torch.device("cpu"))


@pytest.mark.parametrize(("kind", "shape", "low"), [("mel", (4, 10), 0.0), ("waveform", (50,), -1.0)])
def test_an_epoch_shows_every_window_once_on_its_scale(kind, shape, low):
    data = resident(kind, shape)
    plain = torch.cat(list(data.batches(3)))
    assert plain.shape == (7, 1, *shape) and plain.dtype == torch.float32
    assert low <= plain.min() < low + 0.2 and 0.8 < plain.max() <= 1
    for shift in (False, True):
        first, again, other = (
            torch.cat(list(data.epoch(3, torch.Generator().manual_seed(s), shift))) for s in (0, 0, 1)
        )
        assert torch.equal(first, again) and not torch.equal(first, other)
        np.testing.assert_allclose(sorted(first.flatten(1).sum(1)), sorted(plain.flatten(1).sum(1)), rtol=1e-4)


@pytest.mark.parametrize(("kind", "shape"), [("mel", (4, 10)), ("waveform", (50,))])
def test_a_shift_rotates_each_window_by_its_own_amount(kind, shape):
    data = resident(kind, shape)
    index, by = torch.tensor([2, 5]), torch.tensor([3, 0])
    plain, shifted = data.batch(index), data.shifted(index, by)
    assert torch.equal(shifted[0], plain[0].roll(3, -1)) and torch.equal(shifted[1], plain[1])
