"""Batch normalisation over the global batch."""

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.core import distributed


class _OverRanks(_BatchNorm):
    """torch's own on one rank and in evaluation; on several ranks with the mean and variance of all their values.

    Torch's SyncBatchNorm does not run on a CPU. In 32 bits, and the variance about the common mean, as torch does.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...), shape unchanged."""
        if not self.training or distributed.world_size() == 1:
            y: Tensor = super().forward(x)
            return y
        values, shape = x.float(), (1, -1, *[1] * (x.dim() - 2))
        axes = [axis for axis in range(x.dim()) if axis != 1]
        mean = distributed.all_reduce_mean(values.mean(axes))
        centred = values - mean.reshape(shape)
        variance = distributed.all_reduce_mean(centred.square().mean(axes))
        self._track(mean.detach(), variance.detach(), distributed.world_size() * x.numel() // x.shape[1])
        y = centred * (variance + self.eps).rsqrt().reshape(shape)
        if self.affine:
            y = y * self.weight.reshape(shape) + self.bias.reshape(shape)
        return y.to(x.dtype)

    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics towards those of a batch of `count` values a channel."""
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)


class BatchNorm1d(_OverRanks, nn.BatchNorm1d):
    """Over (B, C) or (B, C, L)."""


class BatchNorm2d(_OverRanks, nn.BatchNorm2d):
    """Over (B, C, H, W)."""
