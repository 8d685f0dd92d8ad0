"""The tables of stage windows: windows.parquet, recordings.parquet and rejected.parquet."""

from collections.abc import Iterator
from dataclasses import asdict

import pandas as pd

from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import PARAMS_FILE, suggest
from pipeline.core.text import normalise
from pipeline.sources.config import SPLITS
from pipeline.windows.assignment import assign_splits, join_duplicates
from pipeline.windows.config import WindowsConfig
from pipeline.windows.inspection import Inspection, Rejection


def select_labels(tracks: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """The tracks of these labels, of all if `labels` is empty; ParamsError if no track has one of them."""
    names = tracks["label"].map(normalise)
    existing = set(names)
    for label in labels:
        if normalise(label) not in existing:
            raise ParamsError(f"{PARAMS_FILE}: source.labels: no recording has '{label}'; {suggest(label, existing)}")
    return tracks[names.isin([normalise(label) for label in labels])].reset_index(drop=True) if labels else tracks


def drop_excluded(tracks: pd.DataFrame) -> tuple[pd.DataFrame, list[Rejection]]:
    """The tracks that the source does not exclude, and a rejection of each of the others."""
    excluded = tracks["excluded"].notna()
    rows = tracks.loc[excluded, ["path", "excluded"]].to_numpy().tolist()
    rejections = [Rejection(path, None, "excluded", reason) for path, reason in rows]
    return tracks[~excluded].reset_index(drop=True), rejections


def build_tables(
    tracks: pd.DataFrame, inspections: list[Inspection], config: WindowsConfig
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """windows.parquet, and rejected.parquet without the recordings that the source excludes.

    DataError if nothing is usable, too much was rejected, or a split would be empty.
    """
    if not inspections:
        raise DataError("the source excludes every recording of source.labels; choose other labels, or its other split")
    groups, copies = join_duplicates(tracks, inspections, config.duplicates == "keep")
    rejected = rejection_table([rejection for inspection in inspections for rejection in inspection.rejections])
    dropped = {copy.path for copy in copies}
    rows = [
        (track.track_id, track.label, joined.group, track.split, window.start_seconds, window.repair, joined.copy_of)
        for track, joined, inspection in zip(tracks.itertuples(), groups.itertuples(), inspections, strict=True)
        for window in inspection.windows
        if track.path not in dropped
    ]
    columns = ["track_id", "label", "group", "split", "start_seconds", "repair", "copy_of"]
    windows = pd.DataFrame(rows, columns=columns)
    _check_rejections(inspections, rejected, len(windows), config.max_rejected)
    windows["split"] = windows["group"].map(assign_splits(windows, config))
    windows.insert(0, "window_id", range(len(windows)))
    windows.insert(6, "seconds", config.seconds)
    return windows, pd.concat([rejected, rejection_table(copies)], ignore_index=True)


def _check_rejections(inspections: list[Inspection], rejected: pd.DataFrame, windows: int, limit: float) -> None:
    """Refuse too many rejections, by recordings or by windows; copies and excluded recordings do not count."""
    unusable = [inspection for inspection in inspections if not inspection.windows]
    recordings_share = len(unusable) / max(1, len(inspections))
    share = max(recordings_share, len(rejected) / max(1, len(rejected) + windows))
    if windows and share <= limit:
        return
    if share == recordings_share:
        rejected = rejection_table([row for inspection in unusable for row in inspection.rejections[:1]])
    reasons = ", ".join(f"{n} {reason}" for reason, n in rejected["reason"].value_counts().items())
    example = f"; e.g. {rejected['path'].iloc[0]}: {rejected['detail'].iloc[0]}" if len(rejected) else ""
    unit = "recordings" if share == recordings_share else "windows"
    cause = f"windows.max_rejected allows {limit:.0%}" if windows else "no window is usable"
    action = "repair or remove these files, or change `windows` in params.yaml"
    raise DataError(f"{share:.0%} of the {unit} were rejected ({reasons}) and {cause}{example}; {action}")


def recordings_table(tracks: pd.DataFrame, inspections: list[Inspection]) -> pd.DataFrame:
    """recordings.parquet: what decoding has shown of each track that the source does not exclude."""
    columns = {"sample_rate": "Int64", "channels": "Int64", "seconds": "float64"}
    table = pd.DataFrame({name: [getattr(inspection, name) for inspection in inspections] for name in columns})
    return pd.concat([tracks[["track_id", "path", "label"]], table.astype(columns)], axis=1)


def rejection_table(rejections: list[Rejection]) -> pd.DataFrame:
    """rejected.parquet."""
    columns = {"path": "str", "start_seconds": "float64", "reason": "str", "detail": "str", "seconds": "float64"}
    return pd.DataFrame([asdict(rejection) for rejection in rejections], columns=list(columns)).astype(columns)


def summary(windows: pd.DataFrame, rejected: pd.DataFrame) -> Iterator[str]:
    """Lines that say how many windows there are, and what was rejected, repaired or copied."""
    counts = windows["split"].value_counts()
    yield ", ".join(f"{counts[split]} {split}" for split in SPLITS) + " windows"
    for reason, number in rejected["reason"].value_counts().items():
        what = "recordings whose end is missing" if reason == "truncated" else "left out"
        yield f"  {what} ({reason}): {number}"
    for repair, number in windows["repair"].value_counts().items():
        yield f"  repaired windows ({repair}): {number}"
    copies = windows.loc[windows["copy_of"].notna(), "track_id"].nunique()
    if copies:
        yield f"  copies of other recordings, in the same split: {copies}"
    splits = windows.groupby("label")["split"].agg(set)
    train_only = [str(label) for label, names in splits.items() if names == {"train"}]
    if train_only:
        yield f"  labels with too few groups for three splits, in train alone: {', '.join(train_only)}"
