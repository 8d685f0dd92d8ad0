"""Schema of the section `source`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.core.params import Section, Seed

SPLITS = ("train", "valid", "test")

Urls = Annotated[list[str], Field(min_length=1, description="URLs of the same file, tried in this order")]
Checksum = Annotated[
    str,
    Field(
        pattern=r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$",
        description="of the file at the URLs, as sha256:<hex> or md5:<hex>",
    ),
]


class SynthConfig(Section):
    """Music-like clips, composed and rendered from a seed."""

    styles: int = Field(10, ge=1, le=12, description="number of styles, which are the labels")
    clips: int = Field(12, ge=1, le=10_000, description="clips per style")
    clips_per_group: int = Field(
        2, ge=1, le=10_000, description="clips that share their motifs, and are always in one split"
    )
    seconds: float = Field(30.0, ge=0.1, le=3600, description="length of a clip")
    sample_rate: int = Field(22050, ge=8000, le=48000, description="Hz")
    seed: Seed = Field(0, description="random seed of all clips")


class FolderConfig(Section):
    """Any tree of audio files."""

    csv: str | None = Field(
        None, description="a table below source.path with a column path and any of label, group, split"
    )
    group: Literal["folder", "file"] = Field(
        "folder", description="files in one split: those in the same folder below the label's folder | each file alone"
    )


class PublishedConfig(Section):
    """A published data set. It is downloaded, unless `path`, `archive` or `kaggle` is set."""

    path: str | None = Field(None, description="an unpacked folder, read in place")
    archive: str | None = Field(None, description="a tar or zip file, unpacked into data/raw")
    kaggle: bool = Field(False, description="download the copy on Kaggle, with your credentials")
    mirrors: Urls
    checksum: Checksum

    @model_validator(mode="after")
    def _check_one_origin(self) -> "PublishedConfig":
        keys = [key for key in ("path", "archive", "kaggle") if getattr(self, key) not in (None, False)]
        if len(keys) > 1:
            raise ValueError(f"{' and '.join(keys)} exclude each other; set only one")
        return self


class GtzanConfig(PublishedConfig):
    """Ten genres with a hundred clips of 30 s each (Tzanetakis and Cook, 2002)."""

    mirrors: Urls = [
        "https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz",
        "https://web.archive.org/web/20220328223413/http://opihi.cs.uvic.ca/sound/genres.tar.gz",
        "http://opihi.cs.uvic.ca/sound/genres.tar.gz",
    ]
    checksum: Checksum = "sha256:24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6"
    split: Literal["filtered", "all", "random"] = Field(
        "filtered",
        description="the fault-filtered lists only | also other clips, in train | no lists; an artist is in one split",
    )


class MusicnetConfig(PublishedConfig):
    """330 recordings of chamber music by ten composers (Thickstun, Harchaoui and Kakade, 2017)."""

    mirrors: Urls = ["https://zenodo.org/records/5120004/files/musicnet.tar.gz"]
    checksum: Checksum = "md5:844764911fa0d5b97c97da944a057590"
    metadata: str | None = Field(None, description="your CSV; null: the CSV beside the audio, or the published one")
    metadata_mirrors: Urls = ["https://zenodo.org/records/5120004/files/musicnet_metadata.csv"]
    metadata_checksum: Checksum = "md5:1caef62cee9c875235e62aac368b49d8"
    split: Literal["published", "random"] = Field(
        "published", description="the published test recordings | random, by composition"
    )


class SourceConfig(Section):
    """The recordings to use."""

    name: Literal["synth", "folder", "gtzan", "musicnet"] = Field(
        "synth", description="clips made here | your recordings | one of two published data sets (docs/data.md)"
    )
    path: str = Field(
        "data/music",
        min_length=1,
        description="folder: any tree of audio files (data/music/README.md); label: first folder level",
    )
    labels: list[str] = Field([], description="use only recordings with these labels; empty: use all")
    synth: SynthConfig = Field(SynthConfig(), description="settings of source synth")
    folder: FolderConfig = Field(FolderConfig(), description="settings of source folder")
    gtzan: GtzanConfig = Field(GtzanConfig(), description="settings of source gtzan")
    musicnet: MusicnetConfig = Field(MusicnetConfig(), description="settings of source musicnet")
