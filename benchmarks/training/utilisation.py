"""Utilisation of a GPU by each variant at its best batch size, and the time of a full study."""

import gc
import statistics
import sys
import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Row
from benchmarks.training.case import Case, History
from pipeline.core.device import pick_device
from pipeline.schema.schema import load
from pipeline.training.device import numerics
from pipeline.training.loop import fit

STUDY_WINDOWS, STUDY_EPOCHS = 6000, 200  # of a study as large as GTZAN
BATCH_SIZES = (8, 16, 32, 64, 128, 256, 512, 1024)
MIN_SPEEDUP = 1.05  # by doubling the batch size twice
WARMUP_STEPS, STEPS = 5, 20


@dataclass(frozen=True)
class Speed:
    """A variant at a batch size: windows per second and FLOP per step."""

    batch_size: int
    rate: float
    flop: float

    @property
    def flops(self) -> float:
        """FLOP per second."""
        return self.rate * self.flop / self.batch_size


def measure(case: Case, steps: int = STEPS) -> Speed:
    """Speed of the loop's steps on one batch."""
    size = case.settings.batch_size
    with numerics(case.settings, case.device):
        trainer = case.trainer()
        batch = trainer.train_data.batch(torch.arange(size))
        with FlopCounterMode(display=False) as counter:
            trainer.train_step(*batch)
        for _ in range(WARMUP_STEPS):
            trainer.train_step(*batch)
        start = trainer.synchronised_time()
        for _ in range(steps):
            trainer.train_step(*batch)
        seconds = trainer.synchronised_time() - start
    return Speed(size, steps * size / seconds, counter.get_total_flops())


def best_speed(variant: str, device: torch.device, sizes: tuple[int, ...] = BATCH_SIZES) -> Speed:
    """The speed at the largest batch size that fits and is still worth it."""
    speeds: list[Speed] = []
    for size in sizes:
        try:
            speeds.append(measure(Case.of(variant, steps=1, device=device, batch_size=size)))
        except torch.OutOfMemoryError:
            break
        finally:
            gc.collect()
        if len(speeds) > 2 and speeds[-1].rate < MIN_SPEEDUP * speeds[-3].rate:
            break
    return max(speeds, key=lambda speed: speed.rate)


def epoch_seconds(
    variant: str, device: torch.device, batch_size: int | None = None, windows: int = STUDY_WINDOWS
) -> float:
    """Seconds of an epoch after the first, with validation, by the whole loop."""
    overrides = {} if batch_size is None else {"batch_size": batch_size}
    size = Case.of(variant, 1, device, **overrides).settings.batch_size
    history = History()
    fit(Case.of(variant, -(-windows // size), device, **overrides, epochs=3).trainer(), history)
    return statistics.median(row["seconds"] for row in history.rows[1:])


def peak_flops(device: torch.device, size: int = 8192, repeats: int = 20) -> float:
    """FLOP/s of the device in a product of two square matrices in bf16."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        (a @ a)[0, 0].item()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def rows() -> list[Row]:
    """Utilisation of the GPU, and the time of a study; nothing without a GPU."""
    device = pick_device("auto")
    if device.type != "cuda":
        print("benchmarks: no CUDA device here, so its use is not measured", file=sys.stderr)
        return []
    peak, utilisation, studies = peak_flops(device), [], []
    for name, config in load().models.items():
        if config.loss is None:
            continue
        speed = best_speed(name, device)
        size, seconds = speed.batch_size, epoch_seconds(name, device, speed.batch_size)
        what = f"{name} at its best batch size {size}: {speed.flops / peak:.1%} of the reference"
        utilisation.append(Row(what, speed.flops / 1e9, "a large matrix product in bf16", peak / 1e9, "GFLOP/s"))
        what = f"{STUDY_EPOCHS} epochs of {STUDY_WINDOWS:,} windows, {name}, batches of {size}"
        default_seconds = STUDY_EPOCHS * epoch_seconds(name, device)
        studies.append(Row(what, STUDY_EPOCHS * seconds, "batches as in params.yaml", default_seconds))
    total = [sum(row.ours for row in studies), sum(row.theirs for row in studies)]
    return [*utilisation, *studies, Row("all variants", total[0], "batches as in params.yaml", total[1])]
