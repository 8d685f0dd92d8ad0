"""Assign recordings to train, valid and test by group, so that nothing leaks from one split into another."""

import hashlib

import pandas as pd

from pipeline.core.errors import DataError
from pipeline.sources.config import SPLITS
from pipeline.windows.config import WindowsConfig
from pipeline.windows.inspection import Inspection, Rejection

ORIGINAL_FIRST = ("test", "valid", "train", None)  # duplicates: the copy in the earliest split of this list is kept


def join_duplicates(
    tracks: pd.DataFrame, inspections: list[Inspection], keep: bool
) -> tuple[pd.DataFrame, list[Rejection]]:
    """Put recordings with equal audio into one group, or drop all but one of them.

    A copy that the source has placed in another split than its original is always dropped: published test recordings
    are neither trained on nor joined by others. Returns `group` and `copy_of` (path of the original) of each track, and
    the dropped copies.
    """
    by_digest: dict[str, list[int]] = {}
    for row, inspection in enumerate(inspections):
        if inspection.digest:
            by_digest.setdefault(inspection.digest, []).append(row)
    paths, groups = tracks["path"].tolist(), tracks["group"].tolist()
    given = {group: split for group, split in zip(groups, tracks["split"], strict=True) if isinstance(split, str)}
    splits = [given.get(group) for group in groups]  # one recording with a split decides for its whole group
    parents: dict[str, str] = {}  # a group, and the group that it has joined
    copy_of: list[str | None] = [None] * len(paths)
    dropped = []

    def root_of(group: str) -> str:
        while group in parents:
            group = parents[group]
        return group

    for rows in by_digest.values():
        original, *copies = sorted(rows, key=lambda row: (ORIGINAL_FIRST.index(splits[row]), paths[row]))
        for copy in copies:
            copy_of[copy] = paths[original]
            if keep and splits[copy] == splits[original]:
                parent, child = sorted((root_of(groups[original]), root_of(groups[copy])))
                if parent != child:
                    parents[child] = parent
            else:
                detail = f"the same audio as {paths[original]}"
                dropped.append(Rejection(paths[copy], None, "duplicate", detail, inspections[copy].seconds))
    joined = [root_of(group) for group in groups]
    return pd.DataFrame({"group": joined, "copy_of": copy_of}, index=tracks.index), dropped


def assign_splits(windows: pd.DataFrame, config: WindowsConfig) -> dict[str, str]:
    """The split of each group; `windows` has label, group and split (None: the source does not say) of each window.

    Within a label, groups come in a random order that follows from the seed. Each goes to the split that brings the
    shares of windows closest to `config.splits`; each split gets at least one group of the label. A label with too few
    groups for that is in train alone. A group that the source has placed (column split) stays there. If the source has
    filled valid or test (as MusicNet does with test), no other group joins that split.

    Raises:
        DataError: the source places a group in two splits, or a split would have no window.
    """
    groups = windows.groupby("group", sort=True)
    given = groups["split"].agg(lambda splits: sorted(set(splits.dropna())))
    ambiguous = given[given.map(len) > 1]
    if len(ambiguous):
        group, splits = ambiguous.index[0], " and ".join(ambiguous.iloc[0])
        raise DataError(f"group '{group}' is in {splits}; give it one split in the column `split`")
    result = {str(group): splits[0] for group, splits in given.items() if splits}
    open_splits = [split for split in SPLITS if split == "train" or split not in result.values()]
    table = pd.DataFrame({"size": groups.size(), "label": groups["label"].agg(lambda s: s.mode().iloc[0])})
    for _, members in table.groupby("label", sort=True):
        sizes = {str(group): int(size) for group, size in members["size"].items()}
        counts = {split: sum(n for group, n in sizes.items() if result.get(group) == split) for split in SPLITS}
        free = [group for group in sizes if group not in result]
        free.sort(key=lambda group: hashlib.sha256(f"{config.seed}:{group}".encode()).digest())
        if len(free) >= sum(counts[split] == 0 for split in open_splits):
            result |= _share_out({group: sizes[group] for group in free}, counts, open_splits, config)
        else:
            result |= dict.fromkeys(free, "train")
    empty = [split for split in SPLITS if split not in result.values()]
    if empty and given.map(len).all():
        raise DataError(f"the source gives each recording a split, but none is in {' or '.join(empty)}")
    if empty:
        raise DataError(
            f"too little data for three splits: {' and '.join(empty)} would have no windows; {len(table)} groups in "
            f"{table['label'].nunique()} labels, but it takes a label with at least 3 groups (see source.folder.group)"
        )
    return result


def _share_out(
    sizes: dict[str, int], counts: dict[str, int], splits: list[str], config: WindowsConfig
) -> dict[str, str]:
    """The split of each group of one label: `sizes` are their windows, `counts` the windows already in each split."""
    shares = {split: getattr(config.splits, split) for split in splits}
    targets = {split: share / sum(shares.values()) for split, share in shares.items()}
    counts = dict(counts)
    total = sum(sizes.values()) + sum(counts[split] for split in splits)
    result: dict[str, str] = {}
    for group, size in sizes.items():
        empty = [split for split in splits if not counts[split]]
        candidates = empty if len(sizes) - len(result) == len(empty) else splits

        def distance(candidate: str, size: int = size) -> float:
            return sum(((counts[s] + size * (s == candidate)) / total - targets[s]) ** 2 for s in splits)

        result[group] = min(candidates, key=distance)
        counts[result[group]] += size
    return result
