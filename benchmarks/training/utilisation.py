"""How much of a GPU each variant uses at its best batch size, what holds it up, and how long a full study takes."""

import gc
import statistics
import sys
import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Row
from benchmarks.training.study import Study
from benchmarks.windows import Silent
from pipeline.core.distributed import pick_device
from pipeline.schema.schema import load
from pipeline.training.device import numerics
from pipeline.training.loop import Training

WINDOWS, EPOCHS = 6000, 200  # of a study as large as GTZAN
BATCHES = (8, 16, 32, 64, 128, 256, 512, 1024)
ENOUGH = 1.05  # a doubled batch that is not so many times as fast is not worth it
WARM, STEPS = 5, 20
# Dense TFLOP/s in bf16 by the makers' data sheets; the first name that is part of the device's counts.
PEAKS = {
    "B200": 2250.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "RTX 4090": 165.0,
    "L4": 121.0,
    "A10": 125.0,
    "RTX 3090": 71.0,
}


@dataclass(frozen=True)
class Speed:
    """A variant at a batch size: windows per second, FLOP of a step, share of its time that it takes to be issued."""

    batch_size: int
    rate: float
    flop: float
    issuing: float

    @property
    def flops(self) -> float:
        """FLOP per second."""
        return self.rate * self.flop / self.batch_size


def measure(study: Study, steps: int = STEPS) -> Speed:
    """Steps of the loop on one batch."""
    model, objective = study.untrained()
    size = study.settings.batch_size
    with numerics(study.settings, study.device):
        run = Training(model, study.train, study.valid, study.settings, objective, 0, study.device)
        batch = run.data.batch(torch.arange(size))
        with FlopCounterMode(display=False) as counter:
            run.advance(*batch)
        for _ in range(WARM):
            run.advance(*batch)
        began = run.waited()
        for _ in range(steps):
            run.advance(*batch)
        issued = time.perf_counter() - began
        whole = run.waited() - began
    return Speed(size, steps * size / whole, counter.get_total_flops(), issued / whole)


def best(variant: str, device: torch.device, batches: tuple[int, ...] = BATCHES) -> Speed:
    """The batch size, doubled from one to the next, up to which more is faster and fits."""
    found: list[Speed] = []
    for size in batches:
        try:
            found.append(measure(Study.of(variant, steps=1, device=device, batch_size=size)))
        except torch.OutOfMemoryError:
            break
        finally:
            gc.collect()
        if len(found) > 2 and found[-1].rate < ENOUGH * found[-3].rate:
            break
    return max(found, key=lambda speed: speed.rate)


def epoch(variant: str, device: torch.device, batch_size: int | None = None, windows: int = WINDOWS) -> float:
    """Seconds of an epoch after the first, with validation, by the loop as it is."""
    changed = {} if batch_size is None else {"batch_size": batch_size}
    size = Study.of(variant, 1, device, **changed).settings.batch_size
    watch = Silent()
    Study.of(variant, -(-windows // size), device, **changed, epochs=3).fit(watch)
    return statistics.median(row["seconds"] for row in watch.rows[1:])


def peak(device: torch.device, size: int = 8192, repeats: int = 20) -> float:
    """FLOP/s that the device can do in bf16, by its data sheet, or where there is none as measured on a product."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    known = next((value for part, value in PEAKS.items() if part in name), None)
    if known is not None:
        return 1e12 * known
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        (a @ a)[0, 0].item()
        times.append(time.perf_counter() - began)
    return 2 * size**3 / min(times)


def bottleneck(speed: Speed, seconds: float, most: float, windows: int = WINDOWS) -> str:
    """What holds the training up.

    Args:
        speed: of the steps alone.
        seconds: of an epoch at the same batch size.
        most: FLOP/s of the device.
        windows: of the epoch.
    """
    if seconds > 1.25 * windows / speed.rate:
        return "data and validation"
    if speed.issuing > 0.9:  # the device is done when the last kernel has been asked for
        return "launching kernels"
    return "compute" if speed.flops > 0.4 * most else "memory bandwidth"


def rows() -> list[Row]:
    """Use of the GPU, and time of a study; nothing without a GPU."""
    device = pick_device("auto")
    if device.type != "cuda":
        print("benchmarks: no CUDA device here, so its use is not measured", file=sys.stderr)
        return []
    most, used, studies = peak(device), [], []
    for name, config in load().models.items():
        if config.loss is None:
            continue
        speed = best(name, device)
        seconds, own = epoch(name, device, speed.batch_size), epoch(name, device)
        held = bottleneck(speed, seconds, most)
        what = f"{name} at its best batch size {speed.batch_size}: {speed.flops / most:.1%} of the peak, held by {held}"
        used.append(Row(what, speed.flops / 1e9, "peak in bf16", most / 1e9, "GFLOP/s"))
        what = f"{EPOCHS} epochs of {WINDOWS:,} windows, {name}, batches of {speed.batch_size}"
        studies.append(Row(what, EPOCHS * seconds, "batches as in params.yaml", EPOCHS * own))
    whole = [sum(row.ours for row in studies), sum(row.theirs for row in studies)]
    return [*used, *studies, Row("all variants", whole[0], "batches as in params.yaml", whole[1])]
