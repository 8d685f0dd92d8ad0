"""Memory and time of a training step over the length of the window, for each kind of waveform network.

Each cell is measured in its own process, on one thread. `python -m benchmarks.length docs/length.png` prints all cells
as a table and draws them.
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import peak_memory, run_module

BATCH, STEPS = 16, 2
SECONDS, RATES = (1.0, 5.0), (3000, 11025, 22050)
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {  # a variant of params.yaml, and changes of its network
    "transformer": ("wave_transformer", {}),
    "convolutional": ("wave_conv", {}),
    "fully connected, frames": ("wave_fc", {}),
    "fully connected, whole window": ("wave_fc", {"frame": None}),
}


@dataclass(frozen=True)
class Cell:
    """A network at a window length: MB beyond the imports, processor seconds per step."""

    network: str
    seconds: float
    rate: int
    memory: float
    time: float

    @property
    def samples(self) -> int:
        """Of a window."""
        return round(self.seconds * self.rate)


def measure(network: str, seconds: float, rate: int, steps: int = STEPS) -> Cell:
    """Train for a few steps of 16 windows in a new process.

    Returns:
        Peak memory beyond that of the imports, and the median time of a step without the first one: processor time, on
        which other programs have little effect.
    """
    arguments = json.dumps([*NETWORKS[network], seconds, rate, steps])
    return Cell(network, seconds, rate, **json.loads(run_module("benchmarks.length", "--cell", arguments)))


def measure_all() -> list[Cell]:
    """All networks at all lengths."""
    return [measure(network, seconds, rate) for network in NETWORKS for seconds in SECONDS for rate in RATES]


def table(cells: list[Cell]) -> str:
    """A Markdown table with a row per length, and memory and time of each network."""
    networks = list(dict.fromkeys(cell.network for cell in cells))
    lines = ["| window | samples | " + " | ".join(networks) + " |", "|---|---:|" + "---:|" * len(networks)]
    by_length = {(cell.network, cell.samples): cell for cell in cells}
    for samples, seconds, rate in sorted({(cell.samples, cell.seconds, cell.rate) for cell in cells}):
        row = [by_length[network, samples] for network in networks]
        values = [f"{cell.memory:,.0f} MB, {cell.time:.2f} s" for cell in row]
        lines.append(f"| {seconds:g} s at {rate:,} Hz | {samples:,} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def draw(cells: list[Cell], path: Path) -> None:
    """Memory and time over samples, on logarithmic axes."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for axis, key, label in zip(axes, ("memory", "time"), ("MB beyond the imports", "processor seconds"), strict=True):
        for network in dict.fromkeys(cell.network for cell in cells):
            line = sorted((c for c in cells if c.network == network), key=lambda c: c.samples)
            axis.loglog([c.samples for c in line], [getattr(c, key) for c in line], marker="o", label=network)
        axis.set(xlabel="samples in a window", ylabel=label, title=f"{key.capitalize()} of a training step, batch 16")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _train(variant: str, network: dict[str, Any], seconds: float, rate: int, steps: int) -> dict[str, float]:
    import torch

    from benchmarks.training.case import plain_loss
    from pipeline.losses.objective import Objective
    from pipeline.models.signal import Signal
    from pipeline.models.vae import VAE
    from pipeline.schema.schema import load

    torch.set_num_threads(1)
    config = load().models[variant]
    description = {
        **config.model_dump(include={"bottleneck", "scaling"}),
        "network": config.network.model_dump() | network,
        "kind": "waveform",
        "shape": [round(seconds * rate)],
        "representation": {"sample_rate": rate},
        "stats": {"mean": 0.0, "std": 0.1},
    }
    memory_before = peak_memory()
    torch.manual_seed(0)
    model, objective = VAE(description), Objective(config.loss, Signal.from_description(description))
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    x = 0.1 * torch.randn(BATCH, 1, *description["shape"]).clamp(-1, 1)
    times = []
    for _ in range(steps):
        start = time.process_time()
        loss, _ = plain_loss(model, objective, x)
        optimiser.zero_grad(set_to_none=True)
        (loss / objective.signal.size).backward()
        optimiser.step()
        times.append(time.process_time() - start)
    return {"memory": peak_memory() - memory_before, "time": median(times[1:] or times)}


if __name__ == "__main__":
    if sys.argv[1] == "--cell":
        print(json.dumps(_train(*json.loads(sys.argv[2]))))
    else:
        all_cells = measure_all()
        print(table(all_cells))
        draw(all_cells, Path(sys.argv[1]))
