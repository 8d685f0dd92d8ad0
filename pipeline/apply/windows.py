"""Turn audio into the windows that a model takes, exactly as the cache holds them, and turn a model's windows back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
import torch
from torch import Tensor

from pipeline.apply.variant import TrainedVariant
from pipeline.audio.cut import cut_windows, pad
from pipeline.audio.mel import log_mel
from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.audio.scale import INT16_PEAK, below_peak, limit, to_db, to_unit
from pipeline.core.errors import DataError

BATCH_SIZE = 16


@dataclass(frozen=True)
class Batch:
    """Consecutive windows."""

    starts: np.ndarray  # (B,) first sample of each window, at the representation's rate
    lengths: np.ndarray  # (B,) samples of each window before the recording ends; zeros follow
    x: Tensor  # (B, 1, *shape) as the model takes them
    peaks_db: np.ndarray  # (B,) each mel's peak; zeros for waveforms


def batches(variant: TrainedVariant, blocks: Iterable[np.ndarray], hop: int) -> Iterator[Batch]:
    """Every window of a recording, in (n,) blocks at the variant's rate; `hop` is in samples.

    The first window that reaches the recording's end is the last one. It is padded with zeros.
    """
    windows = _cut_windows(blocks, variant.length, hop)
    while part := list(islice(windows, BATCH_SIZE)):
        x, peaks_db = represent([pad(audio, variant.length) for _, audio in part], variant.representation)
        starts = np.array([start for start, _ in part])
        lengths = np.array([len(audio) for _, audio in part])
        yield Batch(starts, lengths, x.to(variant.device), peaks_db)


def _cut_windows(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Start and samples of each window; the last one may have fewer than `length` samples."""
    end = 0
    for start, audio in zip(count(0, hop), cut_windows(blocks, count(0, hop), length), strict=False):
        if start + len(audio) <= end:  # the previous window ended with the recording
            return
        end = start + len(audio)
        yield start, audio
        if len(audio) < length:
            return


def represent(windows: list[np.ndarray], config: MelConfig | WaveformConfig) -> tuple[Tensor, np.ndarray]:
    """(samples,) windows as a model takes them, (B, 1, *shape), and their peaks, (B,) in dB.

    The values are the same as in training, bit for bit: stored in 16 bits, then scaled to [0, 1] or [-1, 1].
    """
    if isinstance(config, WaveformConfig):
        stored = np.stack([np.rint(limit(audio) * INT16_PEAK).astype(np.int16) for audio in windows])
        return to_unit(torch.from_numpy(stored).float(), "waveform")[:, None], np.zeros(len(windows))
    mels_db = torch.stack([log_mel(config)(audio) for audio in windows])
    return to_unit(below_peak(mels_db).half().float(), "mel")[:, None], mels_db.amax((1, 2)).numpy()


def restore(y: Tensor, peaks_db: np.ndarray, variant: TrainedVariant) -> np.ndarray:
    """A model's windows (B, 1, *shape) as (B, samples), or (B, bands, frames) in dB; DataError if one is not finite."""
    values = finite_array(y.squeeze(1), variant, "output")
    if isinstance(variant.representation, WaveformConfig):
        return values
    return to_db(values.clip(0, 1)) + peaks_db[:, None, None].astype(np.float32)


def finite_array(tensor: Tensor, variant: TrainedVariant, noun: str) -> np.ndarray:
    """`tensor` as a float32 array; DataError if a value is not finite."""
    values = tensor.float().cpu().numpy()
    if not np.isfinite(values).all():
        raise DataError(
            f"variant {variant.name}, seed {variant.seed}: its {noun} is not finite; its training has diverged, "
            "train it again"
        )
    return values
