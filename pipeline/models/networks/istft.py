"""Frames of the short-time Fourier transform, and ConvNeXt blocks at the frame rate.

After Vocos (Siuzdak 2023, arXiv 2306.00814), which makes waveforms by an inverse STFT: no layer works at the rate of
samples. Here the encoder is the mirror image of it. Blocks are those of ConvNeXt (Liu et al. 2022, arXiv 2201.03545).
"""

from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.config import IstftConfig, shrink
from pipeline.models.networks.layers import Head, Standardise
from pipeline.models.networks.strided1d import same_conv, strided_conv, transposed_conv
from pipeline.models.signal import Signal

KERNEL = 7  # frames that a block combines
EXPANSION = 3  # width inside a block, as a multiple of its channels (Vocos)
INITIAL_SCALE = 0.1  # initial factor of a residual branch (LayerScale, Touvron et al. 2021, arXiv 2103.17239)
FLOOR = 1e-3  # lowest magnitude; white noise at the level of the data has 1
MAX_LOG_MAGNITUDE = 10.0  # keeps exp finite; a sine of full scale reaches about 5


def logarithmic(spectrum: Tensor) -> Tensor:
    """Half the log magnitude, and cosine and sine of the phase, (..., 3) of spectra (..., 2).

    Magnitudes of music span several powers of ten: a linear layer of the complex numbers sees only the loudest. Half:
    so that magnitude and phase vary by about as much.
    """
    real, imaginary = spectrum.unbind(-1)
    magnitude = (real.square() + imaginary.square() + FLOOR**2).sqrt()
    return torch.stack((0.5 * magnitude.log(), real / magnitude, imaginary / magnitude), -1)


class Frames(nn.Module):
    """STFT of waveforms, and its exact inverse, both in 32 bits.

    ceil(samples / hop) frames: frame i starts `before` samples before i * hop, by default so that it is centred on the
    samples from i * hop to (i + 1) * hop. Beyond both ends of the waveform are zeros. Spectra are
    (B, frames, n_fft / 2 + 1, 2), real and imaginary parts. White noise of variance 1 has spectra with a mean square
    of 1. `n_fft` is a multiple of `hop`.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop: int, before: int | None = None) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.before = (n_fft - hop) // 2 if before is None else before
        hann = torch.hann_window(n_fft)
        self.register_buffer("window", hann / hann.norm(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Spectra of waveforms (B, samples)."""
        with torch.autocast(waveform.device.type, enabled=False):
            samples = waveform.shape[1]
            after = (shrink(samples, [self.hop])[-1] - 1) * self.hop + self.n_fft - self.before - samples
            padded = functional.pad(waveform.float(), (self.before, after))
            frames = padded.unfold(1, self.n_fft, self.hop)
            return torch.view_as_real(torch.fft.rfft(frames * self.window))

    def inverse(self, spectrum: Tensor, samples: int) -> Tensor:
        """Waveforms (B, samples) of spectra: the least-squares fit to their frames (Griffin and Lim 1984)."""
        with torch.autocast(spectrum.device.type, enabled=False):
            frames = torch.fft.irfft(torch.view_as_complex(spectrum.float().contiguous()), self.n_fft)
            overlap = self._overlap_add(self.window.square().expand(1, frames.shape[1], -1), samples)
            return self._overlap_add(frames * self.window, samples) / overlap

    def _overlap_add(self, frames: Tensor, samples: int) -> Tensor:
        """(B, samples) from (B, frames, n_fft). Parts of a hop each: the parts k of all frames follow each other."""
        parts = frames.unflatten(2, (-1, self.hop)).unbind(2)
        last = len(parts) - 1
        first, *others = [functional.pad(part, (0, 0, k, last - k)) for k, part in enumerate(parts)]
        return sum(others, start=first).flatten(1)[:, self.before : self.before + samples]


class Block(nn.Module):
    """x + scale * mlp(norm(depthwise convolution(x)))."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.depthwise = same_conv(width, KERNEL, causal, groups=width)
        inner = EXPANSION * width
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
        self.scale = nn.Parameter(torch.full((width,), INITIAL_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, frames), shape unchanged."""
        return x + (self.scale * self.mlp(self.depthwise(x).transpose(1, 2))).transpose(1, 2)


def _blocks(config: IstftConfig) -> list[Block]:
    return [Block(config.width, config.causal) for _ in range(config.layers)]


class IstftEncoder(nn.Module):
    """Waveforms (B, 1, samples) to features of `self.shape` = (width, positions)."""

    def __init__(self, config: IstftConfig, signal: Signal) -> None:
        super().__init__()
        width = config.width
        self.standardise = Standardise(signal)
        self.frames = Frames(config.n_fft, config.hop)
        self.shape = (width, shrink(signal.shape[0], [config.hop, *config.strides])[-1])
        self.first = nn.Linear(3 * (config.n_fft // 2 + 1), width)
        stages = [
            [*strided_conv(width, width, stride, causal=config.causal), *_blocks(config)] for stride in config.strides
        ]
        self.layers = nn.Sequential(*_blocks(config), *chain(*stages))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features (B, *self.shape)."""
        spectrum = logarithmic(self.frames(self.standardise(x).squeeze(1)))
        return [self.layers(self.first(spectrum.flatten(2)).transpose(1, 2))]


class IstftDecoder(nn.Module):
    """The mirror image of the encoder. The output of a stage may be too long: the end is cut off."""

    def __init__(self, config: IstftConfig, signal: Signal) -> None:
        super().__init__()
        width = config.width
        self.frames = Frames(config.n_fft, config.hop)
        self.samples, *sizes = shrink(signal.shape[0], [config.hop, *config.strides])
        self.sizes = sizes[-2::-1]
        self.stages = nn.ModuleList(
            nn.Sequential(*_blocks(config), transposed_conv(width, width, stride, config.causal))
            for stride in config.strides[::-1]
        )
        self.layers = nn.Sequential(*_blocks(config))
        self.last = nn.Linear(width, config.n_fft + 2)
        self.is_polar = config.head == "polar"
        self.head = Head("linear", signal)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Reconstruction (B, 1, samples) on the scale of the data."""
        (x,) = inputs
        for stage, size in zip(self.stages, self.sizes, strict=True):
            x = stage(x)[..., :size]
        spectrum = self.last(self.layers(x).transpose(1, 2)).unflatten(2, (-1, 2)).float()
        if self.is_polar:
            log_magnitude, phase = spectrum.unbind(-1)
            magnitude = log_magnitude.clamp_max(MAX_LOG_MAGNITUDE).exp()
            spectrum = torch.stack((magnitude * phase.cos(), magnitude * phase.sin()), -1)
        y: Tensor = self.head(self.frames.inverse(spectrum, self.samples).unsqueeze(1))
        return y
