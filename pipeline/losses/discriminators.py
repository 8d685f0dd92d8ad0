"""Discriminators: small convolutional networks that distinguish originals from reconstructions.

Each is a view of the windows and convolutions over it. To add one, write a function from (signal, width) to networks,
and name it in `DISCRIMINATORS` and in `AdversarialConfig`.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from pipeline.models.networks.layers import Standardise
from pipeline.models.signal import Signal

SLOPE = 0.2  # of LeakyReLU
STFT_SIZES = (2048, 1024, 512)  # samples of a window
PERIODS = (2, 3, 5, 7, 11)  # samples


class Discriminator(nn.Module):
    """Convolutions over a view of windows (B, 1, *shape): the features of each layer but the last, and then scores.

    A score above 0 means that a patch looks original.
    """

    def __init__(self, view: nn.Module, convolutions: Iterable[nn.Module]) -> None:
        super().__init__()
        self.view, self.convolutions = view, nn.ModuleList(convolutions)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, channels, ...) each; the scores have one channel."""
        features, x = [], self.view(x)
        for convolution in self.convolutions[:-1]:
            x = functional.leaky_relu(convolution(x), SLOPE)
            features.append(x)
        return [*features, self.convolutions[-1](x)]


class Spectrum(nn.Module):
    """The complex STFT of a waveform as an image of two channels: the real and the imaginary part."""

    def __init__(self, size: int) -> None:
        super().__init__()
        hann = torch.hann_window(size)
        self.register_buffer("window", hann / hann.norm(), persistent=False)  # white noise keeps its variance

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, samples) to (B, 2, frames, bins). A waveform that is shorter than a window is one frame."""
        window = self.get_buffer("window")
        x = functional.pad(x.flatten(1), (0, max(0, len(window) - x.shape[-1])))
        spectrum = torch.fft.rfft(x.unfold(1, len(window), len(window) // 4) * window)
        return torch.view_as_real(spectrum).movedim(-1, 1)


class Fold(nn.Module):
    """A waveform as an image whose rows are one period long; samples after the last row are left out."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, samples) to (B, 1, rows, period)."""
        return x[..., : x.shape[-1] // self.period * self.period].unflatten(-1, (-1, self.period))


def patch(signal: Signal, width: int) -> list[Discriminator]:
    """Patch discriminator (Isola et al. 2017, arXiv 1611.07004), of a mel or of samples.

    It has spectral normalisation (Miyato et al. 2018, arXiv 1802.05957).
    """
    mel = signal.kind == "mel"
    convolution: type[nn.Conv1d | nn.Conv2d] = nn.Conv2d if mel else nn.Conv1d
    kernel, stride = (4, 2) if mel else (16, 4)
    channels = (1, width, 2 * width, 4 * width)
    layers = [spectral_norm(convolution(channels[i], channels[i + 1], kernel, stride, kernel // 2)) for i in range(3)]
    return [Discriminator(Standardise(signal), [*layers, spectral_norm(convolution(channels[-1], 1, 3, padding=1))])]


def multi_scale_stft(signal: Signal, width: int) -> list[Discriminator]:
    """Multi-scale STFT discriminator of EnCodec (Défossez et al. 2022, arXiv 2210.13438).

    One network for each size of a window, with a hop of a quarter: kernels of 3 frames x 9 bins, dilations of 1, 2 and
    4 frames, a stride of 2 bins, weight normalisation. The sizes are three of its five, as in the Descript Audio Codec.
    """

    def network(size: int) -> Discriminator:
        view = nn.Sequential(Standardise(signal), Spectrum(size))
        dilated = [nn.Conv2d(width, width, (3, 9), (1, 2), (dilation, 4), (dilation, 1)) for dilation in (1, 2, 4)]
        last = [nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, 1, 3, padding=1)]
        layers = [nn.Conv2d(2, width, (3, 9), padding=(1, 4)), *dilated, *last]
        return Discriminator(view, map(weight_norm, layers))

    return [network(size) for size in STFT_SIZES]


def multi_period(signal: Signal, width: int) -> list[Discriminator]:
    """Multi-period discriminator of HiFi-GAN (Kong et al. 2020, arXiv 2010.05646).

    One network for each period: kernels along the rows of 5, strides of 3, weight normalisation. Its widths are 32 to
    1,024; here they are `width` times 1, 2, 4 and 4.
    """

    def network(period: int) -> Discriminator:
        channels = (1, width, 2 * width, 4 * width, 4 * width)
        strides = (3, 3, 3, 1)
        layers = [
            nn.Conv2d(channels[i], channels[i + 1], (5, 1), (stride, 1), (2, 0)) for i, stride in enumerate(strides)
        ]
        layers.append(nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0)))
        return Discriminator(nn.Sequential(Standardise(signal), Fold(period)), map(weight_norm, layers))

    return [network(period) for period in PERIODS]


DISCRIMINATORS: dict[str, Callable[[Signal, int], list[Discriminator]]] = {
    "patch": patch,
    "multi_scale_stft": multi_scale_stft,
    "multi_period": multi_period,
}
