"""A trained model on disk: three safetensors and config.json, from which it is rebuilt without params.yaml."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from pipeline import workspace
from pipeline.errors import DataError
from pipeline.models.config import BottleneckConfig, NetworkConfig
from pipeline.models.vae import VAE, build

PARTS = ("encoder", "bottleneck", "decoder")


def save(folder: Path, model: VAE, description: dict[str, Any]) -> None:
    """Write the three parts and `description`, which must hold network, bottleneck, shape and stats."""
    for part in PARTS:
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in getattr(model, part).state_dict().items()}
        (folder / f"{part}.safetensors").write_bytes(to_bytes(state))
    workspace.write_json(folder / "config.json", description)


def load(folder: Path) -> tuple[VAE, dict[str, Any]]:
    """The model in evaluation mode, on the CPU, and its description.

    Raises:
        DataError: a file is missing or damaged.
    """
    try:
        description = workspace.read_json(folder / "config.json")
        network = TypeAdapter(NetworkConfig).validate_python(description["network"])
        bottleneck = TypeAdapter(BottleneckConfig).validate_python(description["bottleneck"])
        model = build(network, bottleneck, tuple(description["shape"]), description["stats"])
        for part in PARTS:
            getattr(model, part).load_state_dict(load_file(folder / f"{part}.safetensors"))
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise DataError(f"{folder}: not a usable model ({error}); run `dvc repro train` to make it again") from error
    return model.eval(), description
