"""Schema of the section `vocoders`: how the mels of a representation become audio."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from pipeline.audio.inversion import ITERATIONS
from pipeline.core.params import Section, validate
from pipeline.losses.config import AdversarialConfig, LossConfig, ReconstructionConfig, SpectralConfig
from pipeline.models.config import VocoderNetworkConfig
from pipeline.training.config import TrainConfig

TRAIN_DEFAULTS = {"epochs": 8, "batch_size": 12, "crop_seconds": 1.0, "learning_rate": 0.002, "snapshots": 2}


class VocoderConfig(Section):
    """How the mels of one representation become audio."""

    type: Literal["griffin_lim", "trained", "exported"] = Field(
        "griffin_lim",
        description="trained: a network, which is used if it is better than Griffin-Lim on validation windows; "
        "exported: the network in the file `path`",
    )
    griffin_lim_iterations: int = Field(ITERATIONS, ge=1, le=10_000, description="of Griffin-Lim")
    waveforms: str | None = Field(
        None,
        description="trained: a waveform representation of the mel's sample rate, whose train split it learns from",
    )
    network: VocoderNetworkConfig = Field(VocoderNetworkConfig(), description="trained: its size")
    adversarial: AdversarialConfig = Field(AdversarialConfig(), description="trained: discriminators and their terms")
    train: dict[str, Any] = Field(
        {}, description="trained: keys of the section `train`, whose values there have no effect on a vocoder"
    )
    path: str | None = Field(None, description="exported: a file in data/pretrained (docs/vocoder.md)")

    @property
    def loss(self) -> LossConfig:
        """The loss of its training: spectra at many resolutions, but not samples: phases are free."""
        return LossConfig(
            reconstruction=ReconstructionConfig(type="multi_mel"),
            spectral=SpectralConfig(type="mrstft", weight=1.0),
            adversarial=self.adversarial,
        )


def read_vocoder(raw: Mapping[str, Any], representation: str) -> tuple[VocoderConfig, TrainConfig]:
    """The entry of a representation in the section `vocoders`, Griffin-Lim without one, and the settings of a training.

    ParamsError if a key is wrong.
    """
    key = f"vocoders.{representation}"
    config = validate(VocoderConfig, (raw.get("vocoders") or {}).get(representation) or {}, key)
    return config, validate(TrainConfig, TRAIN_DEFAULTS | config.train, f"{key}.train")
