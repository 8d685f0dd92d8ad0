"""Loads a logged model: `mlflow.pyfunc.load_model(uri).predict(windows)` imports this module from the model's folder.

No other module imports it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.models import store
from pipeline.models.vae import VAE


class Reconstructor:
    """Reconstructs windows from the posterior's mean."""

    def __init__(self, model: VAE) -> None:
        self.model = model

    def predict(self, windows: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """Reconstructions of (N, *shape) float32 windows on the model's scale, [0, 1] or [-1, 1].

        A conditional variant gets the label "unknown".
        """
        x = torch.from_numpy(np.ascontiguousarray(windows, np.float32)).unsqueeze(1)
        label = torch.full((len(x),), len(self.model.labels))
        with torch.no_grad():
            y: np.ndarray = self.model.reconstruct(x, label).squeeze(1).numpy()
        return y


def _load_pyfunc(path: str) -> Reconstructor:
    """MLflow's entry point; `path` is the folder with the weights and config.json."""
    return Reconstructor(store.load(Path(path))[0])
