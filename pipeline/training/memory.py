"""Check before a training that the memory is enough, and say what to lower if it is not."""

import copy
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped]
import torch

from pipeline.core import distributed
from pipeline.core.errors import TrainingError
from pipeline.dataset.split import Split
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE
from pipeline.training.batch_loss import batch_loss
from pipeline.training.config import TrainConfig
from pipeline.training.device import autocast
from pipeline.training.optimiser import make_optimiser

GIB = 2**30
OUT_OF_MEMORY = ("can't allocate memory", "out of memory")  # the CPU's allocator; MPS


@contextmanager
def explain_out_of_memory(device: torch.device) -> Iterator[None]:
    """Turn torch's errors of missing memory into a TrainingError of one line that says what to lower."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in OUT_OF_MEMORY):
            advice = "lower train.batch_size or train.resident_gib, or take a smaller network"
            raise TrainingError(f"{device} has too little memory; {advice}") from error
        raise


def check_memory(
    model: VAE, objective: Objective, splits: Sequence[Split], config: TrainConfig, device: torch.device
) -> None:
    """Find out before a training whether its memory is enough. All ranks call this.

    On a GPU (CUDA or MPS) one step is tried, unless the model is compiled: compiled steps take less. On a CPU the
    system swaps or kills instead of raising an error, so a lower bound is compared with the free memory: the splits to
    load, gradients, two moments, and weights and buffers of the selected epoch. Activations and limits of containers do
    not count.

    TrainingError if the CPU has too little memory, else torch's error; see `explain_out_of_memory`.
    """
    resident = [split for split in splits if split.nbytes <= config.resident_gib * GIB]
    if device.type != "cpu":
        if not config.compile:
            probe_step(model, objective, config, device, sum(split.nbytes for split in resident))
        return
    available = min(distributed.all_gather_object(psutil.virtual_memory().available))  # before any rank loads data
    data = sum(split.nbytes for split in resident if not split.is_loaded)
    weights, buffers = (sum(t.nbytes for t in part) for part in (model.parameters(), model.buffers()))
    need = data + 4 * weights + buffers
    share = available / int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if need > share:
        numbers = f"needs at least {need / GIB:.3g} GiB of memory and {share / GIB:.3g} GiB are free"
        raise TrainingError(f"{numbers}; lower train.resident_gib or take a smaller network")


def probe_step(model: VAE, objective: Objective, config: TrainConfig, device: torch.device, data_bytes: int) -> None:
    """One step of a copy of the model, on random windows, at the real batch size and precision.

    Neither the model, the losses nor torch's random state change. The copy takes as much as the weights of the selected
    epoch, which a training keeps beside the model; `data_bytes` are allocated for the resident splits. The step is one
    of the last, which has all terms. Errors are those of torch.
    """
    trained, objective = copy.deepcopy(model).train(), copy.deepcopy(objective)
    held = [torch.empty(data_bytes, dtype=torch.uint8, device=device)]
    if config.moving_average is not None:
        held += [torch.empty_like(value) for value in model.state_dict().values()]
    if config.channels_last:
        trained = trained.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = make_optimiser(trained.parameters(), config, device)
    size = config.batch_size // distributed.world_size()
    for parameter in trained.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()  # allocates its moments, which later steps hold
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        x = torch.rand(size, 1, *objective.signal.shape, device=device)
        noise = torch.randn(size, model.latent_dims, device=device)
        label = torch.zeros(size, dtype=torch.long, device=device)
        with autocast(config, device):
            loss, _ = batch_loss(trained, objective, x, noise, label, 1.0)
        (loss / objective.signal.size).backward()
