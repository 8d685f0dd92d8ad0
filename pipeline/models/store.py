"""A trained model on disk: a safetensors for each part, and config.json. No params.yaml is needed to rebuild it."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import nn

from pipeline.core import workspace
from pipeline.core.errors import DataError
from pipeline.models.vae import VAE, build


def save(folder: Path, model: VAE, description: dict[str, Any]) -> None:
    """Write encoder, bottleneck and decoder, any other part that holds numbers, and what `build` takes."""
    for part, module in _parts(model):
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
        (folder / f"{part}.safetensors").write_bytes(to_bytes(state))
    workspace.write_json(folder / "config.json", description)


def load(folder: Path) -> tuple[VAE, dict[str, Any]]:
    """The model in evaluation mode, on the CPU, and its description.

    Raises:
        DataError: a file is missing or damaged.
    """
    try:
        description = workspace.read_json(folder / "config.json")
        model = build(description)
        for part, module in _parts(model):
            module.load_state_dict(load_file(folder / f"{part}.safetensors"))
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise DataError(f"{folder}: not a usable model ({error}); run `dvc repro train` to make it again") from error
    return model.eval(), description


def _parts(model: VAE) -> list[tuple[str, nn.Module]]:
    always = ("encoder", "bottleneck", "decoder")
    return [(name, module) for name, module in model.named_children() if name in always or module.state_dict()]
