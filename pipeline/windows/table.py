"""The tables of stage windows."""

from dataclasses import asdict

import pandas as pd

from pipeline.errors import DataError, ParamsError
from pipeline.params import FILE, suggest
from pipeline.windows import plan
from pipeline.windows.config import WindowsConfig
from pipeline.windows.split import assign

Inspected = tuple[list[float], list[plan.Rejected]]


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


def build(tracks: pd.DataFrame, inspected: list[Inspected], config: WindowsConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    """windows.parquet and rejected.parquet from what `inspect` found in each track.

    Raises:
        DataError: nothing is usable, too much was rejected, or a split would be empty.
    """
    rejects = [asdict(r) for _, bad in inspected for r in bad]
    rejected = pd.DataFrame(rejects, columns=["path", "start_seconds", "reason", "detail"])
    rejected["start_seconds"] = rejected["start_seconds"].astype("float64")
    rows = [
        (track.track_id, track.label, track.group, track.split, start)
        for track, (good, _) in zip(tracks.itertuples(), inspected, strict=True)
        for start in good
    ]
    windows = pd.DataFrame(rows, columns=["track_id", "label", "group", "split", "start_seconds"])
    unusable = sum(not good for good, _ in inspected) / len(inspected)  # a whole recording is more than one window
    share = max(unusable, len(rejected) / (len(rejected) + len(windows)))
    if windows.empty or share > config.max_rejected:
        reasons = ", ".join(f"{n} {r}" for r, n in rejected["reason"].value_counts().items())
        example = f"; e.g. {rejects[0]['path']}: {rejects[0]['detail']}" if rejects else ""
        what = "recordings" if share == unusable else "windows"
        limit = f"windows.max_rejected allows {config.max_rejected:.0%}" if len(windows) else "no window is usable"
        raise DataError(f"{share:.0%} of the {what} were rejected ({reasons}) and {limit}{example}")
    windows["split"] = windows["group"].map(assign(windows, config))
    windows["seconds"] = config.seconds
    windows.insert(0, "window_id", range(len(windows)))
    return windows, rejected


def unsplit(windows: pd.DataFrame) -> list[str]:
    """Labels that have windows in train alone."""
    sides = windows.groupby("label")["split"].agg(set)
    return [str(label) for label, where in sides.items() if where == {"train"}]
