"""Schema of the section `vocoders`: how the mels of a representation become audio."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.audio.inversion import ITERATIONS
from pipeline.core.params import Count, Section, Width, validate
from pipeline.losses.config import AdversarialConfig, LossConfig, ReconstructionConfig, SpectralConfig
from pipeline.models.config import VocoderNetworkConfig
from pipeline.training.config import TrainConfig


class VocoderTrainConfig(TrainConfig):
    """Training of a vocoder. The section `train` has no effect on it."""

    epochs: Count = Field(8, description="passes over the train windows")
    batch_size: Width = Field(12, description="crops in a step, of all devices together")
    crop_seconds: Annotated[float, Field(gt=0, le=3600)] | None = Field(
        1.0, description="train on crops of this length, as many as windows; null: whole windows"
    )
    snapshots: int = Field(2, ge=2, le=1000, description="epochs of which reconstructions are saved")


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
    train: VocoderTrainConfig = Field(VocoderTrainConfig(), description="trained: as the section `train`")
    path: str | None = Field(None, description="exported: a file in data/pretrained (docs/vocoder.md)")

    @property
    def loss(self) -> LossConfig:
        """The loss of its training: spectra at many resolutions. Samples do not count, since phases are free."""
        return LossConfig(
            reconstruction=ReconstructionConfig(type="multi_mel"),
            spectral=SpectralConfig(type="mrstft", weight=1.0),
            adversarial=self.adversarial,
        )


def read_vocoder(raw: Mapping[str, Any], representation: str) -> VocoderConfig:
    """The entry of a representation in the section `vocoders`, by default Griffin-Lim; ParamsError for a wrong key."""
    return validate(VocoderConfig, raw.get("vocoders", {}).get(representation, {}), f"vocoders.{representation}")
