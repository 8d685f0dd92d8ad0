"""How each variant was trained: epochs, time and the curves of every seed."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.core.errors import DataError
from pipeline.report.text import clock, number_of

CURVES = ("valid_mse", "valid_loss", "valid_kl")


@dataclass(frozen=True)
class Training:
    """history.csv of each seed; empty for a baseline, which is fitted at once."""

    histories: dict[int, pd.DataFrame]

    @property
    def sentence(self) -> str:
        """Epochs, the one that was kept, and how long it took; empty where nothing was trained."""
        said = []
        for seed, history in self.histories.items():
            best = history["epoch"].iloc[int(history["valid_loss"].argmin())] if "valid_loss" in history else None
            kept = f", the weights of epoch {best} kept" if best is not None else ""
            took = f" in {clock(float(history['seconds'].sum()))}" if "seconds" in history else ""
            said.append(f"seed {seed}: {number_of(len(history), 'epoch')}{took}{kept}")
        return "; ".join(said)


def read(models: Path, variant: str) -> Training:
    """Of <models>/<variant>/seed-<n>/history.csv.

    Raises:
        DataError: one is there but cannot be read.
    """
    found = {}
    for path in (models / variant).glob("seed-*/history.csv"):
        try:
            history = pd.read_csv(path)
            history["epoch"].astype(int)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path}: not a usable table; run `dvc repro` to make it again") from error
        if "train_loss" in history and len(history):
            found[int(path.parent.name.removeprefix("seed-"))] = history
    return Training(dict(sorted(found.items())))


def write_csv(trainings: dict[str, Training], inputs: dict[str, str], path: Path) -> None:
    """curves.csv: variant, representation, seed, epoch and CURVES, a row for each epoch, for `dvc plots`.

    Args:
        trainings: of each variant.
        inputs: representation of each variant.
        path: where to write.
    """
    parts = []
    for variant, training in trainings.items():
        for seed, history in training.histories.items():
            part = history.reindex(columns=["epoch", *CURVES])
            part.insert(0, "variant", variant)
            part.insert(1, "representation", inputs[variant])
            part.insert(2, "seed", seed)
            parts.append(part)
    columns = ["variant", "representation", "seed", "epoch", *CURVES]
    table = pd.concat(parts) if parts else pd.DataFrame(columns=columns)
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
