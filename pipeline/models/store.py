"""Save and load a trained model: a safetensors file per part, and config.json. Loading needs no params.yaml."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import nn

from pipeline.core import workspace
from pipeline.core.artefacts import readable
from pipeline.models.vae import VAE


def save(folder: Path, model: VAE, description: dict[str, Any]) -> None:
    """Write each part of the model that has weights, and the description."""
    for part, module in _parts(model):
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
        (folder / f"{part}.safetensors").write_bytes(to_bytes(state))
    workspace.write_json(folder / "config.json", description)


def load(folder: Path, model_class: type[VAE] = VAE) -> tuple[VAE, dict[str, Any]]:
    """The model in evaluation mode on the CPU, and its description. DataError if a file is missing or damaged."""
    path = folder / "config.json"
    with _readable(path):
        description = workspace.read_json(path)
        model = model_class(description)
    for part, module in _parts(model):
        path = folder / f"{part}.safetensors"
        with _readable(path):
            module.load_state_dict(load_file(path))
    return model.eval(), description


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """`readable`, also for the errors of torch and safetensors."""
    with readable(path):
        try:
            yield
        except (RuntimeError, SafetensorError) as error:
            raise ValueError(error) from error


def _parts(model: VAE) -> list[tuple[str, nn.Module]]:
    always = ("encoder", "bottleneck", "decoder")  # even if they have no weights
    return [(name, module) for name, module in model.named_children() if name in always or module.state_dict()]
