"""Encoder, bottleneck and decoder put together."""

from typing import Any

from torch import Tensor, nn

from pipeline.models.bottlenecks import BOTTLENECKS, Bottleneck, Code
from pipeline.models.config import BottleneckConfig, NetworkConfig
from pipeline.models.networks import NETWORKS


class VAE(nn.Module):
    """x -> encoder -> bottleneck -> decoder -> x, on the data's scale.

    Inputs and reconstructions are (B, 1, *shape): a mel spectrogram in [0, 1] or a waveform in [-1, 1].
    """

    def __init__(self, encoder: nn.Module, bottleneck: Bottleneck, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.bottleneck = bottleneck
        self.decoder = decoder

    @property
    def latent_dims(self) -> int:
        """Numbers in the latent code of a window."""
        return self.bottleneck.latent_dims

    def encode(self, x: Tensor, noise: Tensor | None = None) -> Code:
        """The posterior of each window; z is drawn with `noise` (B, latent_dims), or is the mean without it."""
        return self.bottleneck.encode(self.encoder(x), noise)

    def decode(self, z: Tensor) -> Tensor:
        """Latents (B, latent_dims) to windows."""
        y: Tensor = self.decoder(self.bottleneck.decode(z))
        return y

    def forward(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Code]:
        """Reconstruction and code."""
        code = self.encode(x, noise)
        return self.decode(code.z), code

    def sample(self, noise: Tensor) -> Tensor:
        """Windows from the prior; `noise` is (n, latent_dims) standard normal."""
        return self.decode(self.bottleneck.prior(noise))


def build(network: NetworkConfig, bottleneck: BottleneckConfig, shape: tuple[int, ...], stats: dict[str, Any]) -> VAE:
    """A new model for windows of `shape`: (bands, frames) or (samples,).

    Args:
        network: which encoder and decoder.
        bottleneck: what stands between them.
        shape: of one window.
        stats: "mean" and "std" of the train split, as in stats.json.
    """
    encoder_class, decoder_class = NETWORKS[network.type]
    encoder = encoder_class(network, shape, stats)
    middle = BOTTLENECKS[bottleneck.type](bottleneck, encoder.shape)
    return VAE(encoder, middle, decoder_class(network, shape, stats))
