"""What the figures of a variant are drawn from: the files that training, evaluation and the reference left."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.core import arrays
from pipeline.core.errors import DataError
from pipeline.core.workspace import read_json

AGAIN = "run `dvc repro` to make it again"


@dataclass(frozen=True)
class Window:
    """One array of examples.parquet or snapshots.parquet, on the variant's own scale.

    `kind` is as in the table; `number` tells windows, walks or samples of a kind apart, `step` and `scale` where on a
    walk or in a row one is; `epoch` is 0 for examples.
    """

    kind: str
    number: int
    array: np.ndarray
    epoch: int = 0
    step: int = 0
    scale: float = 0.0
    label: str = ""
    track_id: str = ""
    peak_db: float = 0.0


@dataclass(frozen=True)
class Heard:
    """An example as audio (samples,) at the common rate: the recording, through the inversion alone, and rebuilt."""

    original: np.ndarray
    ceiling: np.ndarray
    reconstruction: np.ndarray


@dataclass(frozen=True)
class Inputs:
    """Everything that is drawn of one variant; pictures show the first seed."""

    variant: str
    seconds: float
    representation: MelConfig | WaveformConfig
    rate: int  # Hz, the common one
    seed: int
    metrics: dict[str, Any]
    histories: dict[int, pd.DataFrame]
    snapshots: list[Window]
    examples: list[Window]
    heard: dict[int, Heard]  # by example
    latents: np.ndarray  # (windows, L)
    labels: list[str]  # of the latents
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)  # sizes, dimensions and codes, where there are such

    @property
    def baseline(self) -> bool:
        """Fitted at once, without epochs."""
        return bool(self.metrics.get("baseline"))

    def of(self, kind: str, number: int | None = None) -> list[Window]:
        """The examples of a kind, in order; only those with this number if it is given."""
        mine = (w for w in self.examples if w.kind == kind and number in (None, w.number))
        return sorted(mine, key=lambda w: (w.number, w.step))

    def numbers(self, kind: str) -> list[int]:
        """The different numbers of the examples of a kind."""
        return sorted({w.number for w in self.of(kind)})

    @property
    def pairs(self) -> list[tuple[Window, Window]]:
        """(original, reconstruction) of each example."""
        made = {w.number: w for w in self.of("reconstruction")}
        return [(w, made[w.number]) for w in self.of("original") if w.number in made]

    @property
    def extremes(self) -> list[tuple[Window, Window]]:
        """(original, reconstruction) of the best, the median and the worst test window."""
        made = {w.step: w for w in self.of("extreme_reconstruction")}
        return [(w, made[w.step]) for w in self.of("extreme_original") if w.step in made]


def load(variant: str, models: Path, evaluation: Path, reference: Path) -> Inputs:
    """Read the files of `variant` below the folders `models` and `evaluation`, and the originals below `reference`.

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
        seconds, ceiling = float(config["seconds"]), reference / "ceiling" / str(config["input"])
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise DataError(f"{folder / 'config.json'}: no usable representation, input and seconds; {AGAIN}") from error
    described = _json(reference / "reference.json")
    try:
        rate = int(described["mel"]["sample_rate"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{reference / 'reference.json'}: it names no common rate; {AGAIN}") from error
    latents, labels = _latents(folder / "latents.parquet", seeds[0])
    tables = {name: _table(folder / f"{name}.parquet", seeds[0]) for name in ("sizes", "dimensions", "codes")}
    return Inputs(
        variant=variant,
        seconds=seconds,
        representation=representation,
        rate=rate,
        seed=seeds[0],
        metrics=metrics,
        histories={seed: _history(models / variant / f"seed-{seed}" / "history.csv") for seed in seeds},
        snapshots=windows(models / variant / f"seed-{seeds[0]}" / "snapshots.parquet", "index"),
        examples=windows(folder / "examples.parquet", "example", seeds[0]),
        heard=_heard(reference / "examples.parquet", ceiling / "examples.parquet", folder / "audio.parquet"),
        latents=latents,
        labels=labels,
        tables={name: table for name, table in tables.items() if table is not None},
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


def _table(path: Path, seed: int) -> pd.DataFrame | None:
    """The rows of a seed (all, where the table knows no seeds), or None where there is no table."""
    if not path.is_file():
        return None
    try:
        found = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a usable table; {AGAIN}") from error
    return found if "seed" not in found else found[found["seed"] == seed].reset_index(drop=True)


def windows(path: Path, number: str, seed: int | None = None) -> list[Window]:
    """The rows of one seed (or all, where the table is of one), with `number` as the column that counts them.

    Raises:
        DataError: the table is missing or damaged, or holds values that are not finite.
    """
    table = arrays.read(path)
    values = _finite(arrays.unpack(table, "array"), path).astype(np.float32, copy=False)
    rows = table.drop_columns(["array"]).to_pylist()
    return [
        Window(
            kind=row["kind"],
            number=row[number],
            array=value,
            epoch=row.get("epoch", 0),
            step=row.get("step") or 0,
            scale=row.get("scale") or 0.0,
            label=row.get("label") or "",
            track_id=row.get("track_id") or "",
            peak_db=row.get("peak_db") or 0.0,
        )
        for row, value in zip(rows, values, strict=True)
        if seed is None or row["seed"] == seed
    ]


def _heard(*paths: Path) -> dict[int, Heard]:
    """By example, its audio from each of the three tables; examples that are in all of them."""
    found = []
    for path in paths:
        table = arrays.read(path)
        audio = _finite(arrays.unpack(table, "audio"), path)
        found.append(dict(zip(table["example"].to_pylist(), audio, strict=True)))
    shared = sorted(set.intersection(*map(set, found)))
    return {number: Heard(*(of[number] for of in found)) for number in shared if number >= 0}


def _latents(path: Path, seed: int) -> tuple[np.ndarray, list[str]]:
    table = arrays.read(path)
    values = _finite(arrays.unpack(table, "latent"), path)
    mine = np.array(table["seed"]) == seed
    return values[mine], [label for label, is_mine in zip(table["label"].to_pylist(), mine, strict=True) if is_mine]


def _finite(values: np.ndarray, path: Path) -> np.ndarray:
    if not np.isfinite(values).all():
        raise DataError(f"{path}: it holds values that are not finite: the model diverged; train with a lower rate")
    return values
