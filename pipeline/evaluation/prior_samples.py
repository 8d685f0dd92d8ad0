"""Are the windows that a variant draws silent, constant, or all the same?"""

from math import log10

import torch
from torch import Tensor

from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import Split
from pipeline.models.collapse import Spread
from pipeline.models.vae import VAE

DRAWN = 64


@torch.no_grad()
def score(model: VAE, test: Split, batch_size: int, device: torch.device) -> dict[str, float]:
    """Draw 64 windows from the prior, of the model's labels in turn, and compare how they vary with how the data do.

    Args:
        model: in evaluation mode, on `device`.
        test: the data.
        batch_size: of the decoder.
        device: where it runs.

    Returns:
        sample_variance_ratio: variance over windows at each place, averaged over places, over the data's: near 0 where
            all samples are the same, such as the train mean.
        sample_time_ratio: variance over time within a window (and band), averaged, over the data's: near 0 where they
            are constant or silent.
        sample_level_db: root mean square over the data's, in dB: waveforms only.

        Nothing for a model without a latent, of which nothing can be drawn.
    """
    if not model.latent_dims:
        return {}
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(DRAWN, device=device) % max(1, len(model.labels))
    drawn, data = Moments(), Moments()
    for part in labels.split(batch_size):
        drawn.add(model.sample(len(part), generator, part))
    for x, _ in window_loader(test, device).batches(batch_size):
        data.add(x)
    found = {
        "sample_variance_ratio": drawn.spread.variance() / max(data.spread.variance(), 1e-12),
        "sample_time_ratio": drawn.over_time / max(data.over_time, 1e-12),
    }
    if test.kind == "waveform":
        power = max(drawn.power, 1e-12) / max(data.power, 1e-12)
        found["sample_level_db"] = 10 * log10(power)
    return found


class Moments:
    """Gathers what `score` compares, batch by batch."""

    def __init__(self) -> None:
        self.spread = Spread()
        self._time = self._power = 0.0

    def add(self, x: Tensor) -> None:
        """(B, 1, *shape) windows."""
        self.spread.add(x)
        self._time += float(x.var(-1, correction=0).flatten(1).mean(1).sum())
        self._power += float(x.square().flatten(1).mean(1).sum())

    @property
    def over_time(self) -> float:
        """Mean over windows and bands of the variance over time."""
        return self._time / self.spread.count

    @property
    def power(self) -> float:
        """Mean square."""
        return self._power / self.spread.count
