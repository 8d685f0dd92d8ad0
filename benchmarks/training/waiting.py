"""How long a step waits for its batch, from the device's memory and from disk."""

import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import Row
from benchmarks.training.study import Study, typical
from benchmarks.windows import on_disk
from pipeline.training.device import numerics
from pipeline.training.loop import Training

STEPS = {"mel_conv": 240, "wave_conv": 120, "wave_fc": 240}  # of an epoch: what is streamed is no small set


def measure(study: Study) -> tuple[float, float]:
    """Seconds of an epoch's steps, and of the part of them for which the next batch was not there.

    The device is waited for after each half of a step, so that nothing hides the wait.
    """
    config, waits, wholes = study.settings, [], []
    model, objective = study.untrained()
    with numerics(config, study.device):
        run = Training(model, study.train, study.valid, config, objective, 0, study.device)
        for epoch in range(1, config.epochs + 1):
            wait, began = 0.0, run.waited()
            asked, batches = began, run.data.epoch(config.batch_size, 0, epoch)
            while (batch := next(batches, None)) is not None:
                wait += run.waited() - asked
                run.advance(*batch)
                asked = run.waited()
            waits.append(wait)
            wholes.append(asked - began)
    return typical(wholes), typical(waits)


def rows() -> list[Row]:
    """The ratio is how many times as long the whole takes: 50 or more is a wait of at most 2 %."""
    found = []
    for name, steps in STEPS.items():
        study = Study.of(name, steps, epochs=3)
        with tempfile.TemporaryDirectory() as folder:
            stored = replace(study, train=on_disk(study.train, Path(folder)))
            streamed = replace(stored, settings=study.settings.model_copy(update={"resident_gib": 0.0}))
            cells = {"resident": measure(study), "streamed": measure(streamed)}
        for said, (whole, wait) in cells.items():
            found.append(Row(f"wait for batches, {said} ({study})", wait, "the steps of the epoch, with it", whole))
        steps = "an epoch's steps"
        found.append(Row(f"{steps}, streamed ({study})", cells["streamed"][0], "resident", cells["resident"][0]))
    return found
