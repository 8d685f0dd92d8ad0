"""Schemas of the `train` section and of the `models` entries."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from pipeline.losses.config import LossConfig
from pipeline.models.config import BottleneckConfig, ConditionConfig, NetworkConfig
from pipeline.params import Strict, entry, parse


class TrainConfig(Strict):
    """Defaults of training; `models.<variant>.train` overrides any of them."""

    epochs: int = Field(30, ge=1)
    batch_size: int = Field(16, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_steps: int = Field(50, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    patience: int | None = Field(
        None, ge=1, description="epochs without a better validation objective; null: never stop"
    )
    snapshots: int = Field(6, ge=2, description="epochs at which a few fixed windows are kept as reconstructed")


class VariantConfig(Strict):
    """One model: input x network x bottleneck x loss."""

    representation: str
    network: NetworkConfig
    bottleneck: BottleneckConfig
    scaling: Literal["none", "peak", "rms"] = Field(
        "none", description="waveforms only: a window is divided by its level, and its reconstruction multiplied"
    )
    condition: ConditionConfig | None = Field(None, description="gives the label to encoder and decoder")
    loss: LossConfig = LossConfig()
    train: dict[str, Any] = {}


def seeds(raw: Mapping[str, Any]) -> list[int]:
    """The `seeds` of raw params, which DVC may have written as 0.0."""
    return [int(seed) for seed in raw.get("seeds") or [0]]


def variant(raw: Mapping[str, Any], name: str) -> tuple[VariantConfig, TrainConfig]:
    """The entry `models.<name>` of raw params, and its training settings with the defaults filled in.

    Raises:
        ParamsError: there is no such variant, or one of its keys is wrong.
    """
    config = parse(VariantConfig, entry(raw, "models", name), f"models.{name}")
    defaults = parse(TrainConfig, raw.get("train") or {}, "train")
    return config, parse(TrainConfig, {**defaults.model_dump(), **config.train}, f"models.{name}.train")
