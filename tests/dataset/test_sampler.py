"""The random order and the random starts of windows."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataset.sampler import LANES, SAMPLERS, generator, sample_epoch, streamed


def draw(*key: int) -> list[float]:
    return torch.rand(4, generator=generator(*key)).tolist()


def test_different_keys_give_different_draws():
    keys = [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 1, 0), (-1,), (2**32, 0), (0, 2**32), (5, 1), (2**32 + 5,)]
    assert len({tuple(draw(*key)) for key in keys}) == len(keys)
    assert draw(3, 4) == draw(3, 4)


def groups(sizes: list[int]) -> torch.Tensor:
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(SAMPLERS)), st.lists(st.integers(1, 30), min_size=1, max_size=30), st.integers(1, 70))
def test_an_epoch_has_every_window_once_and_is_filled_up_from_its_start(sampler, sizes, batch_size):
    group = groups(sizes)
    last_start = torch.arange(len(group)) % 5
    window, start = sample_epoch(sampler, group, last_start, batch_size, 0, 1)
    number = len(group)
    assert len(window) == len(start) == -(-number // batch_size) * batch_size
    assert sorted(window[:number].tolist()) == list(range(number))
    for values in (window, start):
        assert torch.equal(values[number:], values.repeat(batch_size)[: len(values) - number])
    assert (start >= 0).all() and (start <= last_start[window]).all()


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_an_epoch_follows_from_seed_and_number_alone(sampler):
    group, last_start = groups([20] * 30), torch.full((600,), 100)

    def epoch(*key: int) -> tuple[list[int], list[int]]:
        window, start = sample_epoch(sampler, group, last_start, 8, *key)
        return window.tolist(), start.tolist()

    epochs = {key: epoch(*key) for key in ((0, 0), (0, 1), (1, 0))}
    assert epochs[0, 1] == epoch(0, 1)
    assert len({tuple(window) for window, _ in epochs.values()}) == 3
    assert len({tuple(start) for _, start in epochs.values()}) == 3
    longer = sample_epoch(sampler, group, last_start, 16, 0, 1)[0].tolist()
    assert longer[:600] == epochs[0, 1][0][:600]  # for any batch size


def test_a_lane_visits_one_group_after_another_and_neighbours_come_from_different_groups():
    size, in_lane = 20, 6
    group = groups([size] * LANES * in_lane)
    order = group[streamed(group, generator(0))]
    for lane in range(LANES):
        changes = sum(a != b for a, b in pairwise(order[lane::LANES].tolist()))
        assert changes == in_lane - 1
    assert all(len(set(part.tolist())) == LANES for part in order.split(LANES))
    first = [order[lane].item() for lane in range(LANES)]
    assert sorted(first) != first  # groups are in random order


def test_windows_are_permuted_within_their_group():
    group = groups([50] * 10)
    windows = streamed(group, generator(0))
    for number in range(10):
        members = windows[group[windows] == number]
        assert (members.diff() < 0).float().mean() > 0.2
