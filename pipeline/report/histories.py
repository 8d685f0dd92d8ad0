"""The training history of each variant: epochs and validation curves per seed."""

from pathlib import Path

import pandas as pd

from pipeline.core.artefacts import read_csv, readable
from pipeline.report.formatting import plural
from pipeline.training.selection import selected_epoch

CURVES = ("valid_mse", "valid_loss", "valid_kl")


History = dict[int, pd.DataFrame]  # history.csv by seed; empty for a baseline, which is fitted in closed form


def describe_training(history: History) -> str:
    """Epochs and selected epoch of each seed; empty without training."""
    seeds = []
    for seed, epochs in history.items():
        selected = f", selected epoch {epochs['epoch'].iloc[selected_row(epochs)]}" if "valid_loss" in epochs else ""
        seeds.append(f"seed {seed}: {plural(len(epochs), 'epoch')}{selected}")
    return "; ".join(seeds)


def selected_row(epochs: pd.DataFrame) -> int:
    """The position of the epoch whose weights are used; the last without a validation loss."""
    if "valid_loss" not in epochs:
        return len(epochs) - 1
    return selected_epoch(epochs["valid_loss"].tolist(), epochs.get("adversarial_phase", pd.Series()).tolist())


def read_history(models: Path, variant: str) -> History:
    """Read <models>/<variant>/seed-<n>/history.csv; DataError if a file is damaged."""
    by_seed = {}
    for path in (models / variant).glob("seed-*/history.csv"):
        epochs = read_csv(path)
        with readable(path):
            epochs["epoch"].astype(int)
        if "train_loss" in epochs and len(epochs):
            by_seed[int(path.parent.name.removeprefix("seed-"))] = epochs
    return dict(sorted(by_seed.items()))


def write_curves(histories: dict[str, History], representations: dict[str, str], path: Path) -> None:
    """Write curves.csv for `dvc plots`: variant, representation, seed, epoch and CURVES, one row per epoch."""
    columns = ["variant", "representation", "seed", "epoch", *CURVES]
    tables = [
        epochs.assign(variant=variant, representation=representations[variant], seed=seed).reindex(columns=columns)
        for variant, history in histories.items()
        for seed, epochs in history.items()
    ]
    table = pd.concat(tables) if tables else pd.DataFrame(columns=columns)
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
