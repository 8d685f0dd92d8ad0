"""Schema of the section `representations`: the inputs of the models."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from pipeline.core.params import Section


class _Representation(Section):
    train_span_seconds: float | None = Field(
        None,
        gt=0,
        le=86_400,
        description="longest part of a recording in one train row, from which each epoch cuts other windows; null: a "
        "train row is one window, as in valid and test",
    )


class MelConfig(_Representation):
    """Log-mel spectrogram in dB below the window's peak."""

    kind: Literal["mel"] = Field("mel", description="dB below the window's peak, scaled to [0, 1]")
    sample_rate: int = Field(22050, ge=1000, le=192000, description="Hz; recordings are resampled to it")
    n_fft: int = Field(2048, ge=16, le=65_536, description="samples per frame of the Fourier transform")
    hop_length: int = Field(512, ge=1, le=65_536, description="samples from the start of a frame to the next")
    bands: int = Field(128, ge=1, le=32_768, description="mel bands, at most n_fft / 2")

    @model_validator(mode="after")
    def _check_lengths(self) -> "MelConfig":
        if self.hop_length > self.n_fft:
            raise ValueError(
                f"hop_length {self.hop_length} is longer than n_fft {self.n_fft}: samples would be skipped"
            )
        if self.bands > self.n_fft // 2:
            raise ValueError(f"{self.bands} bands need n_fft of at least {2 * self.bands}, not {self.n_fft}")
        return self

    def shape(self, seconds: float) -> tuple[int, int]:
        """(bands, frames) of `seconds`."""
        return self.bands, 1 + (sample_count(seconds, self.sample_rate) - self.n_fft % 2) // self.hop_length


class WaveformConfig(_Representation):
    """Audio samples."""

    kind: Literal["waveform"] = Field("waveform", description="samples in [-1, 1]")
    sample_rate: int = Field(3000, ge=1000, le=192000, description="Hz; recordings are resampled to it")

    def shape(self, seconds: float) -> tuple[int]:
        """(samples,) of `seconds`."""
        return (sample_count(seconds, self.sample_rate),)


RepresentationConfig = Annotated[MelConfig | WaveformConfig, Field(discriminator="kind")]


def parse_representation(block: Any) -> MelConfig | WaveformConfig:
    """A block of `representations` as its config; pydantic's ValidationError if it is none."""
    return TypeAdapter[MelConfig | WaveformConfig](RepresentationConfig).validate_python(block)


def sample_count(seconds: float, rate: int) -> int:
    """Number of samples in `seconds` at `rate`, rounded."""
    return round(seconds * rate)
