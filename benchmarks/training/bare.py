"""The loop against a step with nothing around it."""

from collections.abc import Callable

import torch

from benchmarks.measure import Row
from benchmarks.training.study import TURN, VARIANTS, InTurn, Study
from pipeline.dataset.loader import window_loader
from pipeline.training.device import autocast
from pipeline.training.loop import BETAS


def bare(study: Study) -> Callable[[int], None]:
    """Steps on one batch that is on the device: precision, optimiser and clipping of the study, nothing else.

    Noise is drawn, as the loss of a VAE needs it. The loss is written out, without the terms that the loop logs.
    """
    config, device = study.settings, study.device
    model, objective = study.untrained()
    model = model.to(memory_format=torch.channels_last) if config.channels_last else model
    model.train()
    optimiser = torch.optim.AdamW(
        model.parameters(), config.learning_rate, BETAS, weight_decay=config.weight_decay, fused=device.type != "mps"
    )
    x, label = window_loader(study.train, device, model.labels).batch(torch.arange(config.batch_size))

    def run(steps: int) -> None:
        for _ in range(steps):
            noise = torch.randn(len(x), model.latent_dims, device=device)
            with autocast(config, device):
                y, code = model(x, noise, label)
                distances = objective.distances(y, x, code) | objective.discriminator_step(y, x, code)
                nats = objective.nats(objective.combined(distances)).mean()
                total = nats + objective.regulariser(objective.divergence(code), code, 0.5)
            optimiser.zero_grad(set_to_none=True)
            (total / objective.signal.values).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimiser.step()

    return run


def measure(study: Study) -> Row:
    """Steps of the loop, with batches, guard and means of terms, in turn with bare ones."""
    watch = InTurn(bare(study), study.device)
    study.fit(watch)
    return watch.row(f"{TURN} steps in the loop ({study})", "bare steps on one batch")


def rows() -> list[Row]:
    """The ratio is the loop's speed as a share of the bare step's."""
    return [measure(Study.of(name)) for name in VARIANTS]
