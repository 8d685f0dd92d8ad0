"""In which order windows come."""

from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataset.sampler import LANES, ORDERS, epoch, generator, shuffled, streamed


def draw(*key: int) -> list[float]:
    return torch.rand(4, generator=generator(*key)).tolist()


def test_keys_that_differ_in_any_way_give_other_draws():
    keys = [(0,), (1,), (0, 0), (0, 1), (1, 0), (0, 1, 0), (-1,), (2**32, 0), (0, 2**32), (5, 1), (2**32 + 5,)]
    assert len({tuple(draw(*key)) for key in keys}) == len(keys)
    assert draw(3, 4) == draw(3, 4)


def groups(sizes: list[int]) -> torch.Tensor:
    return torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(ORDERS)), st.lists(st.integers(1, 30), min_size=1, max_size=30), st.integers(1, 70))
def test_an_epoch_has_every_window_once_and_is_filled_up_from_its_beginning(order, sizes, size):
    group = groups(sizes)
    room = torch.arange(len(group)) % 5
    window, start = epoch(order, group, room, size, 0, 1)
    number = len(group)
    assert len(window) == len(start) == -(-number // size) * size
    assert sorted(window[:number].tolist()) == list(range(number))
    for values in (window, start):
        assert torch.equal(values[number:], values.repeat(size)[: len(values) - number])
    assert (start >= 0).all() and (start <= room[window]).all()


@pytest.mark.parametrize("order", sorted(ORDERS))
def test_an_epoch_follows_from_seed_and_number_alone(order):
    group, room = groups([20] * 30), torch.full((600,), 100)

    def shown(*key: int) -> tuple[list[int], list[int]]:
        window, start = epoch(order, group, room, 8, *key)
        return window.tolist(), start.tolist()

    orders = {key: shown(*key) for key in ((0, 0), (0, 1), (1, 0))}
    assert orders[0, 1] == shown(0, 1)
    assert len({tuple(window) for window, _ in orders.values()}) == 3
    assert len({tuple(start) for _, start in orders.values()}) == 3
    longer = epoch(order, group, room, 16, 0, 1)[0].tolist()
    assert longer[:600] == orders[0, 1][0][:600]  # whatever the size of a batch


def test_lanes_go_through_one_group_after_another_and_neighbours_are_of_different_ones():
    size, in_lane = 20, 6
    group = groups([size] * LANES * in_lane)
    found = group[streamed(group, generator(0))]
    for lane in range(LANES):
        changes = sum(a != b for a, b in pairwise(found[lane::LANES].tolist()))
        assert changes == in_lane - 1
    assert all(len(set(part.tolist())) == LANES for part in found.split(LANES))
    first = [found[lane].item() for lane in range(LANES)]
    assert sorted(first) != first  # groups are in random order


def test_windows_are_permuted_within_their_group():
    group = groups([50] * 10)
    windows = streamed(group, generator(0))
    for number in range(10):
        of_group = windows[group[windows] == number]
        assert (of_group.diff() < 0).float().mean() > 0.2


def test_a_shuffle_puts_any_window_after_any():
    group = groups([50] * 10)
    windows = shuffled(group, generator(0))
    of_groups = Counter(group[windows[:100]].tolist())
    assert len(of_groups) == 10 and max(of_groups.values()) < 25
