"""The data card: the recordings, their split, all repairs, and everything that was left out."""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.artefacts import read_table
from pipeline.core.text import normalise
from pipeline.report.formatting import NBSP, hours, plural
from pipeline.sources.config import SPLITS
from pipeline.windows.config import WindowsConfig
from pipeline.windows.shares import percents, uneven_labels

LICENCES = {
    "synth": "none needed: synthesised by Melisma",
    "folder": "the licence of your own recordings",
    "gtzan": "the authors state none; the clips are from commercial recordings",
    "musicnet": "free licences, according to its paper; each recording has its own",
}
INTENTIONAL = {"excluded": "excluded by the source", "duplicate": "copies of other recordings"}
REPAIRS = {
    "limited": "limited to [-1, 1], because a few samples were outside",
    "padded": "padded with zeros, because the recording ends before the window",
}


def make_data_card(windows_folder: Path, tracks_file: Path, params: dict[str, Any]) -> dict[str, Any]:
    """Summarise the tables of the stages download and windows; DataError if one is missing or damaged.

    Lists of numbers have one for each split, then one for all of them together.
    """
    windows = read_table(windows_folder / "windows.parquet")
    rejected = read_table(windows_folder / "rejected.parquet")
    decoded = read_table(windows_folder / "recordings.parquet", ["track_id", "sample_rate", "channels", "seconds"])
    tracks = read_table(tracks_file).merge(decoded, on="track_id", how="left")
    source = params.get("source") or {}
    splits = WindowsConfig.model_validate(params.get("windows") or {}).splits
    if names := [normalise(label) for label in source.get("labels") or []]:
        tracks = tracks[tracks["label"].map(normalise).isin(names)]
    used = tracks[tracks["track_id"].isin(windows["track_id"])]
    per_label = pd.crosstab(windows["label"], windows["split"]).reindex(columns=list(SPLITS), fill_value=0)
    labels = [(str(label), [*map(int, row), int(row.sum())]) for label, row in per_label.iterrows()]
    by_split = [*(windows[windows["split"] == split] for split in SPLITS), windows]
    is_intentional = rejected["reason"].isin(list(INTENTIONAL))
    return {
        "facts": _facts(str(source.get("name", "synth")), windows, tracks, used, rejected[~is_intentional]),
        "labels": labels,  # labels with their windows
        "uneven_labels": [
            (label, percents(shares)) for label, shares in uneven_labels(windows, tracks, splits).items()
        ],
        "split_shares": percents(getattr(splits, split) for split in SPLITS),
        "train_only_labels": [label for label, counts in labels if counts[0] == counts[-1]],
        "windows": [len(table) for table in by_split],
        "groups": [int(table["group"].nunique()) for table in by_split],
        "durations": [hours(table["seconds"].sum()) for table in by_split],
        "repairs": _repairs(windows, used),
        "repaired_files": _repaired_files(windows, used),
        "omissions": {
            "Unusable": _omissions(rejected[~is_intentional]),
            "Intentional": _omissions(rejected[is_intentional]),
        },
        "rejected": [_rejected(path, reason, rows) for (path, reason), rows in rejected.groupby(["path", "reason"])],
    }


def _facts(
    source: str, windows: pd.DataFrame, tracks: pd.DataFrame, used: pd.DataFrame, faulty: pd.DataFrame
) -> list[tuple[str, str]]:
    leaks = windows.groupby("group")["split"].nunique().gt(1).sum()
    tracks_used = f"{len(used):,}" if len(used) == len(tracks) else f"{len(used):,} of {len(tracks):,} used"
    seconds = windows["seconds"].median() if len(windows) else 0.0
    counts = _frequent_first(used["sample_rate"])
    rates = [f"{rate / 1000:g}{NBSP}kHz" + f"{NBSP}({n:,})" * (len(counts) > 1) for rate, n in counts]
    files = faulty.loc[~faulty["path"].isin(used["path"]), "path"].nunique()
    parts = faulty[faulty["path"].isin(used["path"])]
    is_end = parts["reason"] == "truncated"
    counts_of = ((files, "file"), ((~is_end).sum(), "window"), (is_end.sum(), "missing end"))
    unusable = [plural(n, name) for n, name in counts_of if n]
    decoded, covered = tracks["seconds"].sum(), _covered_seconds(windows, tracks)
    left_out = faulty.loc[faulty["reason"] != "truncated", "seconds"].sum()
    rests = ((left_out, "unusable"), (decoded - covered - left_out, "in ends that are shorter than a window"))
    sound = [f"{hours(covered)} in windows", *(f"{hours(n)} {what}" for n, what in rests if n >= 0.05)]
    return [
        ("Source", source),
        ("Licence", LICENCES.get(source, "not known")),
        ("Recordings", f"{tracks_used}, {hours(used['seconds'].sum())}"),
        ("Sound", f"{hours(decoded)}, {'all in windows' if len(sound) == 1 else ', '.join(sound)}"),
        ("Sample rates", ", ".join(rates)),
        ("Groups", f"{windows['group'].nunique():,}, {f'{leaks:,}' if leaks else 'none'} in more than one split"),
        ("Windows", f"{len(windows):,} of {seconds:g} s, {plural(windows['label'].nunique(), 'label')}"),
        ("Unusable", ", ".join(unusable) or "nothing"),
    ]


def _covered_seconds(windows: pd.DataFrame, tracks: pd.DataFrame) -> float:
    """Seconds of sound in windows; where windows overlap, they count once, and padding not at all."""
    ordered = windows.sort_values(["track_id", "start_seconds"])
    ends = ordered["track_id"].map(tracks.set_index("track_id")["seconds"])
    next_starts = ordered.groupby("track_id")["start_seconds"].shift(-1).fillna(ends)
    lengths = pd.concat([ordered["seconds"], next_starts - ordered["start_seconds"]], axis=1).min(axis=1)
    return float(lengths.sum())


def _omissions(rejected: pd.DataFrame) -> list[tuple[str, str]]:
    """Each reason, with its number and the seconds that it leaves out, as far as they are known."""
    seconds = rejected.groupby("reason")["seconds"].sum()
    return [
        (INTENTIONAL.get(reason, reason), f"{n:,}" + (f", {hours(seconds[reason])}" if seconds[reason] else ""))
        for reason, n in _frequent_first(rejected["reason"])
    ]


def _repairs(windows: pd.DataFrame, used: pd.DataFrame) -> list[tuple[str, str]]:
    """Every kind of repair that occurred, with its number of recordings or windows."""
    copies = windows.loc[windows["copy_of"].notna(), "track_id"].nunique()
    counts = [
        ((used["channels"] > 1).sum(), "recording", "mixed to mono from two or more channels"),
        (copies, "recording", "kept in the same split as another one with the same audio"),
        *((windows["repair"].str.contains(name, na=False).sum(), "window", text) for name, text in REPAIRS.items()),
    ]
    return [(plural(int(n), noun), text) for n, noun, text in counts if n]


def _repaired_files(windows: pd.DataFrame, used: pd.DataFrame) -> list[tuple[str, str]]:
    paths = used.set_index("track_id")["path"]
    files = []
    for track, rows in windows[windows["repair"].notna() | windows["copy_of"].notna()].groupby("track_id"):
        repairs = [f"{plural(n, 'window')} {repair}" for repair, n in rows["repair"].value_counts().items()]
        repairs += [f"the same audio as {original}" for original in rows["copy_of"].dropna().unique()]
        files.append((str(paths[track]), "; ".join(repairs)))
    return files


def _frequent_first(values: pd.Series) -> list[tuple[Any, int]]:
    """Each value with its count; values with equal counts are in ascending order."""
    counts = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return list(counts.items())


def _rejected(path: Any, reason: Any, rows: pd.DataFrame) -> tuple[str, str, str, str]:
    """One line for all windows of a file with the same reason; the detail is from the first."""
    start, detail = rows["start_seconds"].min(), rows["detail"].iloc[0]
    part = "whole file" if pd.isna(start) else f"{plural(len(rows), 'window')} from {start:g} s"
    part = f"from {start:g} s" if reason == "truncated" and not pd.isna(start) else part
    return str(path), part, str(reason), "" if pd.isna(detail) else str(detail)
