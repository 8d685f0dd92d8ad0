"""A network that corrects windows: it starts as the identity."""

from torch import Tensor, nn

from pipeline.models.config import NetworkConfig
from pipeline.models.networks import NETWORKS
from pipeline.models.signal import Signal, as_column


class Refinement(nn.Module):
    """Windows (B, 1, *shape) plus what encoder and decoder of a network make of them; at first that is 0.

    The decoder gets the output of each stage of the encoder, if it has several (as in U-Net, Ronneberger et al. 2015,
    arXiv 1505.04597). Its only input is the windows, so after a bottleneck it sees only what the latent holds.
    """

    mean: Tensor

    def __init__(self, config: NetworkConfig, signal: Signal) -> None:
        super().__init__()
        if hasattr(config, "skip"):
            config = config.model_copy(update={"skip": True})
        encoder, decoder = NETWORKS[config.type]
        self.encoder, self.decoder = encoder(config, signal), decoder(config, signal)
        self.shape = self.encoder.shape  # of the features inside
        last: nn.Module = self.decoder.last  # type: ignore[assignment]
        for name, parameter in last.named_parameters():
            if not name.endswith("original1"):  # weight norm divides by the length of this one
                nn.init.zeros_(parameter)
        self.register_buffer("mean", as_column(signal.mean), persistent=False)  # a decoder's output of 0

    def forward(self, x: Tensor) -> Tensor:
        """Shape unchanged."""
        y: Tensor = x + (self.decoder(self.encoder(x)) - self.mean)
        return y
