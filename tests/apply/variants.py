"""Variants for tests: stand-ins that do something simple to a window, and tiny trained ones on disk."""

from pathlib import Path

import numpy as np
import torch

from pipeline.apply.variant import TrainedVariant
from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.models import store
from pipeline.models.vae import VAE
from pipeline.vocoder.read import read_inversion

RATE = 4000
SECONDS = 0.5
WAVEFORM = WaveformConfig(sample_rate=RATE)
MEL = MelConfig(sample_rate=RATE, n_fft=256, hop_length=64, bands=24)
CONFIGS = {"waveform": WAVEFORM, "mel": MEL}

GAUSSIAN = {"type": "gaussian", "latent": 4}
DENSE = {"type": "fc", "layers": 1, "width": 8}
VQ = {"type": "vq", "codes": 8, "dim": 2, "prior_width": 8}
CONVOLUTION = {"type": "conv2d", "channels": [4, 4]}


class Identity:
    """A model that returns its input."""

    latent_dims, labels, condition = 1, (), None

    def parameters(self):
        return iter(())

    buffers = parameters

    def reconstruct(self, x, label):
        return x


class Noise(Identity):
    """A model that returns other noise for each window: samples, or mel bands some dB apart."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(0)

    def reconstruct(self, x, label):
        noise = torch.randn(x.shape, generator=self.generator)
        return 0.1 * noise if x.dim() == 3 else 0.5 + 0.02 * noise


class Diverged(Identity):
    def reconstruct(self, x, label):
        return x * torch.nan


def stand_in(model, config, seconds=SECONDS) -> TrainedVariant:
    return TrainedVariant(
        "stand_in", 0, model, config, read_inversion(Path("nowhere"), config), seconds, Path("nowhere")
    )


def describe(kind, bottleneck=None, network=None, labels=(), **settings):
    """config.json of a variant; its default bottleneck keeps all of a window."""
    config = CONFIGS[kind]
    shape = config.shape(SECONDS)
    return {
        "network": network or {"type": "identity"},
        "bottleneck": bottleneck or {"type": "linear", "latent": int(np.prod(shape))},
        "condition": {"type": "film"} if labels else None,
        "labels": list(labels),
        "representation": config.model_dump(),
        "input": "tiny",
        "kind": kind,
        "shape": list(shape),
        "seconds": SECONDS,
        "stats": {
            "mean": [0.5] * shape[0] if kind == "mel" else 0.0,
            "std": [0.2] * shape[0] if kind == "mel" else 0.1,
        },
        **settings,
    }


def save(models: Path, name: str, description: dict, seed: int = 0) -> None:
    """Save a variant below `models`; one whose bottleneck keeps all of a window returns its input."""
    torch.manual_seed(seed)
    model = VAE(description)
    if description["bottleneck"].get("latent") == np.prod(description["shape"]):
        size = model.latent_dims
        model.bottleneck.set_components(torch.zeros(size), torch.eye(size), torch.full((size,), 0.1))
    folder = models / name / f"seed-{seed}"
    folder.mkdir(parents=True)
    store.save(folder, model, description)
