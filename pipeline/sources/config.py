"""Schema of the `source` section."""

from typing import Literal

from pydantic import Field

from pipeline.params import Strict

SPLITS = ("train", "valid", "test")


class SynthConfig(Strict):
    """Music-like clips, composed and rendered from a seed."""

    styles: int = Field(10, ge=1, le=12)
    clips: int = Field(12, ge=1, description="per style")
    clips_per_group: int = Field(2, ge=1, description="clips that share their motifs, and so a side of the split")
    seconds: float = Field(30.0, gt=0)
    sample_rate: int = Field(22050, ge=8000, le=48000)
    seed: int = Field(0, ge=0)


class FolderConfig(Strict):
    """Any tree of audio files."""

    csv: str | None = Field(
        None, description="table below the source's path, with a column path and any of label, group, split"
    )
    group: Literal["folder", "file"] = Field(
        "folder", description="what is never split: the folder below the label's (where there is one), or each file"
    )


class SourceConfig(Strict):
    """Where recordings come from."""

    name: Literal["synth", "folder"] = "synth"
    path: str = "data/music"
    labels: list[str] = Field([], description="keep only these; empty keeps all")
    synth: SynthConfig = SynthConfig()
    folder: FolderConfig = FolderConfig()
