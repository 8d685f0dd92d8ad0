"""Condition on a label. Encoder and decoder get each window's label."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from pipeline.models.config import ConditionConfig
from pipeline.models.signal import Signal, as_column

MIN_STD_RATIO = 0.05  # smallest standard deviation of a label, relative to all windows


class Condition(nn.Module):
    """Removes the statistics of a window's label before the encoder and restores them after the decoder.

    - Input and output: mean per mel band (or of a whole waveform) over the label's train windows, and the square root
      of their standard deviation relative to all windows, so that the latent need not encode them. This is conditional
      instance normalisation (Dumoulin et al. 2017, arXiv 1610.07629) with measured statistics in place of learned
      ones. The full deviation transfers more, but raises the error: it gives all labels the same share of the latent,
      whatever their share of the squared error.
    - Features on both sides of the bottleneck: a learned scale and shift per channel (FiLM, Perez et al. 2018, arXiv
      1709.07871).

    Labels are (B,) in [0, labels]. The last index means "unknown", as None does: it has the statistics of all windows.
    Training drops some labels at random, so that its scale and shift are learned too.
    """

    offset: Tensor
    ratio: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: ConditionConfig, signal: Signal, shape: tuple[int, ...], labels: int) -> None:
        super().__init__()
        self.unknown = labels
        self.dropout = config.dropout
        self.register_buffer("mean", as_column(signal.mean), persistent=False)
        self.register_buffer("std", as_column(signal.std).clamp_min(1e-6), persistent=False)
        # Per label, relative to all windows: (labels + 1, bands or 1, 1). The identity until `fit`.
        self.register_buffer("offset", torch.zeros(labels + 1, *self.mean.shape))
        self.register_buffer("ratio", torch.ones(labels + 1, *self.mean.shape))
        self.encoder = nn.Embedding(labels + 1, 2 * shape[0])
        self.decoder = nn.Embedding(labels + 1, 2 * shape[0])
        for table in (self.encoder, self.decoder):
            nn.init.zeros_(table.weight)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Compute the statistics of each label from train windows (B, 1, *shape) and their labels (B,)."""
        count = torch.zeros(self.unknown + 1, 1, 1, dtype=torch.float64)
        total, square = (torch.zeros(self.ratio.shape, dtype=torch.float64) for _ in range(2))
        for x, label in batches:
            values = x.squeeze(1).reshape(len(x), self.ratio.shape[1], -1).cpu().double()
            count.index_add_(0, label.cpu(), torch.ones(len(x), 1, 1, dtype=torch.float64))
            total.index_add_(0, label.cpu(), values.mean(-1, keepdim=True))
            square.index_add_(0, label.cpu(), values.square().mean(-1, keepdim=True))
        present = count.flatten() > 0
        present[self.unknown] = False
        mean = total / count.clamp_min(1)
        std = (square / count.clamp_min(1) - mean.square()).clamp_min(0).sqrt()
        self.offset[present] = (mean[present] - self.mean.cpu()).to(self.offset)
        self.ratio[present] = (std[present] / self.std.cpu()).clamp_min(MIN_STD_RATIO).sqrt().to(self.ratio)

    def drop_labels(self, label: Tensor, uniform: Tensor) -> Tensor:
        """Labels (B,) of a training batch; "unknown" where the uniform number (B,) in [0, 1) is below the dropout."""
        return label.masked_fill(uniform < self.dropout, self.unknown)

    def before_encoder(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Windows (B, 1, *shape) without the statistics of their label.

        They have the mean of all windows, and a deviation between that of the label and that of all windows.
        """
        offset, ratio = self._statistics(x, label)
        return (x - self.mean - offset) / ratio + self.mean

    def after_encoder(self, features: Tensor, label: Tensor | None) -> Tensor:
        """Features (B, channels, ...) of the encoder, scaled and shifted."""
        return self._film(self.encoder, features, label)

    def before_decoder(self, features: Tensor, label: Tensor | None) -> Tensor:
        """Features (B, channels, ...) for the decoder, scaled and shifted."""
        return self._film(self.decoder, features, label)

    def after_decoder(self, y: Tensor, label: Tensor | None) -> Tensor:
        """Reconstructions (B, 1, *shape) with the statistics of their label: the inverse of `before_encoder`."""
        offset, ratio = self._statistics(y, label)
        return (y - self.mean) * ratio + offset + self.mean

    def _statistics(self, x: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        index = self._index(x, label)
        size = (len(x), 1, -1, 1) if x.dim() == 4 else (len(x), 1, -1)  # broadcasts over (B, 1, *shape)
        return self.offset[index].reshape(size), self.ratio[index].reshape(size)

    def _index(self, like: Tensor, label: Tensor | None) -> Tensor:
        return torch.full((len(like),), self.unknown, device=like.device) if label is None else label

    def _film(self, table: nn.Module, features: Tensor, label: Tensor | None) -> Tensor:
        scale, shift = table(self._index(features, label)).chunk(2, dim=1)
        size = (*scale.shape, *[1] * (features.dim() - 2))
        return features * (1 + scale.reshape(size)) + shift.reshape(size)
