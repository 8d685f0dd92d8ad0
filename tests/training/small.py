"""A small model, its data, and a callback to train it with."""

import numpy as np
import torch

from pipeline.dataset.split import Split
from pipeline.losses.config import LossConfig
from pipeline.losses.objective import Objective
from pipeline.models.signal import Signal
from pipeline.models.vae import VAE
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.config import TrainConfig
from pipeline.training.crop import crop
from pipeline.training.loop import fit
from pipeline.training.trainer import Trainer

CPU = torch.device("cpu")
SHAPE = (16, 20)


def split(number: int, seed: int) -> Split:
    """Mels with one bump of random position and width."""
    rng = np.random.default_rng(seed)
    bands, frames = np.mgrid[: SHAPE[0], : SHAPE[1]]
    centre, width = rng.uniform(2, 14, (number, 2)), rng.uniform(2, 5, (number, 1, 1))
    distance = (bands - centre[:, :1, None]) ** 2 + (frames - centre[:, 1:, None]) ** 2
    values = (-80 * (1 - np.exp(-distance / width**2))).astype(np.float16)
    ids = np.arange(number)
    return Split("mel", SHAPE, values, ids, ids.astype(str), np.repeat("a", number), np.zeros(number, np.float32))


TRAIN, VALID = split(96, 0), split(24, 1)


DESCRIPTION = {
    "kind": "mel",
    "shape": SHAPE,
    "stats": {"mean": [0.2] * SHAPE[0], "std": [0.3] * SHAPE[0]},
    "representation": {"kind": "mel", "sample_rate": 8000, "n_fft": 256, "hop_length": 128, "bands": SHAPE[0]},
}


def new_model(seed: int = 0, **parts) -> VAE:
    torch.manual_seed(seed)
    network, bottleneck = {"type": "conv2d", "channels": [8, 16]}, {"type": "gaussian", "latent": 6}
    return VAE(DESCRIPTION | {"network": network, "bottleneck": bottleneck} | parts)


def new_objective(**loss) -> Objective:
    return Objective(LossConfig(**loss), Signal.from_description(DESCRIPTION))


class Recording:
    """A callback that keeps all that the loop hands over."""

    def __init__(self):
        self.rows, self.steps, self.terms, self.step_terms, self.fitted = [], 0, [], {}, 0

    def on_fit(self, components):
        self.fitted = components

    def on_start(self, history, step, steps_per_epoch):
        self.start = (len(history), step, steps_per_epoch)

    def on_step(self, terms):
        self.steps += 1
        if terms:
            self.terms.append(terms)

    def on_epoch(self, row, timing):
        self.rows.append(row)

    def on_step_terms(self, first, rows):
        self.step_terms |= dict(enumerate(rows, first))


def train(model, objective, seed=0, callback=None, folder=None, **settings):
    """History and snapshots of a training, with checkpoints in `folder`."""
    config = TrainConfig(**{"batch_size": 16, "warmup_steps": 4, **settings})
    windows, step_model = TRAIN, None
    if config.crop_seconds is not None:
        step_model, windows = crop(model, TRAIN, config.crop_seconds)
        objective = Objective(objective.config, step_model.gain.signal)
    trainer = Trainer(model, windows, VALID, config, objective, seed, CPU, step_model)
    return fit(trainer, callback or Recording(), folder and Checkpoints(folder, 0))
