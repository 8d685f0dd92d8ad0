"""How close the split of each label comes to `windows.splits`."""

from collections.abc import Iterable, Iterator

import pandas as pd

from pipeline.sources.config import SPLITS
from pipeline.windows.config import SplitConfig

MAX_DIFFERENCE = 0.1  # groups stay whole, so smaller differences are usual
MAX_NAMES = 5


def uneven_labels(windows: pd.DataFrame, tracks: pd.DataFrame, config: SplitConfig) -> dict[str, list[float]]:
    """Label -> shares of its windows in each of `SPLITS`, if one of them is more than MAX_DIFFERENCE from `config`.

    Of three groups, each split gets one, whatever `config` says. Labels that are in train alone are left out. The
    result is empty if the source defines a split, since others then have other shares. `windows` has label and split
    of each window, `tracks` the split that the source gives or None.
    """
    if tracks["split"].notna().any():
        return {}
    shares = pd.crosstab(windows["label"], windows["split"], normalize="index").reindex(columns=SPLITS, fill_value=0.0)
    is_far = (shares - [getattr(config, split) for split in SPLITS]).abs().max(axis=1) > MAX_DIFFERENCE
    return {str(label): list(row) for label, row in shares[is_far & (shares["train"] < 1)].iterrows()}


def lines(windows: pd.DataFrame, tracks: pd.DataFrame, config: SplitConfig) -> Iterator[str]:
    """One line that names `uneven_labels`, the first of them if they are many; none without them."""
    names = [f"{label} {percents(row)}" for label, row in uneven_labels(windows, tracks, config).items()]
    if names:
        target = percents(getattr(config, split) for split in SPLITS)
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        listed = ", ".join(names[:MAX_NAMES]) + more
        yield f"  labels far from windows.splits ({target} %), since groups stay whole: {listed}"


def percents(shares: Iterable[float]) -> str:
    """Such as 70/15/15."""
    return "/".join(f"{100 * share:.0f}" for share in shares)
