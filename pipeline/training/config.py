"""Schemas of the `train` section and of the `models` entries."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.errors import DataError
from pipeline.core.params import PARAMS_FILE, Section, flatten, get_entry, validate
from pipeline.losses.config import LossConfig
from pipeline.models.config import BottleneckConfig, ConditionConfig, NetworkConfig


class PlateauConfig(Section):
    """When the schedule `plateau` lowers the learning rate, and by how much."""

    patience: int = Field(5, ge=1, description="epochs without a better validation objective")
    factor: float = Field(0.5, gt=0, lt=1, description="by which the rate is multiplied then")


class TrainConfig(Section):
    """Defaults of training; `models.<variant>.train` overrides any of them."""

    epochs: int = Field(30, ge=1, description="passes over the train windows, at most")
    batch_size: int = Field(16, ge=1, description="windows in a step, of all devices together")
    optimiser: Literal["adam", "adamw"] = Field("adamw", description="weight decay as a penalty, or apart from it")
    learning_rate: float = Field(1e-3, gt=0, description="of the optimiser, after the warm-up")
    weight_decay: float = Field(0.01, ge=0, description="of the optimiser; 0: none")
    schedule: Literal["constant", "cosine", "plateau"] = Field(
        "cosine", description="of the learning rate after the warm-up: cosine falls to 1 % at the last step"
    )
    plateau: PlateauConfig = Field(PlateauConfig(), description="schedule plateau only")
    warmup_steps: int = Field(50, ge=0, description="over which the learning rate rises")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient, which is scaled down to it")
    moving_average: float | None = Field(
        None, gt=0, lt=1, description="decay per step of averaged weights, which are validated and kept; null: none"
    )
    patience: int | None = Field(
        None, ge=1, description="epochs without a better validation objective; null: never stop"
    )
    snapshots: int = Field(10, ge=2, description="epochs at which a few fixed windows are kept as reconstructed")
    precision: Literal["auto", "fp32", "tf32", "bf16"] = Field(
        "auto", description="auto: bf16 on a GPU that has it, else fp32"
    )
    deterministic: bool = Field(False, description="bit-equal results on a GPU too, which takes longer")
    channels_last: bool = Field(True, description="the layout of 2-D convolutions")
    compile: bool = Field(False, description="torch.compile: a slow first step, faster ones on a GPU")
    devices: int = Field(1, ge=1, description="processes on this machine, each with a GPU or its share of the cores")
    resident_gib: float = Field(4.0, ge=0, description="a split up to this size lives on the device, others stream")
    order: Literal["auto", "shuffled", "streamed"] = Field(
        "auto", description="of windows in an epoch; auto: shuffled where the split lives on the device"
    )

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.batch_size % self.devices:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of devices {self.devices}: each takes an equal part"
            )
        return self


class VariantConfig(Section):
    """One model: input x network x bottleneck x loss. One with a linear bottleneck is a baseline: it has no loss."""

    representation: str = Field(description="what it sees of a window: a name under `representations`")
    network: NetworkConfig = Field(description="encoder and decoder")
    bottleneck: BottleneckConfig = Field(description="what is between them: the latent and its prior")
    scaling: Literal["none", "peak", "rms"] = Field(
        "none", description="waveforms only: a window is divided by its level, and its reconstruction multiplied"
    )
    condition: ConditionConfig | None = Field(None, description="gives the label to encoder and decoder")
    loss: LossConfig | None = Field(None, description="null: the defaults; a baseline has none")
    train: dict[str, Any] = Field({}, description="keys of the section `train`, for this variant alone")

    @model_validator(mode="before")
    @classmethod
    def _default_loss(cls, raw: Any) -> Any:
        """Every variant that is learnt has a loss, and that of a learnt codebook a commitment."""
        if not isinstance(raw, Mapping):
            return raw
        bottleneck = raw.get("bottleneck")
        chosen = bottleneck.get("type") if isinstance(bottleneck, Mapping) else None
        if raw.get("loss") is None and chosen != "linear":
            raw = {**raw, "loss": {}}
        if chosen == "vq" and isinstance(raw["loss"], Mapping) and raw["loss"].get("codebook") is None:
            raw = {**raw, "loss": {**raw["loss"], "codebook": {}}}
        return raw

    @model_validator(mode="after")
    def _baseline(self) -> Self:
        """A linear bottleneck is fitted to the windows themselves, without gradient descent."""
        if self.bottleneck.type != "linear":
            return self
        if self.network.type != "identity":
            raise ValueError(
                "bottleneck.type linear is fitted to the windows themselves: it needs network.type identity"
            )
        idle = {"loss": self.loss, "train": self.train, "condition": self.condition, "scaling": self.scaling}
        for key, value in idle.items():
            if value not in (None, {}, "none"):
                raise ValueError(
                    f"bottleneck.type linear is fitted in closed form, which has no {key}; leave {key} out"
                )
        return self


def seeds(raw: Mapping[str, Any]) -> list[int]:
    """The `seeds` of raw params, which DVC may have written as 0.0."""
    return [int(seed) for seed in raw.get("seeds") or [0]]


def variant(raw: Mapping[str, Any], name: str) -> tuple[VariantConfig, TrainConfig]:
    """The entry `models.<name>` of raw params, and its training settings with the defaults filled in.

    Raises:
        ParamsError: there is no such variant, or one of its keys is wrong.
    """
    config = validate(VariantConfig, get_entry(raw, "models", name), f"models.{name}")
    defaults = validate(TrainConfig, raw.get("train") or {}, "train")
    return config, validate(TrainConfig, {**defaults.model_dump(), **config.train}, f"models.{name}.train")


def decisive(config: VariantConfig, train: TrainConfig) -> dict[str, Any]:
    """What of the params decides a variant's weights, as config.json of a trained one holds it."""
    chosen = config.model_dump(mode="json", include={"network", "bottleneck", "scaling", "condition", "loss"})
    return {**chosen, "train": train.model_dump(mode="json") if config.loss else None, "input": config.representation}


def check_trained(folder: Path, described: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse a trained variant that was made with other settings than params.yaml has now.

    DVC trains again before it comes to this, except where it is told not to: `dvc repro --single-item`, `dvc commit`.

    Args:
        folder: of the trained variant, for the message.
        described: its config.json.
        wanted: from `decisive`.

    Raises:
        DataError: with the first setting that differs.
    """
    now, then = dict(flatten(wanted)), dict(flatten({key: described[key] for key in wanted}))
    if now.get("bottleneck.latent", 0) is None:  # the data have decided
        del now["bottleneck.latent"]
        then.pop("bottleneck.latent", None)
    for key in sorted(now.keys() | then.keys()):
        if (value := now.get(key)) != (old := then.get(key)):
            differs = f"trained with {key} {old}, where {PARAMS_FILE} has {value}"
            raise DataError(f"{folder}: {differs}; run `dvc repro --force train@{described['variant']}`")
