"""A trained variant as MLflow loads it, with the code that lies beside it: `mlflow.pyfunc.load_model(uri).predict(x)`.

Named in the model's own file, and imported by nothing here.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.models import store
from pipeline.models.vae import VAE


class Reconstructor:
    """Windows to their reconstructions from the posterior's mean."""

    def __init__(self, model: VAE) -> None:
        self.model = model

    def predict(self, windows: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """(N, *shape) float32 windows on the model's own scale, [0, 1] or [-1, 1], to the same of what it rebuilds.

        A variant with a condition is told "not known" for the label.
        """
        x = torch.from_numpy(np.ascontiguousarray(windows, np.float32)).unsqueeze(1)
        label = torch.full((len(x),), len(self.model.labels))
        with torch.inference_mode():
            y: np.ndarray = self.model.reconstruct(x, label).squeeze(1).numpy()
        return y


def _load_pyfunc(path: str) -> Reconstructor:
    """What MLflow calls with the folder of the model's files."""
    return Reconstructor(store.load(Path(path))[0])
