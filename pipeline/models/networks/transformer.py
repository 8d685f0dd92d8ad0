"""Attention between patches of a waveform and a few latent tokens.

After system E of docs/variants.md, which ran out of memory on one second: here a strided convolution makes patches, and
latent tokens read them by cross-attention (Perceiver IO, Jaegle et al. 2022, arXiv 2107.14795). Positions are rotary
(Su et al. 2021, arXiv 2104.09864), queries and keys normalised (Dehghani et al. 2023, arXiv 2302.05442), and branches
scaled from near zero (LayerScale, Touvron et al. 2021, arXiv 2103.17239).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.config import TransformerConfig, shrink
from pipeline.models.networks.heads import Head, Standardise
from pipeline.models.networks.strided1d import down
from pipeline.models.signal import Signal

BASE = 100.0  # longest over shortest wavelength of the rotary positions: 6 to 600 patches
NEAR = 2.0  # constant part of queries and keys, to begin with: what is near is read first
SCALE = 0.1  # of a residual branch, to begin with


def rotary(places: Tensor, channels: int) -> Tensor:
    """(2, places, channels / 2) cosines and sines of the angles by which each pair of channels is turned at a place."""
    angles = places[:, None] * BASE ** (-torch.arange(0, channels, 2) / channels)
    return torch.stack((angles.cos(), angles.sin()))


def turn(x: Tensor, rotation: Tensor) -> Tensor:
    """(B, heads, places, channels) with its pairs of channels turned by `rotary`."""
    a, b = x.chunk(2, dim=-1)
    cosine, sine = rotation
    return torch.cat((a * cosine - b * sine, a * sine + b * cosine), dim=-1).to(x.dtype)


class Attention(nn.Module):
    """What each of (B, places, width) reads from a context, at first from what is near.

    Queries and keys are normalised, and a constant is added to both before they are turned: of it alone the product
    would depend on the distance and be largest at none. Values are not normalised, so that loudness survives.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.query_norm, self.key_norm = (nn.RMSNorm(width // heads) for _ in range(2))
        self.near = nn.Parameter(torch.full((2, heads, 1, width // heads), NEAR))

    def forward(self, x: Tensor, context: Tensor, at: Tensor, context_at: Tensor) -> Tensor:
        """(B, places, width) from (B, others, width); `at` and `context_at` are the `rotary` of their places."""
        q = turn(self.query_norm(self._split(self.query(x))) + self.near[0], at)
        k = turn(self.key_norm(self._split(self.key(context))) + self.near[1], context_at)
        v = self._split(self.value(context))
        read = functional.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v)
        y: Tensor = self.out(read.transpose(1, 2).flatten(2))
        return y

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """x + scale * attention(norm(x)), then x + scale * mlp(norm(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.scales = nn.Parameter(torch.full((2, width), SCALE))

    def forward(self, x: Tensor, at: Tensor) -> Tensor:
        """(B, places, width), shape unchanged."""
        normed = self.norm(x)
        x = x + self.scales[0] * self.attention(normed, normed, at, at)
        y: Tensor = x + self.scales[1] * self.mlp(x)
        return y


class _Side(nn.Module):
    """What encoder and decoder share: where patches and latent tokens lie, and the blocks over the patches."""

    patches_at: Tensor
    tokens_at: Tensor

    def __init__(self, config: TransformerConfig, signal: Signal) -> None:
        super().__init__()
        number = shrink(signal.shape[0], [config.patch])[-1]
        channels = config.width // config.heads
        self.tokens = min(config.tokens, number)
        spread = (torch.arange(self.tokens) + 0.5) * number / self.tokens - 0.5  # in patches
        self.register_buffer("patches_at", rotary(torch.arange(number), channels), persistent=False)
        self.register_buffer("tokens_at", rotary(spread, channels), persistent=False)
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.layers))
        self.cross = Attention(config.width, config.heads)
        # One for all places: rotary positions alone tell them apart.
        self.asks = nn.Parameter(torch.randn(1, 1, config.width))

    def _mix(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, self.patches_at)
        return x


class TransformerEncoder(_Side):
    """(B, 1, samples) in [-1, 1] to features of `self.shape` = (width, tokens)."""

    def __init__(self, config: TransformerConfig, signal: Signal) -> None:
        super().__init__(config, signal)
        self.shape = (config.width, self.tokens)
        self.patches = nn.Sequential(Standardise(signal), *down(1, config.width, config.patch))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of (B, *self.shape)."""
        patches = self._mix(self.patches(x).transpose(1, 2))
        asks = self.asks.expand(len(x), self.shape[1], -1)
        return [self.cross(asks, patches, self.tokens_at, self.patches_at).transpose(1, 2)]


class TransformerDecoder(_Side):
    """Features of (B, width, tokens) to (B, 1, samples). All that it knows of a patch is its place."""

    def __init__(self, config: TransformerConfig, signal: Signal) -> None:
        super().__init__(config, signal)
        self.offset, self.size = config.patch // 2, signal.shape[0]
        self.samples = nn.ConvTranspose1d(config.width, 1, 2 * config.patch, stride=config.patch)
        self.head = Head(config.head, signal)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Reconstruction on the data's scale."""
        (features,) = inputs
        tokens = features.transpose(1, 2)
        asks = self.asks.expand(len(tokens), self.patches_at.shape[1], -1)
        patches = self._mix(self.cross(asks, tokens, self.patches_at, self.tokens_at))
        y: Tensor = self.samples(patches.transpose(1, 2))
        y = self.head(y[..., self.offset : self.offset + self.size])
        return y
