"""Frechet audio distance by a network of one's own, such as VGGish or CLAP: their weights do not come with Melisma."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pipeline.audio.resample import resample
from pipeline.core import workspace
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import PARAMS_FILE
from pipeline.metrics.config import EmbeddingConfig
from pipeline.metrics.measures import frechet_distance

Embed = Callable[[np.ndarray], np.ndarray]  # (B, samples) at the common rate to (N, D)


def load(config: EmbeddingConfig | None, rate: int) -> Embed | None:
    """What brings audio at `rate` Hz to embeddings, of a window or of each of its frames; None where none is asked for.

    Raises:
        ParamsError: its file is not there.
        DataError: it is no exported program; and when it is used: it does not take what it is given.
    """
    if config is None:
        return None
    path = workspace.project() / config.path  # also from within a temporary workspace of DVC
    if not path.is_file():
        raise ParamsError(
            f"{PARAMS_FILE}: evaluate.embedding.path: no file {path}; save a network there with torch.export.save, "
            "or set evaluate.embedding to null"
        )
    try:
        network = torch.export.load(path).module()
    except Exception as error:  # of a zip file, of JSON, of what torch finds in them
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not what torch.export.save writes ({reason})") from error

    @torch.no_grad()
    def embed(audio: np.ndarray) -> np.ndarray:
        rows = np.stack([resample(row, rate, config.sample_rate) for row in audio])
        try:
            found: Tensor = network(torch.from_numpy(rows))
        except (RuntimeError, AssertionError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{path}: it does not take {rows.shape} float32 audio ({reason})") from error
        if found.dim() not in (2, 3):
            raise DataError(f"{path}: it gives {tuple(found.shape)}, not (windows, D) or (windows, frames, D)")
        return found.flatten(0, -2).double().numpy()

    return embed


def score(embed: Embed | None, audio: np.ndarray, original: np.ndarray) -> dict[str, float | None]:
    """frechet_audio: distance of the embeddings of what is heard to those of the originals (arXiv 1812.08466).

    In the embedding's own unit: it compares only with numbers of the same network and as many windows. Few windows
    make it larger (`evaluate.heard` says how many there are).

    Args:
        embed: from `load`; None gives None.
        audio: (H, samples) at the common rate.
        original: likewise.
    """
    return {"frechet_audio": None if embed is None else frechet_distance(embed(audio), embed(original))}
