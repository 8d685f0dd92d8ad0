"""Variants for a GPU with windows of one second; without a GPU the tests of this folder run on the CPU."""

from typing import Any

import pytest
import torch

from benchmarks.training.case import Case
from pipeline.core.params import read_params
from pipeline.training.trainer import Trainer
from tests.e2e.conftest import merged

CPU = torch.device("cpu")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
needs_cuda = pytest.mark.skipif(DEVICE.type != "cuda", reason="no CUDA device")

PLAIN = {"components": None, "encoder": "network"}
GAUSSIAN = {"type": "gaussian", "latent": 8}
TYPES = ["patch", "multi_scale_stft", "multi_period"]
# What no variant in params.yaml has: the variant that is changed, and the changes.
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "mel_mixture_skip": (
        "mel_conv",
        {
            "network": PLAIN | {"channels": [8, 16], "strides": 2, "skip": True, "norm": "instance"},
            "bottleneck": {"prior": {"type": "mixture"}},
            "loss": {"kl": {"estimator": "monte_carlo"}, "range": 0.1},
        },
    ),
    "mel_vamp_bce": (
        "mel_fc",
        {
            "network": PLAIN | {"head": "sigmoid"},
            "bottleneck": {"prior": {"type": "vamp"}},
            "loss": {"reconstruction": {"type": "bce"}, "kl": {"estimator": "monte_carlo"}},
        },
    ),
    "mel_levels": (
        "mel_hvae",
        {"loss": {"kl": {"schedule": "linear", "balance": True, "free_nats": 0.5, "free_nats_per": "level"}}},
    ),
    "mel_adversarial": (
        "mel_conv",
        {"loss": {"reconstruction": {"type": "l1"}, "adversarial": {"weight": 0.1, "feature_matching": 1.0}}},
    ),
    "mel_vq_adaptive": ("mel_vqvae", {"loss": {"codebook": {"adaptive": True, "usage": 0.1}}}),
    "wave_batch_norm": (
        "wave_conv",
        {
            "network": PLAIN | {"pqmf": 4, "channels": [8, 16], "strides": 5, "activation": "snake"},
            "bottleneck": {"batch_norm": True, "covariance": "isotropic", "prior": {"type": "normal"}},
            "scaling": "rms",
        },
    ),
    "wave_adversarial": (
        "wave_resnet",
        {
            "network": PLAIN,
            "scaling": "peak",
            "loss": {"spectral": {"type": "multi_mel"}, "adversarial": {"types": TYPES, "weight": 0.1}},
        },
    ),
    "wave_transformer_film": ("wave_transformer", {"network": PLAIN, "condition": {"type": "film", "dropout": 0.1}}),
}
RAW = merged(read_params(), {"windows": {"seconds": 1.0}, "models": {"wave_full": {"train": {"crop_seconds": 0.5}}}})
LEARNED = [name for name, model in RAW["models"].items() if "loss" in model]
RAW["models"] |= {name: merged(RAW["models"][base], changes) for name, (base, changes) in OPTIONS.items()}


def make_trainer(name: str, device: torch.device = DEVICE, steps: int = 3, **settings: Any) -> Trainer:
    """A trainer of so many steps in each of two epochs, before `prepare`; equal weights on every device."""
    return Case.of(name, steps, device, RAW, **{"epochs": 2, "warmup_steps": 2} | settings).trainer()
