"""What is heard of a variant, or of a representation: its windows as audio at the common rate, and their scores."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.core.process import cores
from pipeline.metrics import measures
from pipeline.metrics.common_mel import CommonMel


def render(common: CommonMel, arrays: np.ndarray, peak_db: np.ndarray | None) -> np.ndarray:
    """(B, samples) float32 at the common rate of (B, *shape) windows on their own scale, several at a time.

    Args:
        common: of their representation.
        arrays: the windows.
        peak_db: (B,) their levels where they are mels.

    Raises:
        DataError: a mel is not finite.
    """
    levels = np.zeros(len(arrays)) if peak_db is None else peak_db
    # Set here once: each inversion sets it for itself, and threads that do so side by side would undo one another's.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as executor:
        found = list(executor.map(common.to_audio, arrays, levels.tolist()))
    return np.array(found, np.float32).reshape(-1, common.length)


def score(audio: np.ndarray, original: np.ndarray, rate: int) -> dict[str, np.ndarray]:
    """(B,) distances of (B, samples) audio from the originals, both at `rate` Hz."""
    found: dict[str, list[float]] = {"audio_stft_distance": [], "audio_log_spectral_distance": []}
    for y, x in zip(torch.from_numpy(audio), torch.from_numpy(original), strict=True):  # one fits the cache
        found["audio_stft_distance"].append(float(measures.stft_distance(y[None], x[None])))
        found["audio_log_spectral_distance"].append(float(measures.log_spectral_distance(y[None], x[None], rate)))
    return {name: np.array(values) for name, values in found.items()}
