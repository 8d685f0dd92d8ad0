"""The data card: what the recordings are, how they are split, and what was rejected and why."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import DataError
from pipeline.sources.config import SPLITS

SHOWN = 50  # rejected items that the page lists


@dataclass(frozen=True)
class Card:
    """What the page says about the data; counts are of windows where nothing else is named."""

    facts: list[tuple[str, str]]
    labels: list[tuple[str, list[int]]]  # label, windows in each of SPLITS and in all
    totals: list[int]
    groups: list[int]  # in each of SPLITS and in all
    hours: list[str]  # of windows, in each of SPLITS and in all
    reasons: list[tuple[str, int]]  # most frequent first
    rejected: list[dict[str, str]]  # path, start, reason, detail; at most SHOWN
    rejected_count: int


def card(windows: Path, raw_tracks: Path, params: dict[str, Any]) -> Card:
    """Count what lies in the folder `windows` and in the table `raw_tracks`.

    Raises:
        DataError: one of the three tables is missing or damaged.
    """
    cut, lost = _table(windows / "windows.parquet"), _table(windows / "rejected.parquet")
    tracks = _table(raw_tracks)
    source = params.get("source") or {}
    if source.get("labels"):
        tracks = tracks[tracks["label"].isin(source["labels"])]
    reasons = lost["reason"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    per_label = pd.crosstab(cut["label"], cut["split"]).reindex(columns=list(SPLITS), fill_value=0)
    by_split = [cut[cut["split"] == split] for split in SPLITS] + [cut]
    seconds = (tracks["frames"] / tracks["sample_rate"]).sum()
    length = cut["seconds"].median() if len(cut) else 0.0
    facts = [
        ("Source", str(source.get("name", "synth"))),
        ("Recordings", f"{len(tracks):,}, {hours(seconds)}"),
        ("Groups", f"{cut['group'].nunique():,}, none on two sides of the split"),
        ("Labels", f"{cut['label'].nunique():,}"),
        ("Windows", f"{len(cut):,} of {length:g} s"),
        ("Rejected", f"{len(lost):,}"),
    ]
    shared = cut.groupby("group")["split"].nunique().gt(1).sum()
    if shared:
        facts[2] = ("Groups", f"{cut['group'].nunique():,}, of which {shared:,} lie on two sides of the split")
    return Card(
        facts=facts,
        labels=[(str(label), [*map(int, row), int(row.sum())]) for label, row in per_label.iterrows()],
        totals=[len(part) for part in by_split],
        groups=[int(part["group"].nunique()) for part in by_split],
        hours=[hours(part["seconds"].sum()) for part in by_split],
        reasons=[(str(reason), int(n)) for reason, n in reasons.items()],
        rejected=[_rejected(item) for item in lost.head(SHOWN).to_dict("records")],
        rejected_count=len(lost),
    )


def hours(seconds: float) -> str:
    """A duration: 2.5 h, and minutes below an hour."""
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _rejected(item: dict[Any, Any]) -> dict[str, str]:
    start = item["start_seconds"]
    return {
        "path": str(item["path"]),
        "start": "whole file" if pd.isna(start) else f"from {start:g} s",
        "reason": str(item["reason"]),
        "detail": "" if pd.isna(item["detail"]) else str(item["detail"]),
    }


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: missing or damaged; run `dvc repro` to make it again") from error
