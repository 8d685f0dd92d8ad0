"""A label given to encoder and decoder."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from pipeline.models.config import ConditionConfig
from pipeline.models.signal import Signal, column

NARROWEST = 0.05  # a label's standard deviation in a band counts as at least so much of that over all labels


class Condition(nn.Module):
    """What the label says of a window is taken off on the way in and put back on the way out.

    At input and output: mean and standard deviation of each mel band (or of all samples of a waveform) over the label's
    windows in the train split, so that the latent need not hold them; instance normalisation with a style's own scale
    and shift (Dumoulin et al. 2017, arXiv 1610.07629) with measured instead of learnt numbers. On both sides of the
    bottleneck: a learnt scale and shift of each feature (FiLM, Perez et al. 2018, arXiv 1709.07871).

    Labels are (B,) in [0, labels]; the last one stands for "not known", as None does: its statistics are those of all
    windows, and the training now and then forgets a label, so that its features are learnt.
    """

    offset: Tensor
    ratio: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: ConditionConfig, signal: Signal, shape: tuple[int, ...], labels: int) -> None:
        super().__init__()
        self.unknown = labels
        self.dropout = config.dropout
        self.register_buffer("mean", column(signal.mean), persistent=False)
        self.register_buffer("std", column(signal.std).clamp_min(1e-6), persistent=False)
        # Of each label against all of them, (labels + 1, bands or 1, 1), until `fit` has seen data.
        self.register_buffer("offset", torch.zeros(labels + 1, *self.mean.shape))
        self.register_buffer("ratio", torch.ones(labels + 1, *self.mean.shape))
        self.encoder = nn.Embedding(labels + 1, 2 * shape[0])
        self.decoder = nn.Embedding(labels + 1, 2 * shape[0])
        for table in (self.encoder, self.decoder):
            nn.init.zeros_(table.weight)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take the statistics of each label from all windows (B, 1, *shape) of the train split and their labels."""
        count = torch.zeros(self.unknown + 1, 1, 1, dtype=torch.float64)
        total, square = (torch.zeros(self.ratio.shape, dtype=torch.float64) for _ in range(2))
        for x, label in batches:
            rows = x.squeeze(1).reshape(len(x), self.ratio.shape[1], -1).cpu().double()
            count.index_add_(0, label.cpu(), torch.ones(len(x), 1, 1, dtype=torch.float64))
            total.index_add_(0, label.cpu(), rows.mean(-1, keepdim=True))
            square.index_add_(0, label.cpu(), rows.square().mean(-1, keepdim=True))
        seen = count.flatten() > 0
        seen[self.unknown] = False
        mean = total / count.clamp_min(1)
        std = (square / count.clamp_min(1) - mean.square()).clamp_min(0).sqrt()
        self.offset[seen] = (mean[seen] - self.mean.cpu()).to(self.offset)
        self.ratio[seen] = (std[seen] / self.std.cpu()).clamp_min(NARROWEST).to(self.ratio)

    def forget(self, label: Tensor, drawn: Tensor) -> Tensor:
        """(B,) labels of a training batch, those replaced by "not known" whose number is below the dropout.

        Args:
            label: (B,).
            drawn: (B,) uniform random numbers in [0, 1).
        """
        return label.masked_fill(drawn < self.dropout, self.unknown)

    def before_encoder(self, x: Tensor, label: Tensor | None) -> Tensor:
        """(B, 1, *shape) of the window, at its own level: with the statistics of all labels instead of its own."""
        offset, ratio = self._of(x, label)
        return (x - self.mean - offset) / ratio + self.mean

    def after_encoder(self, features: Tensor, label: Tensor | None) -> Tensor:
        """(B, *shape) of the encoder's features."""
        return self._film(self.encoder, features, label)

    def before_decoder(self, features: Tensor, label: Tensor | None) -> Tensor:
        """(B, *shape) of the decoder's features."""
        return self._film(self.decoder, features, label)

    def after_decoder(self, y: Tensor, label: Tensor | None) -> Tensor:
        """(B, 1, *shape) of the reconstruction, with the label's statistics: undoes `before_encoder`."""
        offset, ratio = self._of(y, label)
        return (y - self.mean) * ratio + offset + self.mean

    def _of(self, x: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """Offset and ratio of each window's label, shaped to spread over (B, 1, *shape)."""
        index = self._index(x, label)
        size = (len(x), 1, -1, 1) if x.dim() == 4 else (len(x), 1, -1)
        return self.offset[index].reshape(size), self.ratio[index].reshape(size)

    def _index(self, like: Tensor, label: Tensor | None) -> Tensor:
        return torch.full((len(like),), self.unknown, device=like.device) if label is None else label

    def _film(self, table: nn.Module, features: Tensor, label: Tensor | None) -> Tensor:
        scale, shift = table(self._index(features, label)).chunk(2, dim=1)
        size = (*scale.shape, *[1] * (features.dim() - 2))
        return features * (1 + scale.reshape(size)) + shift.reshape(size)
