"""From audio to the windows that a model takes, exactly as the cache holds them, and back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count, islice

import numpy as np
import torch
from torch import Tensor

from pipeline.apply.trained import Trained
from pipeline.audio.cut import cut_windows, pad
from pipeline.audio.files import limit
from pipeline.audio.mel import LogMel
from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.audio.scale import INT16_PEAK, below_peak, to_db, to_unit
from pipeline.core.errors import DataError

BATCH = 16  # windows in a forward pass


@dataclass(frozen=True)
class Batch:
    """Consecutive windows.

    Attributes:
        starts: (B,) first sample of each, at the representation's rate.
        filled: (B,) samples of each before the recording ends; what follows is zero.
        x: (B, 1, *shape) as the model takes them.
        peaks: (B,) level of each mel's peak in dB; zeros for waveforms.
    """

    starts: np.ndarray
    filled: np.ndarray
    x: Tensor
    peaks: np.ndarray


def batches(trained: Trained, blocks: Iterable[np.ndarray], hop: int) -> Iterator[Batch]:
    """Every window of a recording, up to the first that reaches its end; the last is filled with zeros.

    Args:
        trained: the variant.
        blocks: the recording at the representation's rate, (n,) each.
        hop: samples from a window's start to the next one's.
    """
    cut = _windows(blocks, trained.length, hop)
    while part := list(islice(cut, BATCH)):
        audio = [pad(found, trained.length) for _, found in part]
        x, peaks = represent(audio, trained.representation)
        starts, filled = (np.array(values) for values in zip(*((s, len(a)) for s, a in part), strict=True))
        yield Batch(starts, filled, x.to(trained.device), peaks)


def _windows(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Start and samples, fewer than `length` of the last."""
    reached = 0
    for start, audio in zip(count(0, hop), cut_windows(blocks, count(0, hop), length), strict=False):
        if start + len(audio) <= reached:  # the one before ended with the recording
            return
        reached = start + len(audio)
        yield start, audio
        if len(audio) < length:
            return


def represent(windows: list[np.ndarray], config: MelConfig | WaveformConfig) -> tuple[Tensor, np.ndarray]:
    """Windows (samples,) as a model takes them, (B, 1, *shape), and the levels of their peaks, (B,) in dB.

    Bit for bit what a model is trained on: stored in 16 bits, then brought to [0, 1] or [-1, 1].
    """
    if isinstance(config, WaveformConfig):
        stored = np.stack([np.rint(limit(audio) * INT16_PEAK).astype(np.int16) for audio in windows])
        return to_unit(torch.from_numpy(stored).float(), "waveform")[:, None], np.zeros(len(windows))
    levels = torch.stack([_log_mel(config)(audio) for audio in windows])
    return to_unit(below_peak(levels).half().float(), "mel")[:, None], levels.amax((1, 2)).numpy()


def restore(y: Tensor, peaks: np.ndarray, trained: Trained) -> np.ndarray:
    """A model's windows (B, 1, *shape) as (B, *shape) samples, or levels of mel bands in dB.

    Raises:
        DataError: they are not finite.
    """
    values = y.squeeze(1).float().cpu().numpy()
    if not np.isfinite(values).all():
        raise DataError(
            f"variant {trained.name}, seed {trained.seed}: its output is not finite; its training has diverged, "
            "train it again"
        )
    if isinstance(trained.representation, WaveformConfig):
        return values
    return to_db(values.clip(0, 1)) + peaks[:, None, None].astype(np.float32)


@cache
def _log_mel(config: MelConfig) -> LogMel:
    return LogMel(config.sample_rate, config.n_fft, config.hop_length, config.bands)
