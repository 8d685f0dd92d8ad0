"""Arrays for figures and audio: test windows, reconstructions, interpolations, samples of the prior, transfers.

All are on the variant's own scale. A variant without a latent has no interpolations, perturbations and samples; one
without a condition has no transfers.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from pipeline.core import arrays
from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import Split
from pipeline.evaluation import interpolation, transfer
from pipeline.metrics.config import EvaluateConfig
from pipeline.models.vae import VAE

CPU = torch.device("cpu")
DEFAULTS = {"example": 0, "step": 0, "scale": None, "window_id": -1, "track_id": "", "label": "", "peak_db": None}

ExampleRow = dict[str, Any]


def save_examples(
    path: Path,
    model: VAE,
    test: Split,
    example_rows: np.ndarray,
    mse: np.ndarray,
    sample_peak_db: float | None,
    config: EvaluateConfig,
) -> None:
    """Write examples.parquet.

    Columns: kind, example, step, scale, window_id, track_id, label, peak_db (dB of a mel's peak, null for a
    waveform), array. A row that is no single test window has window_id -1 and no track_id. A column without a meaning
    for a kind is 0, or null for scale. Kinds:

    - original, reconstruction: the example windows; example is their index.
    - extreme_original, extreme_reconstruction: the test windows with the lowest (step 0), median (1) and highest (2)
      mean squared error, which is in scale.
    - linear, slerp: interpolations between two examples, with different labels if possible; `example` numbers them. The
      ends are reconstructions and have the names of their windows; scale is the fraction of the way.
    - perturbed: example 0, its latent moved in one random direction by scale times the standard deviation of latents;
      step 0 is not moved.
    - sample: from the prior; label is the one given. A conditional model gets every label at least once.
    - transfer: an example decoded with another label: `label`, with index `step`. Example 0 gets every label, also its
      own; each other example gets one other label.

    The model is on the CPU. `example_rows` (N,) are rows of `test`, `mse` (windows,) is of all its reconstructions, and
    `sample_peak_db` is the peak given to samples of a mel variant, None for waveforms.
    """
    examples = Examples(model, test, example_rows)
    indices = [{"example": i} for i in range(len(example_rows))]
    examples.add_pairs("original", "reconstruction", example_rows, indices)
    examples.add_extremes(mse)
    if model.latent_dims:
        examples.add_interpolations(config.walks, config.walk_steps)
        examples.add_perturbations([0.0, *sorted(config.perturbations)])
        examples.add_samples(config.samples, sample_peak_db)
    if model.condition is not None and len(model.labels) > 1:
        examples.add_transfers()
    columns: dict[str, Any] = {name: [row[name] for row in examples.rows] for name in examples.rows[0]}
    columns |= {name: pa.array(columns[name], pa.float64()) for name in ("scale", "peak_db")}
    arrays.write(path, columns, {"array": torch.cat(examples.arrays).squeeze(1).numpy().astype(np.float32)})


class Examples:
    """Rows and arrays of examples.parquet, added kind by kind; see `save_examples`."""

    def __init__(self, model: VAE, test: Split, example_rows: np.ndarray) -> None:
        self.model, self.test, self.example_rows = model, test, example_rows
        self.loader = window_loader(test, CPU, model.labels)
        self.x, self.label = self.loader.batch(torch.from_numpy(example_rows))
        self.rows: list[ExampleRow] = []
        self.arrays: list[Tensor] = []

    @torch.no_grad()
    def add_pairs(self, original: str, reconstruction: str, test_rows: np.ndarray, values: list[ExampleRow]) -> None:
        """Add the windows at `test_rows` and their reconstructions, as kinds with these names."""
        x, label = self.loader.batch(torch.from_numpy(test_rows))
        rows = [self._window(row) | value for row, value in zip(test_rows, values, strict=True)]
        self._add(original, x, rows)
        self._add(reconstruction, self.model.reconstruct(x, label), rows)

    def add_extremes(self, mse: np.ndarray) -> None:
        """Add the best, the median and the worst test window with their reconstructions."""
        by_error = np.argsort(mse, kind="stable")
        rows = by_error[[0, (len(by_error) - 1) // 2, -1]]
        steps = [{"step": step, "scale": float(mse[row])} for step, row in enumerate(rows)]
        self.add_pairs("extreme_original", "extreme_reconstruction", rows, steps)

    @torch.no_grad()
    def add_interpolations(self, number: int, steps: int) -> None:
        """Add `number` interpolations in each mode."""
        pairs = interpolation.select_pairs(self.test.labels[self.example_rows].tolist(), number)
        fractions = np.linspace(0, 1, steps)
        for mode in interpolation.METRICS:
            for example, (a, b) in enumerate(pairs):
                first, last = self._window(self.example_rows[a]), self._window(self.example_rows[b])
                rows: list[ExampleRow] = []
                for step, fraction in enumerate(fractions):
                    peak_db = None
                    if first["peak_db"] is not None:
                        peak_db = (1 - fraction) * first["peak_db"] + fraction * last["peak_db"]
                    rows.append({"example": example, "step": step, "scale": float(fraction), "peak_db": peak_db})
                rows[0], rows[-1] = first | rows[0], last | rows[-1]
                self._add(mode, self.model.interpolate(self.x[a], self.x[b], steps, mode, self.label[[a, b]]), rows)

    @torch.no_grad()
    def add_perturbations(self, scales: list[float]) -> None:
        """Add example 0 moved along the same random direction by each scale."""
        for step, scale in enumerate(scales):
            perturbed = self.model.perturb(self.x[:1], scale, torch.Generator().manual_seed(0), self.label[:1])
            self._add("perturbed", perturbed, [self._window(self.example_rows[0]) | {"step": step, "scale": scale}])

    @torch.no_grad()
    def add_samples(self, number: int, peak_db: float | None) -> None:
        """Add samples of the prior, from a fixed seed."""
        labels = self.model.labels
        number = max(number, len(labels))
        given = torch.arange(number) % max(1, len(labels))
        samples = self.model.sample(number, torch.Generator().manual_seed(0), given)
        names = [labels[i] if labels else "" for i in given.tolist()]
        self._add("sample", samples, [{"example": i, "label": n, "peak_db": peak_db} for i, n in enumerate(names)])

    @torch.no_grad()
    def add_transfers(self) -> None:
        """Add example 0 under every label, and each other example under one other label."""
        labels = self.model.labels
        example = torch.tensor([0] * len(labels) + list(range(1, len(self.example_rows))))
        target = torch.cat([torch.arange(len(labels)), transfer.target_labels(self.label[1:], len(labels), 1)])
        rows = [
            self._window(self.example_rows[i]) | {"example": i, "step": to, "label": labels[to]}
            for i, to in zip(example.tolist(), target.tolist(), strict=True)
        ]
        self._add("transfer", self.model.transfer(self.x[example], self.label[example], target), rows)

    def _window(self, row: int) -> ExampleRow:
        """Columns of a test window."""
        return {
            "window_id": int(self.test.window_ids[row]),
            "track_id": self.test.track_ids[row],
            "label": self.test.labels[row],
            "peak_db": None if self.test.peak_db is None else float(self.test.peak_db[row]),
        }

    def _add(self, kind: str, windows: Tensor, rows: list[ExampleRow]) -> None:
        """Add windows (n, 1, *shape) with n rows."""
        self.rows += [{"kind": kind} | DEFAULTS | row for row in rows]
        self.arrays.append(windows)
