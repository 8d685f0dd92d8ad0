"""Kernel audio distance by an embedding network of the user, such as VGGish or CLAP; Melisma brings no weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pipeline.audio.resample import resample
from pipeline.core import workspace
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.exported import load_exported
from pipeline.core.params import PARAMS_FILE
from pipeline.metrics.config import EmbeddingConfig
from pipeline.metrics.measures import kernel_distance

Embed = Callable[[np.ndarray], np.ndarray]  # (B, samples) at the common rate to (N, D)


def load(config: EmbeddingConfig, rate: int) -> Embed:
    """A function from audio at `rate` Hz to embeddings of windows or of their frames.

    Raises:
        ParamsError: the file is missing.
        DataError: the file is no exported program. The function raises it if the network does not take the audio.
    """
    path = _file(config)
    network = load_exported(path)

    def embed(audio: np.ndarray) -> np.ndarray:
        rows = np.stack([resample(row, rate, config.sample_rate) for row in audio])
        embeddings = network(torch.from_numpy(rows))
        if embeddings.dim() not in (2, 3):
            raise DataError(f"{path}: it gives {tuple(embeddings.shape)}, not (windows, D) or (windows, frames, D)")
        return embeddings.flatten(0, -2).double().numpy()

    return embed


def digest(config: EmbeddingConfig | None) -> str | None:
    """A hash of the network; None without a config. ParamsError if the file is missing."""
    return None if config is None else workspace.sha256(_file(config))[:16]


def _file(config: EmbeddingConfig) -> Path:
    path = workspace.project() / config.path  # not in a temporary workspace of DVC
    if not path.is_file():
        raise ParamsError(
            f"{PARAMS_FILE}: evaluate.embedding.path: no file {path}; save a network there with torch.export.save, "
            "or set evaluate.embedding to null"
        )
    return path


def score(
    config: EmbeddingConfig | None, rate: int, audio: np.ndarray, original: np.ndarray
) -> dict[str, float | None]:
    """kernel_audio_distance of the embeddings of reconstructions from those of originals, see `kernel_distance`.

    Compare it only for the same network. Audio is (H, samples) at `rate` Hz; None without a config. Errors as `load`.
    """
    if config is None:
        return {"kernel_audio_distance": None}
    embed = load(config, rate)
    return {"kernel_audio_distance": kernel_distance(embed(audio), embed(original))}
