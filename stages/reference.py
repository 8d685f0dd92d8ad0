"""Collect what all variants are compared with: original test windows, ceilings, codecs, rows from outside."""

from typing import get_args

import numpy as np
from pydantic import TypeAdapter

from pipeline.audio.inversion import Inversion
from pipeline.audio.representation import MelConfig, RepresentationConfig
from pipeline.core import workspace
from pipeline.core.artefacts import read_table
from pipeline.core.params import get_entry, read_params, read_section
from pipeline.metrics.config import EvaluateConfig
from pipeline.reference.ceiling import write_ceiling
from pipeline.reference.codec import write_codec
from pipeline.reference.config import CodecName, ReferenceConfig
from pipeline.reference.external import write_external
from pipeline.reference.read import read_reference
from pipeline.reference.write import write_reference
from pipeline.sources.config import SourceConfig
from pipeline.sources.tracks import audio_folder
from pipeline.vocoder.read import read_inversion
from stages import run


def main() -> None:
    """Write data/reference."""
    raw = read_params()
    settings = read_section(EvaluateConfig, "evaluate", raw=raw)
    others = read_section(ReferenceConfig, "reference", raw=raw)
    representations = TypeAdapter(dict[str, RepresentationConfig]).validate_python(raw["representations"])
    mel = MelConfig.model_validate(get_entry(raw, "representations", settings.mel))
    windows, tracks = read_table(workspace.WINDOWS / "windows.parquet"), read_table(workspace.RAW / "tracks.parquet")
    recordings = audio_folder(read_section(SourceConfig, "source", raw=raw)).absolute()
    with workspace.output(workspace.REFERENCE) as out:
        cache = workspace.CACHE / settings.mel
        description = write_reference(out, windows, tracks, recordings, cache, mel, settings)
        for name, representation in representations.items():
            inversion = read_inversion(workspace.VOCODERS / name, representation)
            inversions = {"ceiling": inversion}
            if inversion is not None and inversion.weights is not None:  # so that one sees what the vocoder brings
                inversions["griffin_lim"] = Inversion(inversion.config, inversion.iterations)
            for folder, way in inversions.items():
                write_ceiling(out, out / folder / name, workspace.CACHE / name, tracks, representation, settings, way)
        test_ids = np.sort(windows.loc[windows["split"] == "test", "window_id"])
        reference = read_reference(out, test_ids)
        for codec in get_args(CodecName):
            for kbps in sorted(set(getattr(others.codecs, codec))):
                write_codec(out / "codec" / f"{codec}-{kbps}", reference, settings, codec, kbps)
        for name, config in others.external.items():
            files = workspace.EXTERNAL / name
            write_external(out / "external" / name, files, reference, description["seconds"], settings, config.kbps)
    audio = f"{len(description['audio_windows'])} of them with audio at {mel.sample_rate} Hz"
    workspace.say(f"reference: {len(test_ids)} test windows on {settings.mel}, {audio}")


if __name__ == "__main__":
    run(main)
