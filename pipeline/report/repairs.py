"""What was done to odd recordings, so that nothing of it is silent: mixed, repaired, joined, left out."""

from typing import Any

import pandas as pd

from pipeline.report.text import number_of

ON_PURPOSE = {"excluded": "excluded by the source", "duplicate": "copies of others"}  # these are no faults
REPAIRS = {
    "limited": "limited to [-1, 1]: a few samples lay beyond",
    "padded": "padded with zeros: the recording ends before the window does",
}


def treatments(windows: pd.DataFrame, used: pd.DataFrame) -> list[tuple[str, str]]:
    """How many, and what was done to them, for each kind of treatment that occurred.

    Args:
        windows: windows.parquet.
        used: the rows of tracks.parquet that have windows.
    """
    copies = int(windows.loc[windows["copy_of"].notna(), "track_id"].nunique())
    found = [
        (int((used["channels"] > 1).sum()), "recording", "mixed to mono from two or more channels"),
        (copies, "recording", "kept on one side of the split with another that holds the same audio"),
    ]
    for name, said in REPAIRS.items():
        found.append((int(windows["repair"].str.contains(name, na=False).sum()), "window", said))
    return [(number_of(n, what), said) for n, what, said in found if n]


def treated(windows: pd.DataFrame, used: pd.DataFrame) -> list[tuple[str, str]]:
    """Path and treatment of each file that is a copy or of which windows were repaired."""
    paths = used.set_index("track_id")["path"]
    rows = []
    for track, part in windows[windows["repair"].notna() | windows["copy_of"].notna()].groupby("track_id", sort=True):
        said = [f"{number_of(n, 'window')} {repair}" for repair, n in part["repair"].value_counts().items()]
        said += [f"the same audio as {original}" for original in part["copy_of"].dropna().unique()]
        rows.append((str(paths[track]), "; ".join(said)))
    return rows


def reasons(lost: pd.DataFrame) -> list[tuple[str, int]]:
    """Each reason in rows of rejected.parquet with its count, most frequent first."""
    counts = lost["reason"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return [(str(reason), int(n)) for reason, n in counts.items()]


def rejected(lost: pd.DataFrame) -> list[dict[str, str]]:
    """path, part, reason and detail (of the first), a line for each file and reason in rejected.parquet."""
    return [_line(path, reason, rows) for (path, reason), rows in lost.groupby(["path", "reason"], sort=True)]


def _line(path: Any, reason: Any, lost: pd.DataFrame) -> dict[str, str]:
    start, detail = lost["start_seconds"].min(), lost["detail"].iloc[0]
    return {
        "path": str(path),
        "part": "whole file" if pd.isna(start) else f"{number_of(len(lost), 'window')} from {start:g} s",
        "reason": str(reason),
        "detail": "" if pd.isna(detail) else str(detail),
    }


def extent(lost: pd.DataFrame) -> str:
    """Of rejected.parquet: 3 files and 12 windows."""
    whole = lost["start_seconds"].isna()
    parts = [(int(whole.sum()), "file"), (int((~whole).sum()), "window")]
    return " and ".join(number_of(n, name) for n, name in parts if n) or "nothing"


def rates(sample_rates: pd.Series) -> str:
    """Most frequent first, with their counts where there are several: 44.1 kHz (12), 8 kHz (3)."""
    counts = sample_rates.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    several = len(counts) > 1
    found = zip(counts.index.tolist(), counts.tolist(), strict=True)
    return ", ".join(
        f"{rate / 1000:g}\N{NO-BREAK SPACE}kHz" + f"\N{NO-BREAK SPACE}({n:,})" * several for rate, n in found
    )
