"""No network: the features are the window itself."""

from torch import Tensor, nn

from pipeline.models.config import IdentityConfig
from pipeline.models.signal import Signal


class IdentityEncoder(nn.Module):
    """Features (B, 1, *window): the window, on the scale of the data."""

    def __init__(self, config: IdentityConfig, signal: Signal) -> None:
        super().__init__()
        self.shape = (1, *signal.shape)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The window."""
        return [x]


class IdentityDecoder(nn.Module):
    """The reconstruction is the features."""

    def __init__(self, config: IdentityConfig, signal: Signal) -> None:
        super().__init__()

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """The features."""
        return inputs[0]
