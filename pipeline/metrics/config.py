"""Schema of the `evaluate` section."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, PlainSerializer, model_validator

from pipeline.core.params import Section, Width


class EmbeddingConfig(Section):
    """An embedding network for the kernel audio distance."""

    # Serialised as text, for fingerprints.
    path: Annotated[Path, PlainSerializer(str)] = Field(
        description="file of torch.export.save: (windows, samples) float32 audio to (windows, [frames,] D)"
    )
    sample_rate: int = Field(16000, ge=1000, le=192000, description="Hz, of its input")


class EvaluateConfig(Section):
    """The metrics and examples of every variant."""

    mel: str = Field("mel128", description="representation of kind mel, the common log-mel that compares all variants")
    examples: int = Field(4, ge=1, le=1000, description="test windows to show and play, of as many labels as possible")
    audio_windows: int = Field(
        12,
        ge=1,
        le=100_000,
        description="test windows scored on audio, of many recordings; they include the `examples`",
    )
    samples: int = Field(4, ge=1, le=1000, description="windows sampled from the prior; at least one of each label")
    walks: int = Field(2, ge=0, le=1000, description="pairs of examples between which the latent is interpolated")
    walk_steps: int = Field(8, ge=3, le=1000, description="windows of an interpolation, both ends included")
    perturbations: list[Annotated[float, Field(gt=0, le=1e6)]] = Field(
        [0.5, 1.0, 2.0], description="distances by which an example's latent is moved, in standard deviations"
    )
    embedding: EmbeddingConfig | None = Field(None, description="a network; null: no kernel audio distance")
    visqol: bool = Field(False, description="score audio by ViSQOL too; slow, and needs `make setup EXTRAS=visqol`")
    bootstrap: int = Field(2000, ge=10, le=100_000, description="resamples of the test groups for a 95 % interval")
    batch_size: Width = Field(64, description="windows per forward pass")

    @model_validator(mode="after")
    def _examples_have_audio(self) -> Self:
        if self.audio_windows < self.examples:
            number = f"{self.audio_windows} windows cannot hold the {self.examples} examples"
            raise ValueError(f"audio_windows: {number}; raise it")
        return self
