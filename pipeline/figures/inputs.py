"""What the figures of a variant are drawn from: the files that training and evaluation left."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from pipeline.cache import arrays
from pipeline.cache.config import MelConfig, WaveformConfig
from pipeline.errors import DataError
from pipeline.workspace import read_json

AGAIN = "run `dvc repro` to make it again"


@dataclass(frozen=True)
class Window:
    """One array of examples.parquet or snapshots.parquet.

    `kind` is original, reconstruction or sample; `number` tells windows of a kind apart; `epoch` is 0 for examples.
    """

    kind: str
    number: int
    array: np.ndarray
    epoch: int = 0
    label: str = ""
    track_id: str = ""
    peak_db: float = 0.0


@dataclass(frozen=True)
class Inputs:
    """Everything that is drawn of one variant; pictures show the first seed."""

    variant: str
    seconds: float
    representation: MelConfig | WaveformConfig
    seed: int
    histories: dict[int, pd.DataFrame]
    snapshots: list[Window]
    examples: list[Window]
    latents: np.ndarray  # (windows, L)
    labels: list[str]  # of the latents
    baseline: bool  # fitted at once, without epochs
    sizes: pd.DataFrame | None  # sizes.parquet, where there is one
    mse_mean: float  # of the mean predictor

    @property
    def pairs(self) -> list[tuple[Window, Window]]:
        """(original, reconstruction) of each example."""
        found = {(w.kind, w.number): w for w in self.examples}
        numbers = sorted({w.number for w in self.examples if w.kind == "original"})
        return [(found["original", n], found["reconstruction", n]) for n in numbers if ("reconstruction", n) in found]

    @property
    def samples(self) -> list[Window]:
        """Windows decoded from the prior."""
        return sorted((w for w in self.examples if w.kind == "sample"), key=lambda w: w.number)


def load(variant: str, models: Path, evaluation: Path) -> Inputs:
    """Read the files of `variant` below the folders `models` and `evaluation`.

    Raises:
        DataError: a file is missing or damaged, or an array holds values that are not finite.
    """
    folder = evaluation / variant
    config, metrics = _json(folder / "config.json"), _json(folder / "metrics.json")
    seeds = [int(seed) for seed in metrics.get("seeds") or []]
    if not seeds:
        raise DataError(f"{folder / 'metrics.json'}: it names no seeds; {AGAIN}")
    schema = MelConfig if config.get("kind") == "mel" else WaveformConfig
    try:
        representation = schema.model_validate(config["representation"])
        seconds = float(config["seconds"])
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise DataError(f"{folder / 'config.json'}: no usable representation and seconds; {AGAIN}") from error
    examples = _windows(folder / "examples.parquet", "example", seeds[0])
    latents, labels = _latents(folder / "latents.parquet", seeds[0])
    return Inputs(
        variant=variant,
        seconds=seconds,
        representation=representation,
        seed=seeds[0],
        histories={seed: _history(models / variant / f"seed-{seed}" / "history.csv") for seed in seeds},
        snapshots=_windows(models / variant / f"seed-{seeds[0]}" / "snapshots.parquet", "index"),
        examples=examples,
        latents=latents,
        labels=labels,
        baseline=bool(metrics.get("baseline")),
        sizes=_sizes(folder / "sizes.parquet"),
        mse_mean=float(metrics["mse_mean"]),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(read_json(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: missing or not JSON; {AGAIN}") from error


def _history(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: missing or not CSV; {AGAIN}") from error


def _sizes(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a usable table; {AGAIN}") from error


def _windows(path: Path, number: str, seed: int | None = None) -> list[Window]:
    """The rows of one seed (or all, where the table is of one), with `number` as the column that counts them."""
    table = arrays.read(path)
    values = _finite(arrays.unpack(table, "array"), path)
    rows = table.drop_columns(["array"]).to_pylist()
    return [
        Window(
            kind=row["kind"],
            number=row[number],
            array=value,
            epoch=row.get("epoch", 0),
            label=row.get("label") or "",
            track_id=row.get("track_id") or "",
            peak_db=row.get("peak_db") or 0.0,
        )
        for row, value in zip(rows, values, strict=True)
        if seed is None or row["seed"] == seed
    ]


def _latents(path: Path, seed: int) -> tuple[np.ndarray, list[str]]:
    table = arrays.read(path)
    values = _finite(arrays.unpack(table, "latent"), path)
    mine = np.array(table["seed"]) == seed
    return values[mine], [label for label, is_mine in zip(table["label"].to_pylist(), mine, strict=True) if is_mine]


def _finite(values: np.ndarray, path: Path) -> np.ndarray:
    if not np.isfinite(values).all():
        raise DataError(f"{path}: it holds values that are not finite: the model diverged; train with a lower rate")
    return values
