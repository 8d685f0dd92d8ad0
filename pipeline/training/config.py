"""Schemas of the `train` section and of the `models` entries."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.core.errors import DataError
from pipeline.core.params import PARAMS_FILE, Betas, Count, Section, Width, flatten, get_entry, validate
from pipeline.losses.config import LossConfig
from pipeline.models.config import BottleneckConfig, ConditionConfig, NetworkConfig


class PlateauConfig(Section):
    """When and by how much the schedule `plateau` lowers the learning rate."""

    patience: Count = Field(5, description="epochs to wait for a lower validation loss; the next one lowers the rate")
    factor: float = Field(0.5, gt=0, lt=1, description="the learning rate is then multiplied by it")


class AugmentConfig(Section):
    """Random changes of the train windows of a waveform; each step draws them for each window."""

    gain_db: float = Field(0.0, ge=0, le=60, description="gain of -gain_db to +gain_db dB; no sample exceeds 1")
    flip_polarity: bool = Field(False, description="multiply half of the windows by -1")

    @property
    def is_on(self) -> bool:
        """Whether it changes windows."""
        return self.gain_db > 0 or self.flip_polarity


class TrainConfig(Section):
    """Training settings of all variants; `models.<variant>.train` overrides them for one."""

    epochs: Count = Field(4, description="largest number of passes over the train windows")
    batch_size: Width = Field(8, description="windows in a step, of all devices together")
    crop_seconds: Annotated[float, Field(gt=0, le=3600)] | None = Field(
        None, description="waveforms: train on crops of this length, as many as windows; null: whole windows"
    )
    optimiser: Literal["adam", "adamw"] = Field("adamw", description="adamw: Adam with decoupled weight decay")
    learning_rate: float = Field(0.002, gt=0, le=1000, description="learning rate after the warm-up")
    betas: Betas = Field(
        [0.9, 0.99],
        description="decays of the first and second moment; a second of 0.99 forgets within a hundred steps",
    )
    weight_decay: float = Field(0.01, ge=0, le=1000, description="weight decay of the optimiser; 0: none")
    schedule: Literal["constant", "cosine", "plateau"] = Field(
        "cosine", description="learning rate after the warm-up; cosine: falls to 1 % at the last step"
    )
    plateau: PlateauConfig = Field(PlateauConfig(), description="settings of schedule plateau")
    warmup_steps: int = Field(50, ge=0, le=1_000_000_000, description="steps in which the learning rate rises from 0")
    clip_norm: float = Field(1.0, gt=0, le=1e9, description="a gradient with a larger norm is scaled down to it")
    moving_average: float | None = Field(
        None, gt=0, lt=1, description="decay per step of averaged weights, which are validated and saved; null: none"
    )
    patience: Count | None = Field(None, description="epochs without a lower validation loss; null: never stop")
    augment: AugmentConfig = Field(AugmentConfig(), description="waveforms only: random changes of the train windows")
    snapshots: int = Field(10, ge=2, le=1000, description="epochs of which reconstructions and samples are saved")
    precision: Literal["auto", "fp32", "tf32", "bf16"] = Field(
        "auto", description="auto: bf16 on a GPU that supports it, else fp32"
    )
    deterministic: bool = Field(False, description="bit-equal results on a GPU too; slower")
    channels_last: bool = Field(True, description="memory layout of 2-D convolutions")
    compile: bool = Field(False, description="torch.compile: a slow first step, then faster steps on a GPU")
    devices: int = Field(1, ge=1, le=1024, description="processes on this machine, each with a GPU if there are GPUs")
    threads: int = Field(
        1, ge=1, le=1024, description="CPU threads of each process; they decide the last bits of the weights"
    )
    resident_gib: float = Field(
        4.0, ge=0, le=1e6, description="a split up to this size is on the device, others stream"
    )
    order: Literal["auto", "shuffled", "streamed"] = Field(
        "auto", description="order of the windows in an epoch; auto: shuffled if the split is loaded, else streamed"
    )

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.batch_size % self.devices:
            raise ValueError(
                f"batch_size {self.batch_size} is no multiple of devices {self.devices}; choose a multiple"
            )
        return self


class VariantConfig(Section):
    """A variant: input x network x bottleneck x loss. A linear bottleneck makes a baseline, which has no loss."""

    representation: str = Field(description="the model's input: a name under `representations`")
    network: NetworkConfig = Field(description="encoder and decoder")
    bottleneck: BottleneckConfig = Field(description="the latent and its prior, between encoder and decoder")
    scaling: Literal["none", "peak", "rms"] = Field(
        "none", description="waveforms only: divide each window by its gain, and multiply its reconstruction by it"
    )
    condition: ConditionConfig | None = Field(None, description="gives the label to encoder and decoder")
    loss: LossConfig | None = Field(None, description="null: the defaults; a baseline has none")
    train: dict[str, Any] = Field({}, description="keys of the section `train`, for this variant only")

    @model_validator(mode="before")
    @classmethod
    def _default_loss(cls, raw: Any) -> Any:
        """Every trained variant has a loss; with a learnt codebook, the loss has a `codebook` block."""
        if not isinstance(raw, Mapping):
            return raw
        bottleneck = raw.get("bottleneck")
        bottleneck_type = bottleneck.get("type") if isinstance(bottleneck, Mapping) else None
        if raw.get("loss") is None and bottleneck_type != "linear":
            raw = {**raw, "loss": {}}
        if bottleneck_type == "vq" and isinstance(raw["loss"], Mapping) and raw["loss"].get("codebook") is None:
            raw = {**raw, "loss": {**raw["loss"], "codebook": {}}}
        return raw

    @model_validator(mode="after")
    def _baseline(self) -> Self:
        """A linear bottleneck is fitted to the windows in closed form, without gradient descent."""
        if self.bottleneck.type != "linear":
            return self
        fitted = "bottleneck.type linear is fitted to the windows in closed form"
        if self.network.type != "identity":
            raise ValueError(f"{fitted}: it needs network.type identity")
        unused = {"loss": self.loss, "train": self.train, "condition": self.condition, "scaling": self.scaling}
        for key, value in unused.items():
            if value not in (None, {}, "none"):
                raise ValueError(f"{fitted}, which has no {key}; leave {key} out")
        return self


def read_seeds(raw: Mapping[str, Any]) -> list[int]:
    """The `seeds` of params.yaml as integers: DVC may have written 0.0."""
    return [int(seed) for seed in raw.get("seeds") or [0]]


def read_variant(raw: Mapping[str, Any], name: str) -> tuple[VariantConfig, TrainConfig]:
    """The entry `models.<name>` of params.yaml, and the section `train` with its overrides.

    ParamsError if the variant is missing or one of its keys is wrong.
    """
    config = validate(VariantConfig, get_entry(raw, "models", name), f"models.{name}")
    defaults = validate(TrainConfig, raw.get("train") or {}, "train")
    return config, validate(TrainConfig, {**defaults.model_dump(), **config.train}, f"models.{name}.train")


def settings_that_decide_weights(config: VariantConfig, settings: TrainConfig) -> dict[str, Any]:
    """The params that decide a variant's weights, as config.json holds them."""
    return {
        **config.model_dump(mode="json", include={"network", "bottleneck", "scaling", "condition", "loss"}),
        "train": settings.model_dump(mode="json") if config.loss else None,
        "input": config.representation,
    }


def check_trained(folder: Path, description: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raise a DataError if a trained variant's config.json, `description`, differs from the settings of params.yaml.

    DVC would train it again first, but not with `dvc repro --single-item` or after `dvc commit`.
    """
    current, trained = dict(flatten(settings)), dict(flatten({key: description[key] for key in settings}))
    for key in sorted(current.keys() | trained.keys()):
        if current.get(key) != trained.get(key):
            difference = f"trained with {key} {trained.get(key)}, where {PARAMS_FILE} has {current.get(key)}"
            raise DataError(
                f"{folder}: {difference}; run `dvc repro --single-item --force train@{description['variant']}`"
            )
