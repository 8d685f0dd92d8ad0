"""Schema of the `representations` section: what a model sees of a window."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.core.params import Section


class _Representation(Section):
    """What all kinds share."""

    train_span_seconds: float | None = Field(
        None,
        gt=0,
        description="longest stretch of a recording in a train row, of which every epoch sees other windows; null: a "
        "row is one window, as in valid and test",
    )


class MelConfig(_Representation):
    """Log-mel spectrogram in dB below the window's peak."""

    kind: Literal["mel"] = Field("mel", description="dB below the window's peak, in [0, 1]")
    sample_rate: int = Field(22050, ge=1000, le=192000, description="Hz, that recordings are resampled to")
    n_fft: int = Field(2048, ge=16, description="samples of a Fourier transform")
    hop_length: int = Field(512, ge=1, description="samples from one frame to the next")
    bands: int = Field(128, ge=1, description="mel bands, at most n_fft / 2")

    @model_validator(mode="after")
    def _fits(self) -> "MelConfig":
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
    """Samples in [-1, 1]."""

    kind: Literal["waveform"] = Field("waveform", description="samples in [-1, 1]")
    sample_rate: int = Field(3000, ge=1000, le=192000, description="Hz, that recordings are resampled to")

    def shape(self, seconds: float) -> tuple[int]:
        """(samples,) of `seconds`."""
        return (sample_count(seconds, self.sample_rate),)


RepresentationConfig = Annotated[MelConfig | WaveformConfig, Field(discriminator="kind")]


def sample_count(seconds: float, rate: int) -> int:
    """Whole samples in `seconds` at `rate`."""
    return round(seconds * rate)
