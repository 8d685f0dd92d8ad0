"""No network at all."""

from torch import Tensor, nn

from pipeline.models.config import IdentityConfig
from pipeline.models.signal import Signal


class IdentityEncoder(nn.Module):
    """The window itself as features: (B, 1, *window), on the data's scale."""

    def __init__(self, config: IdentityConfig, signal: Signal) -> None:
        super().__init__()
        self.shape = (1, *signal.shape)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The window."""
        return [x]


class IdentityDecoder(nn.Module):
    """The features themselves as reconstruction."""

    def __init__(self, config: IdentityConfig, signal: Signal) -> None:
        super().__init__()

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """The features."""
        return inputs[0]
