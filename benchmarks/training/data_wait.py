"""How long a step waits for its batch, with data on the device and with data streamed from disk."""

import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import Row
from benchmarks.training.case import Case, later_median, on_disk
from pipeline.training.device import numerics

EPOCH_STEPS = {"mel_conv": 240, "wave_conv": 120, "wave_fc": 240}  # enough data for streaming to matter


def measure(case: Case) -> tuple[float, float]:
    """Seconds of an epoch's steps, and of the part in which they wait for their batches.

    The device finishes its work after each half of a step, so that nothing hides the wait.
    """
    config, epoch_seconds, wait_seconds = case.settings, [], []
    with numerics(config, case.device):
        trainer = case.trainer()
        for epoch in range(1, config.epochs + 1):
            wait, start = 0.0, trainer.synchronised_time()
            step_end, batches = start, trainer.train_data.epoch(config.batch_size, 0, epoch)
            while (batch := next(batches, None)) is not None:
                wait += trainer.synchronised_time() - step_end
                trainer.train_step(*batch)
                step_end = trainer.synchronised_time()
            wait_seconds.append(wait)
            epoch_seconds.append(step_end - start)
    return later_median(epoch_seconds), later_median(wait_seconds)


def rows() -> list[Row]:
    """The ratio is the time of the epoch over the wait: 50 or more is a wait of at most 2 %."""
    rows = []
    for name, steps in EPOCH_STEPS.items():
        case = Case.of(name, steps, epochs=3)
        with tempfile.TemporaryDirectory() as folder:
            settings = case.settings.model_copy(update={"resident_gib": 0.0})
            streamed_case = replace(case, train=on_disk(case.train, Path(folder)), settings=settings)
            times = {"resident": measure(case), "streamed": measure(streamed_case)}
        for source, (epoch, wait) in times.items():
            rows.append(Row(f"wait for batches, {source} ({case})", wait, "the steps of the epoch, with it", epoch))
        what = f"an epoch's steps, streamed ({case})"
        rows.append(Row(what, times["streamed"][0], "resident", times["resident"][0]))
    return rows
