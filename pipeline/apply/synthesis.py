"""A model's windows as sound: waveforms are cross-faded, mels are cross-faded and then inverted."""

from collections.abc import Iterable, Iterator

import numpy as np

from pipeline.apply import crossfade
from pipeline.apply.trained import Trained
from pipeline.audio.representation import MelConfig
from pipeline.audio.scale import FLOOR_DB

ITERATIONS = 32  # of Griffin-Lim
BLOCK_SECONDS = 60.0  # of mel inverted at once, so that memory does not grow with the length
JOIN_SECONDS = 0.5  # by which such blocks overlap


def unit(trained: Trained) -> int:
    """Samples at the representation's rate that one place along a window's last axis stands for."""
    return trained.representation.hop_length if isinstance(trained.representation, MelConfig) else 1


def places(trained: Trained) -> int:
    """Frames or samples of a window."""
    return trained.representation.shape(trained.seconds)[-1]


def heard(trained: Trained, windows: Iterable[np.ndarray], overlap: int) -> Iterator[np.ndarray]:
    """Blocks (n,) of audio at the representation's rate.

    Args:
        trained: the variant.
        windows: (samples,), or (bands, frames) in dB, as `windows.restore` gives them.
        overlap: by how many samples or frames each begins before the one before ends.
    """
    if isinstance(trained.representation, MelConfig):
        return inverted(crossfade.joined(windows, overlap, crossfade.levels), trained.representation)
    return crossfade.joined(windows, overlap, crossfade.sound)


def inverted(frames: Iterable[np.ndarray], config: MelConfig) -> Iterator[np.ndarray]:
    """Blocks of audio at `config.sample_rate`, `hop_length` samples for each frame, but for the last sample.

    Args:
        frames: consecutive parts (bands, n) of a mel, in dB.
        config: what it was made with.
    """
    from pipeline.audio.inversion import mel_to_audio  # takes seconds, which a waveform does not need

    hop = config.hop_length
    overlap = max(2, round(JOIN_SECONDS * config.sample_rate / hop))
    block = max(4 * overlap, round(BLOCK_SECONDS * config.sample_rate / hop))

    def audio() -> Iterator[np.ndarray]:
        for part in blocks(frames, block, overlap):
            peak = float(part.max())
            mel01 = np.maximum((part - peak) / FLOOR_DB + 1, 0)
            yield mel_to_audio(
                mel01, peak, config, part.shape[1] * hop - 1, ITERATIONS
            )  # the longest of so many frames

    return crossfade.joined(audio(), overlap * hop - 1, crossfade.sound)


def blocks(parts: Iterable[np.ndarray], size: int, overlap: int) -> Iterator[np.ndarray]:
    """Consecutive parts (..., n) as blocks of `size`, each beginning `overlap` before the one before ends.

    The last one is shorter, or up to an overlap longer, so that none holds only what the one before has.
    """
    held: list[np.ndarray] = []
    length = 0
    for part in parts:
        held.append(part)
        length += part.shape[-1]
        while length > size + overlap:
            whole = np.concatenate(held, axis=-1)
            yield whole[..., :size]
            held = [whole[..., size - overlap :]]
            length = held[0].shape[-1]
    if length:
        yield np.concatenate(held, axis=-1)
