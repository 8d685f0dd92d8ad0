"""The data card: what the recordings are, how they are split, what was done to them, and what was left out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.errors import DataError
from pipeline.report import repairs
from pipeline.report.text import number_of
from pipeline.sources.config import SPLITS

# What may be done with the recordings, by source.
LICENCES = {
    "synth": "none needed: composed and rendered here",
    "folder": "that of your own recordings",
    "gtzan": "none stated by its authors; clips of commercial recordings",
    "musicnet": "freely licensed recordings, says its paper; each under its own",
}


@dataclass(frozen=True)
class Card:
    """What the page says about the data; counts are of windows where nothing else is named."""

    facts: list[tuple[str, str]]
    labels: list[tuple[str, list[int]]]  # label, windows in each of SPLITS and in all
    unsplit: list[str]  # labels of which only train has windows
    totals: list[int]
    groups: list[int]  # in each of SPLITS and in all
    hours: list[str]  # of windows, in each of SPLITS and in all
    treatments: list[tuple[str, str]]  # how many, and what was done to them
    treated: list[tuple[str, str]]  # path, what was done to it
    faults: list[tuple[str, int]]  # reason and how often, most frequent first
    on_purpose: list[tuple[str, int]]  # the same of what could have been used
    rejected: list[dict[str, str]]  # path, part, reason, detail: all of them


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
    used = tracks[tracks["track_id"].isin(cut["track_id"])]
    per_label = pd.crosstab(cut["label"], cut["split"]).reindex(columns=list(SPLITS), fill_value=0)
    labels = [(str(label), [*map(int, row), int(row.sum())]) for label, row in per_label.iterrows()]
    by_split = [cut[cut["split"] == split] for split in SPLITS] + [cut]
    purpose = lost["reason"].isin(list(repairs.ON_PURPOSE))
    shared = cut.groupby("group")["split"].nunique().gt(1).sum()
    sides = f"of which {shared:,} lie on two sides of the split" if shared else "none on two sides of the split"
    number = f"{len(used):,}" if len(used) == len(tracks) else f"{len(used):,} of {len(tracks):,} used"
    length = cut["seconds"].median() if len(cut) else 0.0
    facts = [
        ("Source", str(source.get("name", "synth"))),
        ("Licence", LICENCES.get(str(source.get("name", "synth")), "not known")),
        ("Recordings", f"{number}, {hours((used['frames'] / used['sample_rate']).sum())}"),
        ("Sample rates", repairs.rates(used["sample_rate"])),
        ("Groups", f"{cut['group'].nunique():,}, {sides}"),
        ("Windows", f"{len(cut):,} of {length:g} s, {number_of(cut['label'].nunique(), 'label')}"),
        ("Could not be used", repairs.extent(lost[~purpose])),
    ]
    return Card(
        facts=facts,
        labels=labels,
        unsplit=[label for label, counts in labels if counts[0] == counts[-1]],
        totals=[len(part) for part in by_split],
        groups=[int(part["group"].nunique()) for part in by_split],
        hours=[hours(part["seconds"].sum()) for part in by_split],
        treatments=repairs.treatments(cut, used),
        treated=repairs.treated(cut, used),
        faults=repairs.reasons(lost[~purpose]),
        on_purpose=[(repairs.ON_PURPOSE[reason], n) for reason, n in repairs.reasons(lost[purpose])],
        rejected=repairs.rejected(lost),
    )


def hours(seconds: float) -> str:
    """A duration: 2.5 h, and minutes below an hour."""
    value, unit = (f"{seconds / 3600:,.1f}", "h") if seconds >= 3600 else (f"{seconds / 60:.1f}", "min")
    return f"{value}\N{NO-BREAK SPACE}{unit}"


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: missing or damaged; run `dvc repro` to make it again") from error
