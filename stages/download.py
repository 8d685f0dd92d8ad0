"""Collect the recordings of the source: data/raw/tracks.parquet, and data/raw/audio unless they are read in place."""

from pipeline.core import workspace
from pipeline.core.params import RuntimeConfig, read_section
from pipeline.sources.collect import collect
from pipeline.sources.config import SourceConfig
from stages import run


def main() -> None:
    """Write data/raw."""
    source = read_section(SourceConfig, "source")
    workers = read_section(RuntimeConfig, "runtime").workers
    with workspace.output(workspace.RAW) as out:
        collect(source, out, workers).to_parquet(out / "tracks.parquet", index=False)


if __name__ == "__main__":
    run(main)
