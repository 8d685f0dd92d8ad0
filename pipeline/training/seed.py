"""Train one seed of a variant: from its description to its weights."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.core import distributed, workspace
from pipeline.core.errors import ParamsError, TrainingError
from pipeline.core.params import PARAMS_FILE
from pipeline.dataset.split import Split
from pipeline.losses.config import LossConfig
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE
from pipeline.training import pca
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.config import TrainConfig
from pipeline.training.crop import crop
from pipeline.training.device import numerics, precision
from pipeline.training.history import History, Snapshots
from pipeline.training.loop import fit
from pipeline.training.memory import check_memory, explain_out_of_memory
from pipeline.training.progress import Progress, Recorder
from pipeline.training.trainer import Trainer


@dataclass(frozen=True)
class SeedSetup:
    """Everything that decides one training."""

    description: dict[str, Any]  # content of config.json: it builds the model and decides the weights
    loss: LossConfig | None  # None for a baseline, which is fitted in closed form
    settings: TrainConfig
    folder: Path  # folder of the cached representation
    splits: dict[str, Split]  # train and valid
    device: torch.device
    model_class: type[VAE] = VAE

    def __str__(self) -> str:
        return f"{self.description['variant']} seed {self.description['seed']}"


def train_model(
    setup: SeedSetup, checkpoints: Checkpoints, recorder: Recorder | None
) -> tuple[VAE, History, Snapshots]:
    """Train the model from its latest checkpoint on, or fit a baseline in closed form. Raises as `loop.fit`.

    The recorder is None on ranks other than 0.
    """
    settings, device = setup.settings, setup.device
    train, valid = setup.splits["train"], setup.splits["valid"]
    torch.manual_seed(setup.description["seed"])
    model = setup.model_class(setup.description)
    check_components(model)
    if setup.loss is None:
        assert recorder is not None
        workspace.say(f"{setup}: fitted in closed form, on cpu")
        start = time.perf_counter()
        history, snapshots = pca.fit_baseline(model, train, valid)
        recorder.log_epoch(history[0] | {"seconds": time.perf_counter() - start})
        return model, history, snapshots
    progress = Progress(str(setup), settings.epochs, settings.batch_size, recorder)
    try:
        with explain_out_of_memory(device), numerics(settings, device), progress:
            model = step_model = model.to(device)
            if settings.crop_seconds is not None:
                step_model, train = crop(model, train, settings.crop_seconds)
            objective = Objective(setup.loss, step_model.gain.signal).to(device)
            check_memory(step_model, objective, [train, valid], settings, device)
            if recorder is not None:
                ranks = distributed.world_size()
                devices = f"{ranks} x {device.type}" if ranks > 1 else str(device)
                sizes = f"{sum(p.numel() for p in model.parameters()):,} parameters"
                sizes += f", {model.latent_dims} latent dims" if model.latent_dims else ""
                sizes += "" if step_model is model else f", crops of {settings.crop_seconds:g} s"
                workspace.say(f"{setup}: {sizes}, on {devices} in {precision(settings, device)}")
            trainer = Trainer(model, train, valid, settings, objective, setup.description["seed"], device, step_model)
            return model, *fit(trainer, progress, checkpoints)
    except TrainingError as error:
        raise TrainingError(f"{setup}: {error}") from error


def check_components(model: VAE) -> None:
    """ParamsError if there are more components than a patch of a window has values."""
    if model.components is not None:
        number, values = model.components.components.shape
        if number > values:
            key = f"{PARAMS_FILE}: models.{model.description['variant']}.network.components"
            raise ParamsError(f"{key}: {number} are more than the {values} values of a patch of the window; use fewer")
