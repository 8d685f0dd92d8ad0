"""Train, valid and test by group, stratified by label."""

import hashlib

import pandas as pd

from pipeline.core.errors import DataError
from pipeline.sources.config import SPLITS
from pipeline.windows.config import WindowsConfig


def assign(windows: pd.DataFrame, config: WindowsConfig) -> dict[str, str]:
    """The split of each group, so that no group is on two sides.

    Within a label, groups come in an order drawn from the seed and each goes where it brings the shares of windows
    closest to `config.splits`; every split gets a group of each label that has enough of them. A label with fewer is
    wholly in train. Groups that the source has placed (column split) stay there, and where it has filled valid or test
    (as MusicNet does with test) no other group joins them.

    Args:
        windows: one row per usable window with columns label, group and split (None where the source has no say).
        config: shares and seed.

    Raises:
        DataError: the source places a group in two splits, or a split would have no window.
    """
    groups = windows.groupby("group", sort=True)
    placed = groups["split"].agg(lambda s: sorted(set(s.dropna())))
    torn = placed[placed.map(len) > 1]
    if len(torn):
        raise DataError(f"group '{torn.index[0]}' is in {' and '.join(torn.iloc[0])}; a group must be in one split")
    result = {str(group): where[0] for group, where in placed.items() if where}
    splits = [s for s in SPLITS if s == "train" or s not in result.values()]  # where the others may go
    table = pd.DataFrame({"size": groups.size(), "label": groups["label"].agg(lambda s: s.mode().iloc[0])})
    for _, members in table.groupby("label", sort=True):
        sizes = {str(g): int(n) for g, n in members["size"].items()}
        have = {s: sum(n for g, n in sizes.items() if result.get(g) == s) for s in SPLITS}
        free = [g for g in sizes if g not in result]
        free.sort(key=lambda g: hashlib.sha256(f"{config.seed}:{g}".encode()).digest())
        enough = len(free) >= sum(have[s] == 0 for s in splits)
        result |= _spread(free, sizes, have, splits, config) if enough else dict.fromkeys(free, "train")
    empty = [s for s in SPLITS if s not in result.values()]
    if empty:
        raise DataError(
            f"too little data for three splits: {' and '.join(empty)} would have no windows; {len(table)} groups in "
            f"{table['label'].nunique()} labels, but it takes a label with at least 3 groups (see source.folder.group)"
        )
    return result


def _spread(
    order: list[str], sizes: dict[str, int], have: dict[str, int], splits: list[str], config: WindowsConfig
) -> dict[str, str]:
    """Share out the groups in `order` among `splits`, given the windows that each already has (updated in place)."""
    shares = {s: getattr(config.splits, s) for s in splits}
    targets = {s: share / sum(shares.values()) for s, share in shares.items()}
    total = sum(sizes[g] for g in order) + sum(have[s] for s in splits)
    result: dict[str, str] = {}
    for left, group in zip(range(len(order), 0, -1), order, strict=True):
        empty = [s for s in splits if not have[s]]

        def miss(split: str, size: int = sizes[group]) -> float:
            return sum(((have[s] + size * (s == split)) / total - targets[s]) ** 2 for s in splits)

        result[group] = min(empty if left == len(empty) else splits, key=miss)
        have[result[group]] += sizes[group]
    return result
