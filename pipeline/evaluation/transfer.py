"""Does a conditional variant give a window the label that it is told to? Judged by a probe that knows real windows."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.dataset.batches import WindowLoader
from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import Split
from pipeline.models.collapse import Spread
from pipeline.models.condition import Condition
from pipeline.models.vae import VAE

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

FRAME = 256  # samples of a waveform of which a spectrum is taken, hop a half
QUIET = 1e-6  # added to a waveform's power before the logarithm, so that silence has one


def features(x: Tensor) -> np.ndarray:
    """(B, 2 * bands) of windows (B, 1, *shape): mean and standard deviation over time of each band.

    The bands are those of a mel, or the bins of a waveform's log-power spectra.
    """
    bands = x.squeeze(1).cpu()
    if bands.dim() == 2:
        spectra = torch.stft(bands, FRAME, FRAME // 2, window=torch.hann_window(FRAME), return_complex=True)
        bands = (spectra.abs().square() + QUIET).log()
    found: np.ndarray = torch.cat([bands.mean(-1), bands.std(-1)], dim=1).numpy()
    return found


def probe(train: WindowLoader, batch_size: int) -> "Pipeline":
    """Standardised logistic regression from `features` of the real windows of `train` to the index of their label."""
    from sklearn.linear_model import LogisticRegression  # takes a second, which only a conditional variant needs
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = [(features(x), label.cpu().numpy()) for x, label in train.batches(batch_size)]
    fitted: Pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return fitted.fit(*(np.concatenate(side) for side in zip(*parts, strict=True)))


def other(label: Tensor, labels: int, start: int = 0) -> Tensor:
    """(B,) for each of the windows numbered from `start` a label in [0, labels) that is not its own `label` (B,).

    Windows take all other labels in turn. One of a label that is not known may get any.
    """
    number = torch.arange(start, start + len(label), device=label.device)
    return (label + 1 + number % (labels - 1)) % labels


class Transfers(NamedTuple):
    """What the probe makes of transferred windows; nothing for a model without a condition, or of a single label.

    Attributes:
        windows: (test windows,) each, 1 where it holds and else 0. transfer_accuracy: the probe gives the transferred
            window the label that was asked for. transfer_statistics: likewise the window itself when only the label's
            statistics are swapped, with no model between: what the condition's input and output do alone.
            transfer_source: it gives the transferred window still its own label. transfer_real: it gives the window
            itself its own label. transfer_reconstruction: likewise its reconstruction.
        numbers: transfer_chance, one over the number of labels; transfer_change, mean squared difference of the
            reconstructions with the own and the other label, over the variance of the test windows at each of their
            places.
    """

    windows: dict[str, np.ndarray]
    numbers: dict[str, float]


@torch.no_grad()
def score(model: VAE, train: Split, test: Split, batch_size: int, device: torch.device) -> Transfers:
    """Transfer each test window to another label and have the probe name it.

    Args:
        model: in evaluation mode, on `device`.
        train: real windows that the probe learns from.
        test: windows that are transferred.
        batch_size: of the forward pass.
        device: where it runs.
    """
    if model.condition is None or len(model.labels) < 2:
        return Transfers({}, {})
    judge = probe(window_loader(train, device, model.labels), batch_size)
    data, spread = window_loader(test, device, model.labels), Spread()
    hits: dict[str, list[np.ndarray]] = {}
    change, seen = 0.0, 0
    for x, label in data.batches(batch_size):
        target = other(label, len(model.labels), seen)
        own, moved = model.reconstruct(x, label), model.transfer(x, label, target)
        spread.add(x)
        change += float((own - moved).square().flatten(1).mean(1).sum())
        seen += len(x)
        named = judge.predict(features(moved))
        for name, said, wanted in (
            ("transfer_accuracy", named, target),
            ("transfer_source", named, label),
            ("transfer_statistics", judge.predict(features(_moved(model.condition, x, label, target))), target),
            ("transfer_real", judge.predict(features(x)), label),
            ("transfer_reconstruction", judge.predict(features(own)), label),
        ):
            hits.setdefault(name, []).append(said == wanted.cpu().numpy())
    windows = {name: np.concatenate(parts).astype(np.float64) for name, parts in hits.items()}
    changed = change / seen / max(spread.variance(), 1e-12)
    return Transfers(windows, {"transfer_chance": 1 / len(model.labels), "transfer_change": changed})


def _moved(condition: Condition, x: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Windows with the statistics of label `source` taken off and those of `target` put on."""
    return condition.after_decoder(condition.before_encoder(x, source), target)
