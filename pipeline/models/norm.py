"""Batch normalisation over the global batch."""

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.core import distributed


class _GlobalBatchNorm(_BatchNorm):
    """Torch's batch norm on one rank and in evaluation. On several ranks, statistics of the global batch.

    Torch's SyncBatchNorm does not run on a CPU. As there, statistics are in 32 bits and the variance is taken around
    the global mean.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...), shape unchanged."""
        if not self.training or distributed.world_size() == 1:
            return super().forward(x)
        values, shape = x.float(), (1, -1, *[1] * (x.dim() - 2))
        axes = [axis for axis in range(x.dim()) if axis != 1]
        mean = distributed.all_reduce_mean(values.mean(axes))
        centred = values - mean.reshape(shape)
        variance = distributed.all_reduce_mean(centred.square().mean(axes))
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        assert self.num_batches_tracked is not None
        count = distributed.world_size() * x.numel() // x.shape[1]  # values per channel
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.detach(), self.momentum)
        self.running_var.lerp_(variance.detach() * (count / (count - 1)), self.momentum)
        y = centred * (variance + self.eps).rsqrt().reshape(shape)
        if self.affine:
            y = y * self.weight.reshape(shape) + self.bias.reshape(shape)
        return y.to(x.dtype)


class BatchNorm1d(_GlobalBatchNorm, nn.BatchNorm1d):
    """Over (B, C) or (B, C, L)."""


class BatchNorm2d(_GlobalBatchNorm, nn.BatchNorm2d):
    """Over (B, C, H, W)."""
