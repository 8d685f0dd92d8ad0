"""What a training step of each kind of waveform network costs as the window grows: memory and time.

Each cell is measured in a process of its own, on one thread. `python -m benchmarks.length docs/length.png` prints them
as one table and draws them.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Row
from benchmarks.memory import ROOT, most

BATCH, STEPS = 16, 2
SECONDS, RATES = (1.0, 5.0), (3000, 11025, 22050)
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {  # a variant of params.yaml, and what is changed of its network
    "transformer": ("wave_transformer", {}),
    "convolutional": ("wave_conv", {}),
    "fully connected, frames": ("wave_fc", {}),
    "fully connected, whole window": ("wave_fc", {"frame": None}),
}


@dataclass(frozen=True)
class Cell:
    """A network at a length of window: MB beyond the imports, processor seconds a step, parameters."""

    network: str
    seconds: float
    rate: int
    memory: float
    time: float
    parameters: int

    @property
    def samples(self) -> int:
        """In a window."""
        return round(self.seconds * self.rate)


def measure(network: str, seconds: float, rate: int, steps: int = STEPS) -> Cell:
    """Train for a few steps of 16 windows in a new process.

    Returns:
        The peak of its memory less what it was after the imports, and the median time of a step after the first (of
        all, where there is but one): processor time, which other programs on the machine change little.
    """
    given = json.dumps([*NETWORKS[network], seconds, rate, steps])
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.length", "--cell", given],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return Cell(network, seconds, rate, **json.loads(ran.stdout))


def rows(cells: list[Cell] | None = None) -> list[Row]:
    """Memory and time at every length, against the shortest of the same network."""
    cells = _cells() if cells is None else cells
    first = {cell.network: cell for cell in reversed(cells)}
    named = {"memory": ("memory", "MB"), "time": ("processor time", "s")}
    return [
        Row(
            f"{said} of a training step, {cell.network}, {cell.seconds:g} s at {cell.rate:,} Hz",
            getattr(cell, key),
            f"{first[cell.network].seconds:g} s at {first[cell.network].rate:,} Hz",
            getattr(first[cell.network], key),
            unit,
        )
        for key, (said, unit) in named.items()
        for cell in cells
        if cell is not first[cell.network]
    ]


def table(cells: list[Cell]) -> str:
    """A Markdown table with a row per length, and memory and time of each network."""
    networks = list(dict.fromkeys(cell.network for cell in cells))
    lines = ["| window | samples | " + " | ".join(networks) + " |", "|---|---:|" + "---:|" * len(networks)]
    lengths = sorted({(cell.samples, cell.seconds, cell.rate) for cell in cells})
    found = {(cell.network, cell.samples): cell for cell in cells}
    for samples, seconds, rate in lengths:
        costs = [found[network, samples] for network in networks]
        shown = [f"{cost.memory:,.0f} MB, {cost.time:.2f} s" for cost in costs]
        lines.append(f"| {seconds:g} s at {rate:,} Hz | {samples:,} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def draw(cells: list[Cell], path: Path) -> None:
    """Memory and time over samples, both on logarithmic axes."""
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


def _cells() -> list[Cell]:
    return [measure(network, s, rate) for network in NETWORKS for s in SECONDS for rate in RATES]


def _step(variant: str, network: dict[str, Any], seconds: float, rate: int, steps: int) -> dict[str, float]:
    import torch

    from pipeline.losses.objective import Objective
    from pipeline.models.signal import Signal
    from pipeline.models.vae import build
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
    before = most()
    torch.manual_seed(0)
    model, objective = build(description), Objective(config.loss, Signal.of(description))
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    x = 0.1 * torch.randn(BATCH, 1, *description["shape"]).clamp(-1, 1)
    times = []
    for _ in range(steps):
        began = time.process_time()
        y, code = model(x, torch.randn(BATCH, model.latent_dims))
        nats = objective.nats(objective.combined(objective.distances(y, x, code))).mean()
        total = nats + objective.regulariser(objective.divergence(code), code, 0.5)
        optimiser.zero_grad(set_to_none=True)
        (total / objective.signal.values).backward()
        optimiser.step()
        times.append(time.process_time() - began)
    parameters = sum(p.numel() for p in model.parameters())
    return {"memory": most() - before, "time": median(times[1:] or times), "parameters": parameters}


if __name__ == "__main__":
    if sys.argv[1] == "--cell":
        print(json.dumps(_step(*json.loads(sys.argv[2]))))
    else:
        cells = _cells()
        print(json.dumps([asdict(cell) for cell in cells]))
        print(table(cells))
        draw(cells, Path(sys.argv[1]))
