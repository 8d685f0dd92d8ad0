"""Join a model's windows into one audio signal, without a click where they meet.

Waveforms are cross-faded. Mels are cross-faded in dB, then inverted in long blocks, and the blocks are cross-faded.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from pipeline.apply.variant import TrainedVariant
from pipeline.audio.inversion import Inversion
from pipeline.audio.scale import FLOOR_DB

MEL_BLOCK_SECONDS = 60.0  # inverted at once: memory does not grow with the recording's length
MEL_BLOCK_OVERLAP_SECONDS = 0.5

CrossFade = Callable[[np.ndarray, np.ndarray], np.ndarray]  # end of one window, begin of the next, to their mix


def to_audio(variant: TrainedVariant, windows: Iterable[np.ndarray], overlap: int) -> Iterator[np.ndarray]:
    """Join windows from `windows.restore` to (n,) blocks of audio at the variant's rate.

    Each window shares `overlap` positions (samples, or mel frames) with the window before.
    """
    if variant.inversion is not None:
        return invert_mel(join(windows, overlap, crossfade_mel), variant.inversion)
    return join(windows, overlap, crossfade_audio)


def invert_mel(parts: Iterable[np.ndarray], inversion: Inversion) -> Iterator[np.ndarray]:
    """Consecutive parts (bands, n) of a mel in dB to blocks of audio: `hop_length` samples a frame, in all one less."""
    hop, rate = inversion.config.hop_length, inversion.config.sample_rate
    overlap = max(2, round(MEL_BLOCK_OVERLAP_SECONDS * rate / hop))
    size = max(4 * overlap, round(MEL_BLOCK_SECONDS * rate / hop))

    def inverted_blocks() -> Iterator[np.ndarray]:
        for mel_db in split_blocks(parts, size, overlap):
            peak_db = float(mel_db.max())
            unit_mel = np.maximum((mel_db - peak_db) / FLOOR_DB + 1, 0)
            length = mel_db.shape[1] * hop - 1  # the longest signal that has this number of frames
            yield inversion(unit_mel, peak_db, length)

    return join(inverted_blocks(), overlap * hop - 1, crossfade_audio)


def split_blocks(parts: Iterable[np.ndarray], size: int, overlap: int) -> Iterator[np.ndarray]:
    """Consecutive parts (..., n) as blocks of `size` positions; each shares `overlap` positions with the block before.

    The last block has up to `size` + `overlap` positions, so that no block consists only of an overlap.
    """
    pending: list[np.ndarray] = []
    length = 0
    for part in parts:
        pending.append(part)
        length += part.shape[-1]
        while length > size + overlap:
            joined = np.concatenate(pending, axis=-1)
            yield joined[..., :size]
            pending = [joined[..., size - overlap :]]
            length = pending[0].shape[-1]
    if length:
        yield np.concatenate(pending, axis=-1)


def join(windows: Iterable[np.ndarray], overlap: int, crossfade: CrossFade) -> Iterator[np.ndarray]:
    """Overlapping windows (..., n) as consecutive parts of one signal along the last axis.

    All windows but the last must have at least 2 * `overlap` positions.
    """
    end: np.ndarray | None = None
    for window in windows:
        rest = window.shape[-1] - overlap
        if end is not None:
            window = np.concatenate([crossfade(end, window[..., :overlap]), window[..., overlap:]], axis=-1)
        yield window[..., :rest]
        end = window[..., rest:]
    if end is not None:
        yield end


def crossfade_mel(end: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """Cross-fade of two (bands, frames) in dB: linear in dB, so that equal values stay as they are."""
    weight = _fade_in(end.shape[-1])
    return end + weight * (begin - end)


def crossfade_audio(end: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """Cross-fade of two (samples,) that keeps the loudness, for any correlation.

    With weights that add up to 1, equal signals keep their loudness, but unlike ones lose up to 3 dB half-way. So the
    weights are divided by the gain that they have for two equally loud signals of this correlation (Fink, Holters and
    Zölzer, Signal-matched power-complementary cross-fading, DAFx 2016); for equal signals it is 1.
    """
    weight = _fade_in(len(end))
    power = np.sqrt(float(end @ end) * float(begin @ begin))
    correlation = min(1.0, max(0.0, float(end @ begin) / power)) if power > 0 else 1.0
    gain = np.sqrt(1 - 2 * (1 - correlation) * weight * (1 - weight))
    return ((1 - weight) * end + weight * begin) / gain.astype(np.float32)


def _fade_in(length: int) -> np.ndarray:
    """(length,) weights from 0 to 1 along a squared sine; 1 minus these fade out."""
    return (np.sin(0.5 * np.pi * (np.arange(length) + 0.5) / max(1, length)) ** 2).astype(np.float32)
