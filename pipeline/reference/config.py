"""Schema of the `reference` section."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipeline.core.params import Section

CodecName = Literal["opus", "mp3"]  # keys of CodecsConfig
# Of a folder, and of a row.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)]
BitRates = list[Annotated[int, Field(ge=6, le=256)]]


class CodecsConfig(Section):
    """The bit rates at which codecs are scored, in kbit/s; an empty list: not at all."""

    opus: BitRates = Field([8, 14, 24], description="bit rates of Opus, kbit/s")
    mp3: BitRates = Field([32], description="bit rates of MP3, kbit/s")


class ExternalConfig(Section):
    """Reconstructions by a model from elsewhere, in data/external/<name>: <window_id>.wav of each test window."""

    kbps: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None, description="bit rate of the model; null if not known"
    )


class ReferenceConfig(Section):
    """What the variants are compared with, besides the recordings and the ceilings."""

    codecs: CodecsConfig = Field(CodecsConfig(), description="codecs that are scored on the audio")
    external: dict[Name, ExternalConfig] = Field({}, description="models from elsewhere (docs/external.md)")
