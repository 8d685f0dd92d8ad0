"""The mel scale of Slaney's Auditory Toolbox (1998) and its filters: librosa's numbers without its import."""

from collections.abc import Iterator

import numpy as np

LINEAR = 200 / 3  # Hz per mel below the border, above which the scale is logarithmic
BORDER_HERTZ = 1000.0
BORDER_MEL = BORDER_HERTZ / LINEAR
LOG_STEP = np.log(6.4) / 27  # of the frequency's logarithm, per mel


def hertz_to_mel(hertz: float) -> float:
    """The mels of a frequency."""
    return hertz / LINEAR if hertz < BORDER_HERTZ else float(BORDER_MEL + np.log(hertz / BORDER_HERTZ) / LOG_STEP)


def band_edges(sample_rate: float, bands: int) -> np.ndarray:
    """(bands + 2,) Hz from 0 to Nyquist, equally spaced in mels; band i rises from edge i, and falls to edge i + 2."""
    mels = np.linspace(0, hertz_to_mel(sample_rate / 2), bands + 2)
    return np.where(mels < BORDER_MEL, LINEAR * mels, BORDER_HERTZ * np.exp(LOG_STEP * (mels - BORDER_MEL)))


def mel_filters(sample_rate: float, n_fft: int, bands: int) -> np.ndarray:
    """(bands, n_fft // 2 + 1) float32 triangles over the bins of a power spectrum, each with the area 1 over Hz."""
    edges = band_edges(sample_rate, bands)
    widths = np.diff(edges)
    distances = np.subtract.outer(edges, np.fft.rfftfreq(n_fft, 1 / sample_rate))
    slopes = np.minimum(-distances[:-2] / widths[:-1, None], distances[2:] / widths[1:, None])
    triangles = np.maximum(0, slopes).astype(np.float32)
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def split_rows(matrix: np.ndarray, size: int) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Blocks of `size` rows of filters (bands, bins) or of their transpose: rows, columns and the block.

    The columns reach from the first to the last that is not zero. A filter covers few bins, so products with the blocks
    take a fraction of the time of a product with the matrix.
    """
    for first in range(0, len(matrix), size):
        rows = matrix[first : first + size]
        used = np.flatnonzero(rows.any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
        yield slice(first, first + len(rows)), columns, np.ascontiguousarray(rows[:, columns])
