"""A small model, its data, and a callback to train it with."""

import numpy as np
import torch

from pipeline.dataset.split import Split
from pipeline.losses.config import LossConfig
from pipeline.losses.objective import Objective
from pipeline.models.signal import Signal
from pipeline.models.vae import VAE
from pipeline.models.vocoder import Vocoder
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.config import TrainConfig
from pipeline.training.crop import crop
from pipeline.training.loop import fit
from pipeline.training.trainer import Trainer
from pipeline.vocoder.config import VocoderConfig

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
SAMPLES, RATE, CROP = 800, 4000, 320
SECONDS = CROP / RATE
ISTFT = {"type": "istft", "n_fft": 64, "hop": 32, "width": 8, "layers": 1, "head": "linear", "components": 4}
SEQUENCE = {"type": "gaussian", "latent": 4, "layout": "sequence"}
VOCODER_LOSS = VocoderConfig().loss.model_dump()


def waveforms(rows: int, samples: int, windows: int | None = None, seed: int = 0) -> Split:
    """Sines of random frequency and phase; each row holds so many windows."""
    rng = np.random.default_rng(seed)
    frequency, phase = rng.uniform(0.01, 0.05, (rows, 1)), rng.uniform(0, 2 * np.pi, (rows, 1))
    values = (16_000 * np.sin(2 * np.pi * frequency * np.arange(samples) + phase)).astype(np.int16)
    ids, labels = np.arange(rows), np.where(np.arange(rows) % 2, "a", "b")
    spans = {} if windows is None else {"lengths": np.full(rows, samples), "windows": np.full(rows, windows)}
    return Split("waveform", (SAMPLES,), values, ids, ids.astype(str), labels, **spans)


WAVE_TRAIN, WAVE_VALID = waveforms(32, SAMPLES), waveforms(8, SAMPLES, seed=1)


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


WAVE_DESCRIPTION = {
    "variant": "a",
    "kind": "waveform",
    "shape": [SAMPLES],
    "stats": {"mean": 0.0, "std": 0.35},
    "representation": {"kind": "waveform", "sample_rate": RATE},
}


def new_wave_model(seed: int = 0, **parts) -> VAE:
    torch.manual_seed(seed)
    network = {"type": "conv1d", "channels": [8, 16], "strides": [4, 4], "activation": "leaky_relu"}
    return VAE(WAVE_DESCRIPTION | {"network": network, "bottleneck": SEQUENCE} | parts)


def new_vocoder(seed: int = 0, iterations: int = 1) -> Vocoder:
    torch.manual_seed(seed)
    mel = {"kind": "mel", "sample_rate": RATE, "n_fft": 64, "hop_length": 16, "bands": 12}
    return Vocoder(WAVE_DESCRIPTION | {"mel": mel, "network": {"width": 8, "layers": 1, "iterations": iterations}})


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


def train(model, objective, seed=0, callback=None, folder=None, device=CPU, **settings):
    """History and snapshots of a training, with checkpoints in `folder`; of a waveform model with the same losses."""
    model = model.to(device)
    config = TrainConfig(**{"batch_size": 16, "warmup_steps": 4, **settings})
    windows, valid, step_model = TRAIN, VALID, model
    if model.gain.signal.kind == "waveform":
        windows, valid = WAVE_TRAIN, WAVE_VALID
        if config.crop_seconds is not None:
            step_model, windows = crop(model, windows, config.crop_seconds)
        objective = Objective(objective.config, step_model.gain.signal)
    trainer = Trainer(model, windows, valid, config, objective, seed, device, step_model)
    return fit(trainer, callback or Recording(), folder and Checkpoints(folder, 0))
