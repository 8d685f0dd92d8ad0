"""Cut recordings into windows and assign these to splits: the three tables of data/windows."""

from functools import partial

import pandas as pd

from pipeline.core import workspace
from pipeline.core.artefacts import read_table
from pipeline.core.params import RuntimeConfig, read_section
from pipeline.core.process import worker_pool
from pipeline.core.progress import map_with_progress
from pipeline.sources.config import SourceConfig
from pipeline.sources.tracks import audio_folder
from pipeline.windows import shares, table
from pipeline.windows.config import WindowsConfig
from pipeline.windows.inspection import inspect_recording
from stages import run


def main() -> None:
    """Write data/windows."""
    source, config = read_section(SourceConfig, "source"), read_section(WindowsConfig, "windows")
    tracks = table.select_labels(read_table(workspace.RAW / "tracks.parquet"), source.labels)
    tracks, excluded = table.drop_excluded(tracks)
    inspect = partial(inspect_recording, root=audio_folder(source), config=config)
    with worker_pool(read_section(RuntimeConfig, "runtime").workers) as executor:
        inspections = map_with_progress(executor, inspect, tracks["path"].tolist(), "inspecting")
    windows, rejected = table.build_tables(tracks, inspections, config)
    rejected = pd.concat([rejected, table.rejection_table(excluded)], ignore_index=True)
    with workspace.output(workspace.WINDOWS) as out:
        windows.to_parquet(out / "windows.parquet", index=False)
        table.recordings_table(tracks, inspections).to_parquet(out / "recordings.parquet", index=False)
        rejected.to_parquet(out / "rejected.parquet", index=False)
    for line in (*table.summary(windows, rejected), *shares.lines(windows, tracks, config.splits)):
        workspace.say(line)


if __name__ == "__main__":
    run(main)
