"""Schema of the `source` section."""

from typing import Literal

from pydantic import Field, model_validator

from pipeline.core.params import Section

SPLITS = ("train", "valid", "test")
CHECKSUM = r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$"
MIRRORS = "URLs of one archive, tried in turn"
OF_ARCHIVE = "of that archive, as sha256:<hex> or md5:<hex>"


class SynthConfig(Section):
    """Music-like clips, composed and rendered from a seed."""

    styles: int = Field(10, ge=1, le=12, description="labels")
    clips: int = Field(12, ge=1, description="per style")
    clips_per_group: int = Field(2, ge=1, description="clips that share their motifs, and so a side of the split")
    seconds: float = Field(30.0, gt=0, description="length of a clip")
    sample_rate: int = Field(22050, ge=8000, le=48000, description="Hz")
    seed: int = Field(0, ge=0, description="of all that is composed")


class FolderConfig(Section):
    """Any tree of audio files."""

    csv: str | None = Field(
        None, description="table below the source's path, with a column path and any of label, group, split"
    )
    group: Literal["folder", "file"] = Field(
        "folder", description="what is never split: the folder below the label's (where there is one), or each file"
    )


class PublishedConfig(Section):
    """A published data set: downloaded, unless one of `path`, `archive` and `kaggle` says where else it is."""

    path: str | None = Field(None, description="an unpacked folder, read in place")
    archive: str | None = Field(None, description="a tar or zip file, unpacked into data/raw")
    kaggle: bool = Field(False, description="the copy on Kaggle, with one's own credentials")
    mirrors: list[str] = Field(min_length=1, description=MIRRORS)
    checksum: str = Field(pattern=CHECKSUM, description=OF_ARCHIVE)

    @model_validator(mode="after")
    def _one_place(self) -> "PublishedConfig":
        places = {"path": self.path is not None, "archive": self.archive is not None, "kaggle": self.kaggle}
        if sum(places.values()) > 1:
            raise ValueError(f"{' and '.join(k for k, v in places.items() if v)} exclude each other; set only one")
        return self


class GtzanConfig(PublishedConfig):
    """Ten genres of a hundred clips of 30 s (Tzanetakis and Cook, 2002)."""

    mirrors: list[str] = Field(
        [
            "https://huggingface.co/datasets/marsyas/gtzan/resolve/main/data/genres.tar.gz",
            "https://web.archive.org/web/20220328223413/http://opihi.cs.uvic.ca/sound/genres.tar.gz",
            "http://opihi.cs.uvic.ca/sound/genres.tar.gz",
        ],
        min_length=1,
        description=MIRRORS,
    )
    checksum: str = Field(
        "sha256:24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6",
        pattern=CHECKSUM,
        description=OF_ARCHIVE,
    )
    split: Literal["filtered", "all", "random"] = Field(
        "filtered",
        description="the fault-filtered lists alone | the other clips too, not in valid and test | no lists",
    )


class MusicnetConfig(PublishedConfig):
    """330 recordings of chamber music by ten composers (Thickstun, Harchaoui and Kakade, 2017)."""

    mirrors: list[str] = Field(
        ["https://zenodo.org/records/5120004/files/musicnet.tar.gz"], min_length=1, description=MIRRORS
    )
    checksum: str = Field("md5:844764911fa0d5b97c97da944a057590", pattern=CHECKSUM, description=OF_ARCHIVE)
    metadata: str | None = Field(None, description="a CSV of one's own; null: the one beside the audio, or downloaded")
    metadata_mirrors: list[str] = Field(
        ["https://zenodo.org/records/5120004/files/musicnet_metadata.csv"],
        min_length=1,
        description="URLs of one CSV, tried in turn",
    )
    metadata_checksum: str = Field(
        "md5:1caef62cee9c875235e62aac368b49d8",
        pattern=CHECKSUM,
        description="of that CSV, as sha256:<hex> or md5:<hex>",
    )
    split: Literal["published", "random"] = Field("published", description="its own test recordings | by composition")


class SourceConfig(Section):
    """Where recordings come from."""

    name: Literal["synth", "folder", "gtzan", "musicnet"] = Field(
        "synth",
        description="composed and rendered here | your own recordings | one of two published sets (docs/data.md)",
    )
    path: str = Field(
        "data/music", description="folder: any tree of wav, flac, ogg, mp3, aiff, au files; label = first folder level"
    )
    labels: list[str] = Field([], description="keep only recordings with these labels; empty keeps all")
    synth: SynthConfig = Field(SynthConfig(), description="source synth only")
    folder: FolderConfig = Field(FolderConfig(), description="source folder only")
    gtzan: GtzanConfig = Field(GtzanConfig(), description="source gtzan only")
    musicnet: MusicnetConfig = Field(MusicnetConfig(), description="source musicnet only")
