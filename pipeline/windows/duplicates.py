"""Recordings that are the same, sample by sample."""

import pandas as pd

from pipeline.windows.plan import Inspected, Rejected

HELD_OUT_FIRST = ("test", "valid", "train", None)  # the copy that stays is in the first of these splits


def settle(tracks: pd.DataFrame, inspected: list[Inspected], keep: bool) -> tuple[pd.DataFrame, list[Rejected]]:
    """Bring equal recordings into one group, or drop all but one of them.

    A copy of a recording which the source has placed in another split is dropped in any case, so that published test
    recordings are neither trained on nor joined by others.

    Args:
        tracks: columns path, group and split (None where the source has no say).
        inspected: what is in each of them.
        keep: whether copies stay.

    Returns:
        For each track its `group` and, as `copy_of`, the path of the recording that it equals; the copies that are
        dropped.
    """
    equal: dict[str, list[int]] = {}
    for row, found in enumerate(inspected):
        if found.digest:
            equal.setdefault(found.digest, []).append(row)
    paths, groups = tracks["path"].tolist(), tracks["group"].tolist()
    placed = {group: split for group, split in zip(groups, tracks["split"], strict=True) if isinstance(split, str)}
    splits = [placed.get(group) for group in groups]  # where one recording of a group is, all of it is
    same: dict[str, str] = {}  # a group, and one that it is joined to
    copy_of: list[str | None] = [None] * len(paths)
    dropped = []

    def first_of(group: str) -> str:
        while group in same:
            group = same[group]
        return group

    for rows in equal.values():
        stays, *copies = sorted(rows, key=lambda row: (HELD_OUT_FIRST.index(splits[row]), paths[row]))
        for copy in copies:
            copy_of[copy] = paths[stays]
            if keep and splits[copy] == splits[stays]:
                one, other = sorted((first_of(groups[stays]), first_of(groups[copy])))
                same |= {other: one} if one != other else {}
            else:
                dropped.append(Rejected(paths[copy], None, "duplicate", f"the same audio as {paths[stays]}"))
    joined = [first_of(group) for group in groups]
    return pd.DataFrame({"group": joined, "copy_of": copy_of}, index=tracks.index), dropped
