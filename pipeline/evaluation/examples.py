"""Arrays that figures show: test windows and what a model makes of them, ways between them, and draws from the prior.

All are on the variant's own scale. What a variant cannot do is left out: without a latent nothing is drawn, moved or
walked between, and without a condition nothing is transferred.
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


def save(
    path: Path,
    model: VAE,
    test: Split,
    shown: np.ndarray,
    errors: np.ndarray,
    level: float | None,
    settings: EvaluateConfig,
    seed: int,
) -> None:
    """Write examples.parquet.

    Columns: kind, example, step, scale, seed, window_id, track_id, label, peak_db (dB of the peak of a mel, null of a
    waveform), array. What is no single window of the test split has window_id -1 and no track_id; what a column cannot
    say of a kind is 0, and null for scale. Kinds:

    - original, reconstruction: the windows shown, example counts them.
    - extreme_original, extreme_reconstruction: of the best (step 0), the median (1) and the worst (2) test window by
      mean squared error, which is its scale.
    - linear, slerp: walks between two examples, of different labels if there are; example counts walks. The ends are
      reconstructions and have their windows' names; scale is the share of the way.
    - perturbed: example 0, its latent moved one way by scale times the spread of latents; at step 0 by nothing.
    - sample: from the prior; label is what was given, every one at least once of a model that knows labels.
    - transfer: an example under the label of that name, whose number step is: example 0 under every label, its own
      among them, the others under one that is not theirs.

    Args:
        path: of the file.
        model: in evaluation mode, on the CPU.
        test: where the windows come from.
        shown: (N,) their rows in it.
        errors: (windows,) mean squared errors of the reconstructions of all of them.
        level: peak in dB given to the samples of a mel variant; None for waveforms.
        settings: how many there are of each kind.
        seed: of the model, as a column.
    """
    made = Examples(model, test, shown)
    made.windows()
    made.extremes(errors)
    if model.latent_dims:
        made.walks(settings.walks, settings.walk_steps)
        made.perturbed([0.0, *sorted(settings.perturbations)])
        made.samples(settings.samples, level)
    if model.condition is not None and len(model.labels) > 1:
        made.transfers()
    columns: dict[str, Any] = {name: [row[name] for row in made.rows] for name in made.rows[0]}
    columns |= {name: pa.array(columns[name], pa.float64()) for name in ("scale", "peak_db")}
    columns["seed"] = [seed] * len(made.rows)
    arrays.write(path, columns, {"array": torch.cat(made.arrays).squeeze(1).numpy().astype(np.float32)})


class Examples:
    """Gathers rows and their arrays, kind by kind; see `save`."""

    def __init__(self, model: VAE, test: Split, shown: np.ndarray) -> None:
        self.model, self.test, self.shown = model, test, shown
        self.data = window_loader(test, CPU, model.labels)
        self.x, self.label = self.data.batch(torch.from_numpy(shown))
        self.rows: list[dict[str, Any]] = []
        self.arrays: list[Tensor] = []

    def windows(self) -> None:
        """Originals and reconstructions."""
        self._pair("original", "reconstruction", self.shown, [{"example": i} for i in range(len(self.shown))])

    def extremes(self, errors: np.ndarray) -> None:
        """Best, median and worst."""
        order = np.argsort(errors, kind="stable")
        rows = order[[0, (len(order) - 1) // 2, -1]]
        said = [{"step": step, "scale": float(errors[row])} for step, row in enumerate(rows)]
        self._pair("extreme_original", "extreme_reconstruction", rows, said)

    @torch.no_grad()
    def walks(self, number: int, steps: int) -> None:
        """Linear and along arcs."""
        found = interpolation.pairs(self.test.labels[self.shown].tolist(), number)
        share = np.linspace(0, 1, steps)
        for mode in interpolation.MODES:
            for example, (a, b) in enumerate(found):
                ends = self._of(self.shown[a]), self._of(self.shown[b])
                said = [
                    {"example": example, "step": step, "scale": float(part), "peak_db": _between(*ends, part)}
                    for step, part in enumerate(share)
                ]
                said[0], said[-1] = ends[0] | said[0], ends[1] | said[-1]
                self._add(mode, self.model.interpolate(self.x[a], self.x[b], steps, mode, self.label[[a, b]]), said)

    @torch.no_grad()
    def perturbed(self, scales: list[float]) -> None:
        """Example 0, each time moved along the same random direction."""
        for step, scale in enumerate(scales):
            moved = self.model.perturb(self.x[:1], scale, torch.Generator().manual_seed(0), self.label[:1])
            self._add("perturbed", moved, [self._of(self.shown[0]) | {"step": step, "scale": scale}])

    @torch.no_grad()
    def samples(self, number: int, level: float | None) -> None:
        """Draws, which are the same every time."""
        labels = self.model.labels
        number = max(number, len(labels))
        of_each = torch.arange(number) % max(1, len(labels))
        drawn = self.model.sample(number, torch.Generator().manual_seed(0), of_each)
        names = [labels[i] if labels else "" for i in of_each.tolist()]
        said = [{"example": i, "label": name, "peak_db": level} for i, name in enumerate(names)]
        self._add("sample", drawn, said)

    @torch.no_grad()
    def transfers(self) -> None:
        """Example 0 under every label in turn, the others under one each."""
        labels = self.model.labels
        rest = len(self.shown) - 1
        example = torch.tensor([0] * len(labels) + list(range(1, rest + 1)))
        target = torch.cat([torch.arange(len(labels)), transfer.other(self.label[1:], len(labels), 1)])
        said = [
            self._of(self.shown[i]) | {"example": i, "step": to, "label": labels[to]}
            for i, to in zip(example.tolist(), target.tolist(), strict=True)
        ]
        self._add("transfer", self.model.transfer(self.x[example], self.label[example], target), said)

    @torch.no_grad()
    def _pair(self, original: str, reconstruction: str, rows: np.ndarray, said: list[dict[str, Any]]) -> None:
        """Windows at `rows` and their reconstructions."""
        x, label = self.data.batch(torch.from_numpy(rows))
        known = [self._of(row) | one for row, one in zip(rows, said, strict=True)]
        self._add(original, x, known)
        self._add(reconstruction, self.model.reconstruct(x, label), known)

    def _of(self, row: int) -> dict[str, Any]:
        """What is known of a test window."""
        test = self.test
        return {
            "window_id": int(test.window_ids[row]),
            "track_id": test.track_ids[row],
            "label": test.labels[row],
            "peak_db": None if test.peak_db is None else float(test.peak_db[row]),
        }

    def _add(self, kind: str, made: Tensor, said: list[dict[str, Any]]) -> None:
        """Arrays (n, 1, *shape) and what is said of each."""
        nothing: dict[str, Any] = {"example": 0, "step": 0, "scale": None, "window_id": -1, "track_id": ""}
        nothing |= {"label": "", "peak_db": None}
        self.rows += [{"kind": kind} | nothing | one for one in said]
        self.arrays.append(made)


def _between(a: dict[str, Any], b: dict[str, Any], share: float) -> float | None:
    """Level at a place between two windows; None of waveforms."""
    return None if a["peak_db"] is None else (1 - share) * a["peak_db"] + share * b["peak_db"]
