"""Pseudo quadrature mirror filters (PQMF): a waveform as bands of equal width, each at a fraction of the sample rate.

All filters are one lowpass, multiplied by cosines (Nguyen 1994, Near-perfect-reconstruction pseudo-QMF banks, IEEE
Transactions on Signal Processing 42). As in Yang et al. 2020 (arXiv 2005.05106) and RAVE (Caillon and Esling 2021,
arXiv 2111.05011), the lowpass is a Kaiser window with an optimised cutoff (Lin and Vaidyanathan 1998).
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.models.config import shrink

BLOCKS = 12  # length of the filters in blocks; a block has as many samples as there are bands
BETA = 8.08  # of the Kaiser window: other bands are 82 dB down; with 12 blocks it reconstructs best


@cache
def lowpass(bands: int) -> np.ndarray:
    """(BLOCKS * bands,) lowpass with a cutoff near 1 / (2 * bands) of half the sample rate; its squares sum to 1."""
    from scipy import optimize  # slow to import, and few networks have bands

    taps = BLOCKS * bands
    time = np.arange(taps) - (taps - 1) / 2

    def windowed(cutoff: float) -> np.ndarray:
        h = np.sinc(cutoff * time) * np.kaiser(taps, BETA)
        return h / np.linalg.norm(h)

    def ripple(cutoff: float) -> float:
        """The bands' powers add up to a constant if the autocorrelation is 0 at all multiples of 2 * bands."""
        h = windowed(cutoff)
        return float(np.abs(np.correlate(h, h, "full")[taps - 1 :: 2 * bands][1:]).max())

    limits = 0.5 / bands, 0.7 / bands
    return windowed(optimize.minimize_scalar(ripple, bounds=limits, method="bounded", options={"xatol": 1e-9}).x)


class _FilterBank(nn.Module):
    """Filters that are nearly orthonormal: synthesis by the filters of the analysis reconstructs the waveform.

    Band k of M has the frequencies from k / (2 M) to (k + 1) / (2 M) of the sample rate. A waveform has
    ceil(samples / M) + BLOCKS - 1 positions: the filters also read zeros before its start and after its end, so that it
    is reconstructed up to both ends. Without autocast.

    Band k is divided by a scale that falls as 1 / (k + 1/2), about as the spectrum of music does, so that all bands
    have a similar level. Over the bands, the mean square of the scale is 1.
    """

    filters: Tensor
    scale: Tensor

    def __init__(self, bands: int, samples: int) -> None:
        super().__init__()
        self.bands, self.samples = bands, samples
        self.positions = shrink(samples, [bands])[-1] + BLOCKS - 1
        time, band = np.arange(BLOCKS * bands) - (BLOCKS * bands - 1) / 2, np.arange(bands)[:, None]
        cosines = np.cos((2 * band + 1) * np.pi / (2 * bands) * time + (-1.0) ** band * np.pi / 4)
        filters = torch.from_numpy(np.sqrt(2) * lowpass(bands) * cosines).float()
        # (bands, samples of a block, BLOCKS): a plain convolution over blocks is faster than one with a stride.
        scale = 1 / (torch.arange(bands) + 0.5)[:, None]
        self.register_buffer("scale", scale / scale.square().mean().sqrt(), persistent=False)
        self.register_buffer("filters", filters.unflatten(1, (BLOCKS, bands)).mT.contiguous(), persistent=False)


class Analysis(_FilterBank):
    """Waveforms (B, 1, samples) to bands (B, bands, positions)."""

    def forward(self, x: Tensor) -> Tensor:
        """See `_FilterBank`."""
        edge = (BLOCKS - 1) * self.bands
        with torch.autocast(x.device.type, enabled=False):
            padded = functional.pad(x.float(), (edge, edge + -self.samples % self.bands))
            return functional.conv1d(padded.reshape(len(x), -1, self.bands).mT, self.filters) / self.scale


class Synthesis(_FilterBank):
    """Bands (B, bands, positions) to waveforms (B, 1, samples)."""

    def forward(self, x: Tensor) -> Tensor:
        """See `_FilterBank`."""
        with torch.autocast(x.device.type, enabled=False):
            blocks = functional.conv_transpose1d(x.float() * self.scale, self.filters, padding=BLOCKS - 1)
            return blocks.mT.flatten(1)[:, None, : self.samples]
