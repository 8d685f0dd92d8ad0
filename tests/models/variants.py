"""Untrained models of the variants in params.yaml, random windows for them, and a short training.

Each network type with principal components is also here in the systems' own form, without them: <variant>_own. So are
small forms of istft, and of options that no variant in params.yaml has.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch

from pipeline.core.params import read_params
from pipeline.dataset.split import Split
from pipeline.losses.objective import Objective
from pipeline.models.config import Conv1dConfig, IstftConfig
from pipeline.models.signal import Signal
from pipeline.models.vae import VAE
from pipeline.schema import schema
from pipeline.training import pca
from pipeline.training.config import VariantConfig

PARAMS = schema.load(read_params())


def _own_forms() -> dict[str, VariantConfig]:
    first: dict[str, str] = {}
    for name, model in PARAMS.models.items():
        if model.network.components:
            first.setdefault(model.network.type, name)
    networks = {name: PARAMS.models[name].network.model_copy(update={"components": None}) for name in first.values()}
    return {f"{name}_own": PARAMS.models[name].model_copy(update={"network": net}) for name, net in networks.items()}


def _istft(**network) -> VariantConfig:
    config = IstftConfig(type="istft", n_fft=256, hop=64, width=32, layers=1, strides=[2], **network)
    return PARAMS.models["wave_conv"].model_copy(update={"network": config})


def _conv1d(**network) -> VariantConfig:
    config = Conv1dConfig(type="conv1d", channels=[8, 16], strides=[5, 5], **network)
    return PARAMS.models["wave_conv"].model_copy(update={"network": config})


PARAMS.models.update(_own_forms())
PARAMS.models["wave_istft"] = _istft()
PARAMS.models["wave_istft_components"] = _istft(components=64, head="linear")
PARAMS.models["wave_istft_causal"] = _istft(causal=True)
PARAMS.models["wave_conv_causal"] = _conv1d(causal=True)
PARAMS.models["wave_conv_pqmf"] = _conv1d(pqmf=4)
PARAMS.models["wave_conv_pqmf_components"] = _conv1d(pqmf=4, components=64)
VARIANTS = sorted(PARAMS.models)
LEARNED = [name for name in VARIANTS if PARAMS.models[name].loss]
FORMS = ("components", "causal", "pqmf")  # options that change the structure of a network
LABELS = torch.tensor([0, 1, 2, 3])  # three labels, and "unknown"


def representatives() -> list[str]:
    """Variants that together have every form of a network, bottleneck, layout and condition."""
    names: dict[str, set] = {}
    for name in VARIANTS:
        model = PARAMS.models[name]
        layout = getattr(model.bottleneck, "layout", None)
        network = model.network.type, *(bool(getattr(model.network, key, False)) for key in FORMS)
        parts = {network, model.bottleneck.type, layout, model.condition and model.condition.type}
        if parts - set().union(*names.values()):
            names[name] = parts
    return list(names)


def description_of(name: str, seconds: float = 1.0, network: dict | None = None, **bottleneck) -> dict:
    """config.json of an untrained model of the variant."""
    variant = PARAMS.models[name]
    representation = PARAMS.representations[variant.representation]
    shape = representation.shape(seconds)
    mel = representation.kind == "mel"
    return {
        **variant.model_dump(include={"network", "bottleneck", "scaling", "condition"}),
        "network": variant.network.model_dump() | (network or {}),
        "bottleneck": variant.bottleneck.model_dump() | bottleneck,
        "representation": representation.model_dump(),
        "kind": representation.kind,
        "shape": list(shape),
        "labels": ["a", "b", "c"] if variant.condition else [],
        "stats": {"mean": [0.5] * shape[0] if mel else 0.0, "std": [0.2] * shape[0] if mel else 0.1},
    }


def make_model(name: str, network: dict | None = None, **bottleneck) -> tuple[VAE, tuple[int, ...], str]:
    """A model at the start of a training on random windows, the shape and the kind of its windows."""
    description = description_of(name, network=network, **bottleneck)
    torch.manual_seed(0)
    model, shape, kind = VAE(description), tuple(description["shape"]), description["kind"]
    if model.bottleneck.baseline:
        x = windows(shape, kind, 9)[:, 0]
        stored = (80 * (x - 1)).half() if kind == "mel" else x
        ids = np.arange(9)
        data = Split(kind, shape, stored.numpy(), ids, ids.astype(str), np.repeat("a", 9))
        pca.fit_baseline(model, data, data)
    fit(model, windows(shape, kind, 256))  # more than the largest number of components
    return model, shape, kind


def fit(model: VAE, x: torch.Tensor) -> None:
    """Fit what has a closed form to windows (B, 1, *shape), as a training does before its first step."""
    model.fit(lambda: [(x, torch.arange(len(x)) % 3)])


@cache
def shared_model(name: str) -> tuple[VAE, torch.Tensor]:
    """A model in evaluation mode and four windows, built once. Tests only read them."""
    model, shape, kind = make_model(name)
    return model.eval(), windows(shape, kind)


def make_objective(name: str, seconds: float = 1.0) -> Objective:
    """The objective of a learned variant."""
    return Objective(PARAMS.models[name].loss, Signal.from_description(description_of(name, seconds)))


def minimise(optimiser: torch.optim.Optimizer, loss: Callable[[], torch.Tensor], steps: int) -> list[float]:
    """Take steps on the loss. Returns the loss before each of them."""
    losses = []
    for _ in range(steps):
        value = loss()
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        losses.append(float(value.detach()))
    return losses


def windows(shape: tuple[int, ...], kind: str, number: int = 4) -> torch.Tensor:
    """Random windows (number, 1, *shape) on the scale of the data."""
    values = torch.rand(number, 1, *shape, generator=torch.Generator().manual_seed(1))
    return values if kind == "mel" else (values - 0.5)
