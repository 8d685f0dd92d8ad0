"""The loop against a step with nothing around it."""

from collections.abc import Callable

import torch

from benchmarks.measure import Row
from benchmarks.training.case import TURN_STEPS, VARIANTS, Case, TakeTurns, plain_loss
from pipeline.dataset.loader import window_loader
from pipeline.training.device import autocast
from pipeline.training.loop import fit
from pipeline.training.optimiser import make_optimiser


def bare_steps(case: Case, capturable: bool = False) -> Callable[[int], None]:
    """A function that trains for so many steps on one batch, already on the device.

    Precision, optimiser and clipping are those of the case. Terms are not logged. With `capturable`, a CUDA graph can
    capture a step, after some steps outside of it.
    """
    config, device = case.settings, case.device
    model, objective = case.untrained()
    model = model.to(memory_format=torch.channels_last) if config.channels_last else model
    model.train()
    optimiser = make_optimiser(model.parameters(), config, device)
    for group in optimiser.param_groups:
        group["capturable"] = capturable
    x, label = window_loader(case.train, device, model.labels).batch(torch.arange(config.batch_size))

    def run(steps: int) -> None:
        for _ in range(steps):
            with autocast(config, device):
                total, _ = plain_loss(model, objective, x, label)
            (total / objective.signal.size).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)  # here: memory of a graph must not hold gradients from before it

    return run


def measure(case: Case) -> Row:
    """Steps of the loop, with batches, guard and mean terms, in turn with bare ones."""
    turns = TakeTurns(bare_steps(case), case.device)
    fit(case.trainer(), turns)
    return turns.row(f"{TURN_STEPS} steps in the loop ({case})", "bare steps on one batch")


def rows() -> list[Row]:
    """The ratio is the speed of the loop as a share of that of the bare step."""
    return [measure(Case.of(name)) for name in VARIANTS]
