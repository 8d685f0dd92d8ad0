"""In which order an epoch shows the windows: a function of (seed, epoch) alone, not of how or where they are read."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

LANES = 8  # row groups that are mixed; of 2, 4 or 8 ranks, each reads lanes of its own


def generator(*key: int) -> torch.Generator:
    """A generator on the CPU whose draws follow from the key, of 64-bit numbers: (0, 1), (1, 0), (0, 1, 0) differ."""
    return torch.Generator().manual_seed(seed(*key))


def seed(*key: int) -> int:
    """The seed of `generator`, through NumPy's SeedSequence: torch's own seeds of near keys may give related draws."""
    words = np.array(key, np.int64).view(np.uint32).tolist()
    return int(np.random.SeedSequence([len(key), *words]).generate_state(1, np.uint64)[0])


def shuffled(group: Tensor, draws: torch.Generator) -> Tensor:
    """A permutation of all windows."""
    return torch.randperm(len(group), generator=draws)


def streamed(group: Tensor, draws: torch.Generator) -> Tensor:
    """A permutation of the windows for which only a few row groups need to be in memory at a time.

    Row groups follow each other in random order, each with its windows permuted. What results is cut into 8 lanes of
    equal length (but for one window), and these are interleaved: position p is of lane p % 8, so that consecutive
    windows come from 8 groups. A rank that takes every W-th position reads just its own lanes' groups, where W is
    2, 4 or 8.

    Args:
        group: (N,) number of the row group of each window.
        draws: where randomness comes from.
    """
    place = torch.randperm(int(group.max()) + 1, generator=draws)
    mixed = torch.randperm(len(group), generator=draws)
    sequence = mixed[torch.argsort(place[group[mixed]], stable=True)]
    order = torch.empty_like(sequence)
    lanes = [order[lane::LANES] for lane in range(LANES)]
    for lane, windows in zip(lanes, sequence.split([len(lane) for lane in lanes]), strict=True):
        lane.copy_(windows)
    return order


ORDERS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {"shuffled": shuffled, "streamed": streamed}


def epoch(order: str, group: Tensor, room: Tensor, size: int, seed: int, number: int) -> tuple[Tensor, Tensor]:
    """Which windows an epoch shows, and from where in their rows.

    Args:
        order: a key of ORDERS.
        group: (N,) number of the row group of each window, not decreasing.
        room: (N,) the last frame or sample of its row at which a crop can begin; 0 where a row is a window.
        size: of a batch. The last one is filled up from the epoch's beginning, so that all are whole.
        seed: of the training.
        number: of the epoch.

    Returns:
        (P,) numbers of windows, each of them once but for the fill, and (P,) first frames or samples, anywhere in the
        row; P is a multiple of `size`.
    """
    draws = generator(seed, number, 0)  # a key of three: no step's (seed, step)
    window = ORDERS[order](group, draws)
    start = (torch.rand(len(window), generator=draws, dtype=torch.float64) * (room[window] + 1)).long()
    again = torch.arange(-(-len(window) // size) * size) % len(window)
    return window[again], start[again]


def evenly_spaced(length: int, number: int) -> Tensor:
    """`number` indices over a split, or all: windows lie in it by label, so few of them are of different ones."""
    return torch.linspace(0, length - 1, min(number, length)).round().long()
