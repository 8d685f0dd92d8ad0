"""A label given to encoder and decoder."""

import torch
from torch import Tensor, nn

from pipeline.models.config import ConditionConfig
from pipeline.models.signal import Signal


class Condition(nn.Module):
    """Scale and shift of the features on both sides of the bottleneck, chosen by the label (FiLM, Perez et al. 2018).

    Labels are (B,) in [0, labels]; the last one stands for "not known", as None does.
    """

    def __init__(self, config: ConditionConfig, signal: Signal, shape: tuple[int, ...], labels: int) -> None:
        super().__init__()
        self.unknown = labels
        self.encoder = nn.Embedding(labels + 1, 2 * shape[0])
        self.decoder = nn.Embedding(labels + 1, 2 * shape[0])
        for table in (self.encoder, self.decoder):
            nn.init.zeros_(table.weight)

    def before_encoder(self, x: Tensor, label: Tensor | None) -> Tensor:
        """(B, 1, *shape) of the window, at its own level."""
        return x

    def after_encoder(self, features: Tensor, label: Tensor | None) -> Tensor:
        """(B, *shape) of the encoder's features."""
        return self._film(self.encoder, features, label)

    def before_decoder(self, features: Tensor, label: Tensor | None) -> Tensor:
        """(B, *shape) of the decoder's features."""
        return self._film(self.decoder, features, label)

    def after_decoder(self, y: Tensor, label: Tensor | None) -> Tensor:
        """(B, 1, *shape) of the reconstruction."""
        return y

    def _film(self, table: nn.Module, features: Tensor, label: Tensor | None) -> Tensor:
        if label is None:
            label = torch.full((len(features),), self.unknown, device=features.device)
        scale, shift = table(label).chunk(2, dim=1)
        size = (*scale.shape, *[1] * (features.dim() - 2))
        return features * (1 + scale.reshape(size)) + shift.reshape(size)
