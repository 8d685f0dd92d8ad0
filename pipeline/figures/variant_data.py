"""Read the artefacts for a variant's figures: from training, evaluation and the reference."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.audio.inversion import Inversion
from pipeline.audio.representation import MelConfig, WaveformConfig, parse_representation
from pipeline.core import arrays
from pipeline.core.artefacts import read_csv, read_json, read_table, readable
from pipeline.core.errors import DataError
from pipeline.vocoder.read import read_inversion

Representation = MelConfig | WaveformConfig
OPTIONAL_TABLES = ("dimensions", "codes")


@dataclass(frozen=True)
class Window:
    """A row of examples.parquet or snapshots.parquet; the array is on the variant's own scale.

    `kind`, `step`, `scale`, `label`, `track_id` and `peak_db` are columns of examples.parquet. `index` counts
    the items of one kind from 0. `epoch` is 0 for examples.
    """

    kind: str
    index: int
    array: np.ndarray
    epoch: int = 0
    step: int = 0
    scale: float = 0.0
    label: str = ""
    track_id: str = ""
    peak_db: float = 0.0


@dataclass(frozen=True)
class ExampleAudio:
    """Audio (samples,) of an example at the common rate; the ceiling is the original through the representation."""

    original: np.ndarray
    ceiling: np.ndarray
    reconstruction: np.ndarray


@dataclass(frozen=True)
class VariantData:
    """Data of one variant. Except for `histories`, it is of the first seed."""

    seconds: float
    representation: Representation
    inversion: Inversion | None  # of a mel
    rate: int  # Hz, the common rate
    seed: int
    metrics: dict[str, Any]
    histories: dict[int, pd.DataFrame]  # seed -> history.csv
    snapshots: list[Window]
    examples: list[Window]
    audio: dict[int, ExampleAudio]  # example -> audio
    latents: np.ndarray  # (windows, latent_dims)
    labels: list[str]  # label of each latent
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)  # any of OPTIONAL_TABLES

    @property
    def is_baseline(self) -> bool:
        """Whether the variant has no epochs."""
        return bool(self.metrics.get("baseline"))

    @property
    def texts(self) -> set[str]:
        """The labels, and the names of recordings, that a figure may show."""
        return {*self.labels, *user_texts(self.snapshots), *user_texts(self.examples)}

    def select(self, kind: str, index: int | None = None) -> list[Window]:
        """The examples of a kind, and of an index if given, by index and step."""
        rows = (w for w in self.examples if w.kind == kind and index in (None, w.index))
        return sorted(rows, key=lambda w: (w.index, w.step))

    def indices(self, kind: str) -> list[int]:
        """The different indices of the examples of a kind."""
        return sorted({w.index for w in self.select(kind)})

    @property
    def pairs(self) -> list[tuple[Window, Window]]:
        """(original, reconstruction) of each example."""
        return self._pairs("original", "reconstruction")

    @property
    def extremes(self) -> list[tuple[Window, Window]]:
        """(original, reconstruction) of the best, the median and the worst test window, by step."""
        return self._pairs("extreme_original", "extreme_reconstruction")

    def _pairs(self, original: str, reconstruction: str) -> list[tuple[Window, Window]]:
        reconstructions = {(w.index, w.step): w for w in self.select(reconstruction)}
        originals = {(w.index, w.step): w for w in self.select(original)}
        return [(w, reconstructions[key]) for key, w in originals.items() if key in reconstructions]


def read_variant_data(variant: str, data: Path) -> VariantData:
    """Read the artefacts of `variant` below the folder `data`.

    Raises:
        DataError: an artefact is missing or damaged, or an array has values that are not finite.
    """
    folder, models, reference = data / "evaluation" / variant, data / "models" / variant, data / "reference"
    metrics, config = read_json(folder / "metrics.json"), read_json(folder / "config.json")
    with readable(folder / "metrics.json"):
        seeds = [int(s) for s in metrics["seeds"]]
        seed = seeds[0]
    with readable(folder / "config.json"):
        representation = read_representation(config)
        seconds, ceiling = float(config["seconds"]), reference / "ceiling" / config["input"]
    with readable(reference / "reference.json"):
        rate = int(read_json(reference / "reference.json")["mel"]["sample_rate"])
    latents = arrays.read(folder / "latents.parquet")
    is_seed = np.array(latents["seed"]) == seed
    return VariantData(
        seconds=seconds,
        representation=representation,
        inversion=read_inversion(data / "vocoders" / config["input"], representation),
        rate=rate,
        seed=seed,
        metrics=metrics,
        histories={s: read_csv(models / f"seed-{s}" / "history.csv") for s in seeds},
        snapshots=read_windows(models / f"seed-{seed}" / "snapshots.parquet", "index"),
        examples=read_windows(folder / "examples.parquet", "example"),
        audio=_read_audio(reference / "examples.parquet", ceiling / "examples.parquet", folder / "audio.parquet"),
        latents=_finite(arrays.unpack(latents, "latent"), folder / "latents.parquet")[is_seed],
        labels=latents.filter(is_seed)["label"].to_pylist(),
        tables={
            name: _read_seed(folder / f"{name}.parquet", seed)
            for name in OPTIONAL_TABLES
            if (folder / f"{name}.parquet").is_file()
        },
    )


def read_representation(config: dict[str, Any]) -> Representation:
    """The representation of a model's config.json."""
    return parse_representation(config["representation"])


def read_windows(path: Path, index: str) -> list[Window]:
    """The windows of a table; `index` is the column of their index.

    Raises:
        DataError: the table is missing or damaged, or has values that are not finite.
    """
    table = arrays.read(path)
    values = _finite(arrays.unpack(table, "array"), path).astype(np.float32, copy=False)
    rows = table.drop_columns(["array"]).to_pylist()
    return [
        Window(
            kind=row["kind"],
            index=row[index],
            array=value,
            epoch=row.get("epoch", 0),
            step=row.get("step") or 0,
            scale=row.get("scale") or 0.0,
            label=row.get("label") or "",
            track_id=row.get("track_id") or "",
            peak_db=row.get("peak_db") or 0.0,
        )
        for row, value in zip(rows, values, strict=True)
    ]


def user_texts(windows: Iterable[Window]) -> set[str]:
    """The labels and the names of recordings of these windows."""
    return {text for window in windows for text in (window.label, window.track_id)}


def _read_seed(path: Path, seed: int) -> pd.DataFrame:
    table = read_table(path)
    return table[table["seed"] == seed].reset_index(drop=True)


def _read_audio(*paths: Path) -> dict[int, ExampleAudio]:
    """Audio from the three tables, for the examples that all of them have."""
    tables = []
    for path in paths:
        table = arrays.read(path)
        audio = _finite(arrays.unpack(table, "audio"), path)
        tables.append(dict(zip(table["example"].to_pylist(), audio, strict=True)))
    examples = sorted(set.intersection(*map(set, tables)))
    return {index: ExampleAudio(*(table[index] for table in tables)) for index in examples if index >= 0}


def _finite(values: np.ndarray, path: Path) -> np.ndarray:
    if not np.isfinite(values).all():
        raise DataError(f"{path}: it has values that are not finite: the model diverged; train with a lower rate")
    return values
