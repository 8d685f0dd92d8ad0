"""Schema of the `windows` section."""

from typing import Literal

from pydantic import Field, model_validator

from pipeline.core.params import Section, Seed


class SplitConfig(Section):
    """Shares of the windows in each split; they sum to 1."""

    train: float = Field(0.7, gt=0, lt=1, description="share that variants are trained on")
    valid: float = Field(0.15, gt=0, lt=1, description="share that selects the epoch whose weights are kept")
    test: float = Field(0.15, gt=0, lt=1, description="share that variants are scored on")

    @model_validator(mode="after")
    def _sum_to_one(self) -> "SplitConfig":
        if abs(self.train + self.valid + self.test - 1) > 1e-6:
            raise ValueError(f"train + valid + test must be 1, not {self.train + self.valid + self.test:g}")
        return self


class WindowsConfig(Section):
    """How recordings are cut into windows."""

    seconds: float = Field(5.0, gt=0.1, le=3600, description="length of a window")
    hop_seconds: float | None = Field(
        None, ge=0.01, le=3600, description="seconds from one start to the next; null: the window's length"
    )
    partial: Literal["drop", "pad"] = Field("drop", description="a last window that is less than 95 % full")
    duplicates: Literal["keep", "drop"] = Field(
        "keep", description="recordings with equal decoded audio: keep (in one split) or drop all but one"
    )
    splits: SplitConfig = Field(
        SplitConfig(), description="shares of the windows, by group and stratified by label; they sum to 1"
    )
    seed: Seed = Field(0, description="seed of the split")
    silence_db: float = Field(
        -60.0, ge=-1000, lt=0, description="RMS below which a window counts as silent, in dB of full scale"
    )
    max_rejected: float = Field(
        0.2, ge=0, le=1, description="share of unusable recordings, or windows, above which the stage fails"
    )

    @property
    def hop(self) -> float:
        """Seconds from one window's start to the next one's."""
        return self.hop_seconds or self.seconds
