"""Attention between patches of a waveform and a few latent tokens.

After system E of docs/variants.md, which had one token per sample and ran out of memory at one second. Here a strided
convolution makes patches, and latent tokens read them by cross-attention (Perceiver IO, Jaegle et al. 2022, arXiv
2107.14795). Positions are rotary (Su et al. 2021, arXiv 2104.09864), queries and keys are normalised (Dehghani et al.
2023, arXiv 2302.05442), and residual branches start small (LayerScale, Touvron et al. 2021, arXiv 2103.17239).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.config import TransformerConfig, shrink
from pipeline.models.networks.layers import Head, Standardise
from pipeline.models.networks.strided1d import strided_conv
from pipeline.models.signal import Signal

ROTARY_BASE = 100.0  # ratio of the longest to the shortest wavelength: about 600 to 6 patches
INITIAL_NEAR = 2.0  # see `Attention`
INITIAL_SCALE = 0.1  # initial factor of a residual branch


def rotary(positions: Tensor, channels: int) -> Tensor:
    """(2, positions, channels / 2) cosines and sines of the rotation of each pair of channels at each position."""
    angles = positions[:, None] * ROTARY_BASE ** (-torch.arange(0, channels, 2) / channels)
    return torch.stack((angles.cos(), angles.sin()))


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """(B, heads, positions, channels) with its pairs of channels rotated by `rotary`."""
    a, b = x.chunk(2, dim=-1)
    cosine, sine = rotation
    return torch.cat((a * cosine - b * sine, a * sine + b * cosine), dim=-1).to(x.dtype)


class Attention(nn.Module):
    """Attention from tokens to a context, which starts with the nearest positions.

    A constant (`near`) is added to normalised queries and keys before their rotation: its share of the score depends on
    the distance only, and is largest at distance 0. Values are not normalised, so that loudness is preserved.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.query_norm, self.key_norm = (nn.RMSNorm(width // heads) for _ in range(2))
        self.near = nn.Parameter(torch.full((2, heads, 1, width // heads), INITIAL_NEAR))

    def forward(self, x: Tensor, context: Tensor, rotation: Tensor, context_rotation: Tensor) -> Tensor:
        """(B, tokens, width) from tokens `x` (B, tokens, width) and a context (B, positions, width), see `rotary`."""
        q = rotate(self.query_norm(self._split(self.query(x))) + self.near[0], rotation)
        k = rotate(self.key_norm(self._split(self.key(context))) + self.near[1], context_rotation)
        v = self._split(self.value(context))
        y = functional.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v)
        return self.out(y.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """x + scale * attention(norm(x)), then x + scale * mlp(norm(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, heads)
        mlp = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        self.mlp = nn.Sequential(*mlp)
        self.scales = nn.Parameter(torch.full((2, width), INITIAL_SCALE))

    def forward(self, x: Tensor, rotation: Tensor) -> Tensor:
        """(B, tokens, width), shape unchanged."""
        normed = self.norm(x)
        x = x + self.scales[0] * self.attention(normed, normed, rotation, rotation)
        return x + self.scales[1] * self.mlp(x)


class _PatchesAndTokens(nn.Module):
    """Shared by encoder and decoder: positions of patches and latent tokens, and the blocks over the patches."""

    patches_at: Tensor
    tokens_at: Tensor

    def __init__(self, config: TransformerConfig, signal: Signal) -> None:
        super().__init__()
        number = shrink(signal.shape[0], [config.patch])[-1]
        channels = config.width // config.heads
        self.tokens = min(config.tokens, number)
        evenly_spaced = (torch.arange(self.tokens) + 0.5) * number / self.tokens - 0.5  # positions in patches
        self.register_buffer("patches_at", rotary(torch.arange(number), channels), persistent=False)
        self.register_buffer("tokens_at", rotary(evenly_spaced, channels), persistent=False)
        self.blocks = nn.ModuleList(Block(config.width, config.heads) for _ in range(config.layers))
        self.cross = Attention(config.width, config.heads)
        # The input of all cross-attention queries: only their rotary positions differ. (Checkpoints hold this name.)
        self.asks = nn.Parameter(torch.randn(1, 1, config.width))

    def _self_attention(self, patches: Tensor) -> Tensor:
        for block in self.blocks:
            patches = block(patches, self.patches_at)
        return patches


class TransformerEncoder(_PatchesAndTokens):
    """Waveforms (B, 1, samples) to features of `self.shape` = (width, tokens)."""

    def __init__(self, config: TransformerConfig, signal: Signal) -> None:
        super().__init__(config, signal)
        self.shape = (config.width, self.tokens)
        self.patches = nn.Sequential(Standardise(signal), *strided_conv(1, config.width, config.patch))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features (B, *self.shape)."""
        patches = self._self_attention(self.patches(x).transpose(1, 2))
        queries = self.asks.expand(len(x), self.shape[1], -1)
        return [self.cross(queries, patches, self.tokens_at, self.patches_at).transpose(1, 2)]


class TransformerDecoder(_PatchesAndTokens):
    """The mirror image of the encoder. The only input of a patch is its position and the latent tokens."""

    def __init__(self, config: TransformerConfig, signal: Signal) -> None:
        super().__init__(config, signal)
        self.offset, self.size = config.patch // 2, signal.shape[0]
        self.samples = nn.ConvTranspose1d(config.width, 1, 2 * config.patch, stride=config.patch)
        self.head = Head(config.head, signal)

    @property
    def last(self) -> nn.Module:
        """The layer that makes the samples of the window."""
        return self.samples

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Reconstruction (B, 1, samples) on the scale of the data."""
        (features,) = inputs
        tokens = features.transpose(1, 2)
        queries = self.asks.expand(len(tokens), self.patches_at.shape[1], -1)
        patches = self._self_attention(self.cross(queries, tokens, self.patches_at, self.tokens_at))
        y: Tensor = self.samples(patches.transpose(1, 2))
        y = self.head(y[..., self.offset : self.offset + self.size])
        return y
