"""Collect the original test windows, against which all variants are scored: data/reference/."""

from pydantic import TypeAdapter

from pipeline.audio.inversion import Inversion
from pipeline.audio.representation import MelConfig, RepresentationConfig
from pipeline.core import workspace
from pipeline.core.artefacts import read_table
from pipeline.core.params import get_entry, read_params, read_section
from pipeline.metrics.config import EvaluateConfig
from pipeline.reference.write import write_ceiling, write_reference
from pipeline.sources.config import SourceConfig
from pipeline.sources.tracks import audio_folder
from pipeline.vocoder.read import read_inversion
from stages import run


def main() -> None:
    """Write data/reference."""
    raw = read_params()
    settings = read_section(EvaluateConfig, "evaluate", raw=raw)
    representations = TypeAdapter(dict[str, RepresentationConfig]).validate_python(raw["representations"])
    mel = MelConfig.model_validate(get_entry(raw, "representations", settings.mel))
    windows, tracks = read_table(workspace.WINDOWS / "windows.parquet"), read_table(workspace.RAW / "tracks.parquet")
    recordings = audio_folder(read_section(SourceConfig, "source", raw=raw)).absolute()
    with workspace.output(workspace.REFERENCE) as out:
        cache = workspace.CACHE / settings.mel
        description = write_reference(out, windows, tracks, recordings, cache, mel, settings)
        workspace.write_json(out / "reference.json", description)
        for name, representation in representations.items():
            inversion = read_inversion(workspace.VOCODERS / name, representation)
            inversions = {"ceiling": inversion}
            if inversion is not None and inversion.weights is not None:  # so that one sees what the vocoder brings
                inversions["griffin_lim"] = Inversion(inversion.config, inversion.iterations)
            for folder, way in inversions.items():
                write_ceiling(out, out / folder / name, workspace.CACHE / name, tracks, representation, settings, way)
    tests = (windows["split"] == "test").sum()
    audio = f"{len(description['heard'])} of them with audio at {mel.sample_rate} Hz"
    workspace.say(f"reference: {tests} test windows on {settings.mel}, {audio}")


if __name__ == "__main__":
    run(main)
