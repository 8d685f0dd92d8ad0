"""Peak memory of training each variant at several batch sizes, beside what is reckoned before it begins.

Each cell is measured in a process of its own, on the device that `auto` picks.
"""

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Row
from benchmarks.memory import ROOT, most

BATCHES, STEPS = (8, 64), 3


@dataclass(frozen=True)
class Cell:
    """A variant at a batch size: MB beyond what was taken before, measured and reckoned, and on which device."""

    variant: str
    batch_size: int
    measured: float
    reckoned: float
    device: str


def measure(variant: str, batch_size: int) -> Cell:
    """Train two epochs of three steps in a new process."""
    given = json.dumps([variant, batch_size])
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.footprint", given], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return Cell(variant, batch_size, **json.loads(ran.stdout))


def rows() -> list[Row]:
    """Every variant of params.yaml that is trained, in MB."""
    from pipeline.schema.schema import load

    trained = [name for name, config in load().models.items() if config.loss]
    cells = [measure(name, batch) for name in trained for batch in BATCHES]
    return [
        Row(
            f"peak memory of training {cell.variant} with batches of {cell.batch_size}, on {cell.device}",
            cell.measured,
            "the estimate before it",
            cell.reckoned,
            "MB",
        )
        for cell in cells
    ]


def _train(variant: str, batch_size: int) -> dict[str, float | str]:
    import torch

    from benchmarks.windows import Silent, split, untrained
    from pipeline.core.distributed import pick_device
    from pipeline.schema.schema import load
    from pipeline.training.config import TrainConfig
    from pipeline.training.loop import fit
    from pipeline.training.memory import ensure

    params, device = load(), pick_device("auto")
    settings = TrainConfig(epochs=2, batch_size=batch_size)  # a best epoch is there in the second one
    splits = split(params, variant, STEPS * batch_size), split(params, variant, 4, seed=1)
    model, objective = untrained(params, variant, device)
    need = ensure(model, objective, splits, settings, device)
    if need is None:
        sys.exit(f"error: nobody knows what memory {device} has")
    gpu = device.type == "cuda"
    if gpu:
        torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device) / 2**20 if gpu else _begin()
    fit(model, *splits, settings, objective, 0, device, Silent())
    after = torch.cuda.max_memory_allocated(device) / 2**20 if gpu else most()
    return {"measured": after - before, "reckoned": need.more / 2**20, "device": str(device)}


def _begin() -> float:
    """Forget the peak up to now, where the system can; MB that this process takes."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return most()


if __name__ == "__main__":
    print(json.dumps(_train(*json.loads(sys.argv[1]))))
