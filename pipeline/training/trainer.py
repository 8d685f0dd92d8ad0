"""Train one seed of a variant: everything between its settings and its weights."""

from dataclasses import dataclass
from typing import Any

import torch

from pipeline.core import distributed, workspace
from pipeline.core.errors import TrainingError
from pipeline.dataset.split import Split
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE, build
from pipeline.training import memory, pca
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.config import TrainConfig, VariantConfig
from pipeline.training.device import numerics, precision
from pipeline.training.loop import fit
from pipeline.training.progress import Log, Progress
from pipeline.training.records import History
from pipeline.training.snapshots import Snapshots


@dataclass(frozen=True)
class Job:
    """One seed of a variant: what config.json will say, which also decides the weights, and what it is trained with."""

    described: dict[str, Any]
    config: VariantConfig
    settings: TrainConfig
    splits: tuple[Split, Split]
    device: torch.device

    def __str__(self) -> str:
        return f"{self.described['variant']} seed {self.described['seed']}"


def learn(job: Job, checkpoints: Checkpoints, log: Log | None) -> tuple[VAE, History, Snapshots]:
    """Train the model, or fit it in closed form.

    Args:
        job: what is trained; where the data decide the number of latent dimensions, it is told.
        checkpoints: from which a training that was stopped goes on.
        log: takes the numbers; None on ranks other than 0, which just help.

    Raises:
        TrainingError: a loss or the gradient is not finite for many steps in a row, or the memory is too small.
        StoppedError: a signal asked for it.
    """
    config, settings, device = job.config, job.settings, job.device
    torch.manual_seed(job.described["seed"])
    model = build(job.described)
    if config.loss is None:
        assert log is not None
        workspace.say(f"{job}: fitted in closed form, on cpu")
        found = pca.fit(model, *job.splits, log.epoch)
        job.described["bottleneck"]["latent"] = model.latent_dims
        return model, *found
    objective = Objective(config.loss, model.level.signal)
    watch = Progress(str(job), settings.epochs, settings.batch_size, log)
    try:
        with numerics(settings, device), watch:
            memory.ensure(model.to(device), objective, job.splits, settings, device)
            if log is not None:
                where = f"{distributed.world_size()} x {device.type}" if distributed.world_size() > 1 else str(device)
                numbers = f"{sum(p.numel() for p in model.parameters()):,} parameters, {model.latent_dims} latent dims"
                workspace.say(f"{job}: {numbers}, on {where} in {precision(settings, device)}")
            found = fit(model, *job.splits, settings, objective, job.described["seed"], device, watch, checkpoints)
            return model, *found
    except TrainingError as error:
        raise TrainingError(f"{job}: {error}") from error
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        hint = "lower train.batch_size or the network's channels"
        raise TrainingError(f"{job}: {device} has too little memory; {hint}") from error
