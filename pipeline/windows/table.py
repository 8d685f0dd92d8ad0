"""The tables of stage windows."""

from dataclasses import asdict

import pandas as pd

from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import FILE, suggest
from pipeline.windows import plan
from pipeline.windows.config import WindowsConfig
from pipeline.windows.duplicates import settle
from pipeline.windows.split import assign


def select(tracks: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
    """The tracks of the chosen labels; all of them where none is chosen.

    Raises:
        ParamsError: a label that no track has.
    """
    known = set(tracks["label"])
    for label in labels:
        if label not in known:
            raise ParamsError(f"{FILE}: source.labels: no recording has '{label}'; {suggest(label, known)}")
    return tracks[tracks["label"].isin(labels)].reset_index(drop=True) if labels else tracks


def leave_out(tracks: pd.DataFrame) -> tuple[pd.DataFrame, list[plan.Rejected]]:
    """The tracks that the source does not exclude, and a row for each of the others."""
    excluded = tracks["excluded"].notna()
    why = tracks.loc[excluded, ["path", "excluded"]].to_numpy().tolist()
    return tracks[~excluded].reset_index(drop=True), [plan.Rejected(path, None, "excluded", said) for path, said in why]


def build(
    tracks: pd.DataFrame, inspected: list[plan.Inspected], config: WindowsConfig
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """windows.parquet and rejected.parquet (without what the source excludes) from what `inspect` found in each track.

    Raises:
        DataError: nothing is usable, too much was rejected, or a split would be empty.
    """
    if not inspected:
        raise DataError("the source excludes every recording of source.labels; choose other labels, or its other split")
    settled, copies = settle(tracks, inspected, config.duplicates == "keep")
    rejected = frame([bad for found in inspected for bad in found.bad])
    dropped = {copy.path for copy in copies}
    rows = [
        (
            track.track_id,
            track.label,
            now.group,
            track.split,
            window.start_seconds,
            config.seconds,
            window.repair,
            now.copy_of,
        )
        for track, now, found in zip(tracks.itertuples(), settled.itertuples(), inspected, strict=True)
        for window in found.good
        if track.path not in dropped
    ]
    columns = ["track_id", "label", "group", "split", "start_seconds", "seconds", "repair", "copy_of"]
    windows = pd.DataFrame(rows, columns=columns)
    # A whole recording is more than one window; copies and what a source excludes are not faults.
    unusable = sum(not found.good for found in inspected) / max(1, len(inspected))
    share = max(unusable, len(rejected) / max(1, len(rejected) + len(windows)))
    if windows.empty or share > config.max_rejected:
        reasons = ", ".join(f"{n} {r}" for r, n in rejected["reason"].value_counts().items())
        example = f"; e.g. {rejected['path'].iloc[0]}: {rejected['detail'].iloc[0]}" if len(rejected) else ""
        what = "recordings" if share == unusable else "windows"
        limit = f"windows.max_rejected allows {config.max_rejected:.0%}" if len(windows) else "no window is usable"
        raise DataError(f"{share:.0%} of the {what} were rejected ({reasons}) and {limit}{example}")
    windows["split"] = windows["group"].map(assign(windows, config))
    windows.insert(0, "window_id", range(len(windows)))
    return windows, pd.concat([rejected, frame(copies)], ignore_index=True)


def frame(rejected: list[plan.Rejected]) -> pd.DataFrame:
    """rejected.parquet."""
    rows = pd.DataFrame([asdict(r) for r in rejected], columns=["path", "start_seconds", "reason", "detail"])
    return rows.astype({"path": "str", "start_seconds": "float64", "reason": "str", "detail": "str"})


def unsplit(windows: pd.DataFrame) -> list[str]:
    """Labels that have windows in train alone."""
    sides = windows.groupby("label")["split"].agg(set)
    return [str(label) for label, where in sides.items() if where == {"train"}]
