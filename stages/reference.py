"""What all variants are measured against, once: the test windows as recorded: data/reference/."""

import pandas as pd
from pydantic import TypeAdapter

from pipeline.audio.representation import RepresentationConfig
from pipeline.core import workspace
from pipeline.core.params import read_params, read_section
from pipeline.metrics.config import EvaluateConfig
from pipeline.reference import ceiling, write
from pipeline.sources.config import SourceConfig
from pipeline.sources.tracks import audio_folder
from stages import run


def main() -> None:
    """Write data/reference."""
    raw = read_params()
    settings = read_section(EvaluateConfig, "evaluate", raw=raw)
    representations = TypeAdapter(dict[str, RepresentationConfig]).validate_python(raw["representations"])
    windows = pd.read_parquet(workspace.WINDOWS / "windows.parquet")
    tracks = pd.read_parquet(workspace.RAW / "tracks.parquet")
    recordings = audio_folder(read_section(SourceConfig, "source", raw=raw)).absolute()
    mean = write.mean_predictor(settings.mel, representations, workspace.CACHE, settings.batch_size)
    with workspace.output(workspace.REFERENCE) as out:
        chosen = settings.mel, settings.examples, settings.heard
        said = write.write(out, windows, tracks, recordings, *chosen, mean)
        workspace.write_json(out / "reference.json", said)
        for name, representation in representations.items():
            ceiling.write(out, out / "ceiling" / name, workspace.CACHE / name, representation, settings)
    tests = (windows["split"] == "test").sum()
    heard = f"{len(said['heard'])} of them heard at {settings.mel.sample_rate} Hz"
    workspace.say(f"reference: {tests} test windows on the common log-mel, {heard}")


if __name__ == "__main__":
    run(main)
