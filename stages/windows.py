"""Cut recordings into windows and assign them to splits: data/windows/windows.parquet and rejected.parquet."""

from functools import partial

import pandas as pd
from tqdm import tqdm

from pipeline.core import workspace
from pipeline.core.params import RuntimeConfig, section
from pipeline.core.process import map_ordered, worker_pool
from pipeline.sources.config import SPLITS, SourceConfig
from pipeline.sources.tracks import root
from pipeline.windows import table
from pipeline.windows.config import WindowsConfig
from pipeline.windows.plan import inspect
from stages import run


def main() -> None:
    """Write data/windows."""
    source = section(SourceConfig, "source")
    config = section(WindowsConfig, "windows")
    chosen = table.select(pd.read_parquet(workspace.RAW / "tracks.parquet"), source.labels)
    tracks, excluded = table.leave_out(chosen)
    frames = [None if pd.isna(n) else int(n) for n in tracks["frames"]]
    task = partial(inspect, root=root(source), config=config)
    with worker_pool(section(RuntimeConfig, "runtime").workers) as executor:
        found = map_ordered(executor, task, zip(tracks["path"], frames, strict=True))
        inspected = list(tqdm(found, total=len(tracks), desc="inspecting", unit="file", disable=None))
    windows, rejected = table.build(tracks, inspected, config)
    rejected = pd.concat([rejected, table.frame(excluded)], ignore_index=True)
    with workspace.output(workspace.WINDOWS) as out:
        windows.to_parquet(out / "windows.parquet", index=False)
        rejected.to_parquet(out / "rejected.parquet", index=False)
    counts = windows["split"].value_counts()
    workspace.say(", ".join(f"{counts[s]} {s}" for s in SPLITS) + " windows")
    for reason, number in rejected["reason"].value_counts().items():
        workspace.say(f"  left out as {reason}: {number}")
    for repair, number in windows["repair"].value_counts().items():
        workspace.say(f"  {repair}: {number} windows")
    copies = windows.loc[windows["copy_of"].notna(), "track_id"].nunique()
    if copies:
        workspace.say(f"  copies of other recordings, on their side of the split: {copies}")
    whole = table.unsplit(windows)
    if whole:
        workspace.say(f"  too few groups to share out, so wholly in train: {', '.join(whole)}")


if __name__ == "__main__":
    run(main)
