"""Random draws of a training. They follow from the seed and the epoch, not from how or where windows are read."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

LANES = 8  # row groups that are mixed; 2, 4 or 8 ranks can each read lanes of their own


def generator(*key: int) -> torch.Generator:
    """A CPU generator whose draws follow from the key of 64-bit numbers; (0, 1), (1, 0) and (0, 1, 0) differ."""
    return torch.Generator().manual_seed(seed(*key))


def seed(*key: int) -> int:
    """The seed of `generator`, from NumPy's SeedSequence: torch's own seeds may give related draws for near keys."""
    words = np.array(key, np.int64).view(np.uint32).tolist()
    return int(np.random.SeedSequence([len(key), *words]).generate_state(1, np.uint64)[0])


def fixed_noise(rows: int, dims: int) -> Tensor:
    """(rows, dims) standard normal noise for held-out windows, the same on every call and device."""
    return torch.randn(rows, dims, generator=torch.Generator().manual_seed(0))


def shuffled(group: Tensor, random: torch.Generator) -> Tensor:
    """A permutation of all windows."""
    return torch.randperm(len(group), generator=random)


def streamed(group: Tensor, random: torch.Generator) -> Tensor:
    """A permutation of the windows that needs only a few row groups in memory at a time.

    Row groups follow each other in random order, each with its windows permuted. This sequence is cut into 8 lanes of
    equal length (up to one window), which are interleaved: position p comes from lane p % 8, so that consecutive
    windows come from 8 groups. With W = 2, 4 or 8 ranks, a rank that takes every W-th position reads only the groups
    of its own lanes. `group` is the row group of each window, (N,).
    """
    group_position = torch.randperm(int(group.max()) + 1, generator=random)
    mixed = torch.randperm(len(group), generator=random)
    sequence = mixed[torch.argsort(group_position[group[mixed]], stable=True)]
    result = torch.empty_like(sequence)
    lanes = [result[lane::LANES] for lane in range(LANES)]
    for lane, windows in zip(lanes, sequence.split([len(lane) for lane in lanes]), strict=True):
        lane.copy_(windows)
    return result


SAMPLERS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {"shuffled": shuffled, "streamed": streamed}


def sample_epoch(
    sampler: str, group: Tensor, last_start: Tensor, batch_size: int, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """The windows of an epoch, and where each starts in its row.

    Args:
        sampler: a key of SAMPLERS.
        group: (N,) row group of each window, not decreasing.
        last_start: (N,) last frame or sample of its row at which a crop can start; 0 if a row is one window.
        batch_size: the last batch is filled up from the start of the epoch.
        seed: seed of the training.
        epoch: number of the epoch.

    Returns:
        (P,) window numbers, each once except for the fill, and (P,) random starts; P is a multiple of `batch_size`.
    """
    random = generator(seed, epoch, 0)  # three numbers: no training step has this key
    window = SAMPLERS[sampler](group, random)
    start = (torch.rand(len(window), generator=random, dtype=torch.float64) * (last_start[window] + 1)).long()
    filled = torch.arange(-(-len(window) // batch_size) * batch_size) % len(window)
    return window[filled], start[filled]


def evenly_spaced(length: int, number: int) -> Tensor:
    """Up to `number` indices below `length`. Windows are stored by label, so few indices still cover many labels."""
    return torch.linspace(0, length - 1, min(number, length)).round().long()
