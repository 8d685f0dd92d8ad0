"""The comparison: one row per variant, its numbers, and how they are written."""

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import DataError
from pipeline.workspace import read_json, write_json

NONE = "–"
METRICS = ("mse", "cosine_similarity", "kl", "elbo")  # these have an interval
NUMBERS = (  # of comparison.csv, in its order
    *(name + end for name in METRICS for end in ("", "_low", "_high")),
    *("mse_mean", "mse_zero", "mse_relative", "mse_pca", "pca_ratio", "latent_dims", "active_units", "active_share"),
    *("perplexity", "perplexity_share", "parameters", "variance_ratio", "sample_variance_ratio", "sample_time_ratio"),
    *("samples_flat", "transfer_accuracy", "transfer_chance", "probe_accuracy"),
    *("baseline", "collapsed", "tracks", "windows"),
)
COMPARED = (
    *("mse", "mse_relative", "pca_ratio", "cosine_similarity", "kl", "elbo", "active_units", "perplexity_share"),
    *("parameters", "collapsed"),
)


@dataclass(frozen=True)
class Row:
    """A variant. `numbers` holds a finite float or None for every name in NUMBERS; all None when not evaluated."""

    variant: str
    representation: str
    evaluated: bool
    input: str = ""
    collapse_reason: str = ""
    remarks: list[str] = field(default_factory=list)  # what else than the latent the decoder is given
    generation: list[str] = field(default_factory=list)  # what is to be said of its samples and transfers
    seeds: list[int] = field(default_factory=list)
    numbers: dict[str, float | None] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float | None:
        return self.numbers.get(name)

    @property
    def collapsed(self) -> bool:
        """Whether evaluation found that the latents or the output carry next to nothing."""
        return bool(self["collapsed"])

    @property
    def baseline(self) -> bool:
        """Whether it is there to compare with: fitted in closed form."""
        return bool(self["baseline"])

    @property
    def interval(self) -> str:
        """The MSE's interval, or an empty text."""
        low, high = self["mse_low"], self["mse_high"]
        return "" if low is None or high is None else f"{digits(low)}–{digits(high)}"


def rows(variants: list[str], evaluation: Path, params: dict[str, Any]) -> list[Row]:
    """A row for each of `variants`, in their order, from <evaluation>/<variant>/.

    Raises:
        DataError: a metrics.json or config.json is there but cannot be read.
    """
    found = [_row(name, evaluation / name, str(params["models"][name]["representation"])) for name in variants]
    errors = {name: by_size for name in variants if (by_size := _sizes(evaluation / name / "sizes.parquet"))}
    for row in found:
        same = [errors[o.variant] for o in found if o.variant in errors and o.representation == row.representation]
        size = row["latent_dims"]
        # A code of a codebook is no coordinate; and more components than windows there are not.
        if same and size is not None and row["perplexity"] is None and not row.baseline:
            row.numbers["mse_pca"] = number(max(same, key=len).get(int(size)))
            row.numbers["pca_ratio"] = ratio(row["mse"], row["mse_pca"])
    return found


def _sizes(path: Path) -> dict[int, float]:
    """PCA's error at each number of components; nothing of a variant that is not PCA."""
    if not path.is_file():
        return {}
    try:
        table = pd.read_parquet(path, columns=["latent", "mse"])
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a usable table; run `dvc repro` to make it again") from error
    return dict(zip(table["latent"].tolist(), table["mse"].tolist(), strict=True))


def _generation(metrics: dict[str, Any]) -> list[str]:
    said = [f"Samples are flat: {metrics['samples_flat_reason']}"] if metrics.get("samples_flat") else []
    hit, chance, real = (number(metrics.get(key)) for key in ("transfer_accuracy", "transfer_chance", "probe_accuracy"))
    if hit is not None:
        said.append(
            f"A probe gives {percent(hit)} of the windows that were transferred to another label that label (chance "
            f"{percent(chance)}), and {percent(real)} of the real ones their own"
        )
    return said


def _remarks(config: dict[str, Any]) -> list[str]:
    """What reaches the decoder past the latent, by config.json."""
    found = []
    if (config.get("network") or {}).get("skip"):
        found.append("skip connections pass the latent by; samples come from a decoder that learnt with them")
    if config.get("scaling", "none") != "none":
        found.append(f"and the window's level ({config['scaling']})")
    return found


def _row(variant: str, folder: Path, representation: str) -> Row:
    if not (folder / "metrics.json").is_file():
        return Row(variant, representation, evaluated=False)
    metrics, config = _read(folder / "metrics.json"), _read(folder / "config.json")
    numbers = {name: number(metrics.get(name)) for name in NUMBERS}
    numbers["mse_relative"] = ratio(numbers["mse"], numbers["mse_mean"])
    numbers["active_share"] = ratio(numbers["active_units"], numbers["latent_dims"])
    return Row(
        variant=variant,
        representation=representation,
        evaluated=True,
        input=f"{config.get('kind', '')} {' × '.join(str(size) for size in config.get('shape') or [])}".strip(),
        collapse_reason=str(metrics.get("collapse_reason") or ""),
        remarks=_remarks(config),
        generation=_generation(metrics),
        seeds=list(metrics.get("seeds") or []),
        numbers=numbers,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(read_json(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: missing or not JSON; run `dvc repro` to make it again") from error


def number(value: Any) -> float | None:
    """A finite float, or None for anything else; true is 1."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def ratio(part: float | None, whole: float | None) -> float | None:
    """part / whole, or None where that means nothing."""
    return part / whole if part is not None and whole else None


def write_csv(found: list[Row], path: Path) -> None:
    """comparison.csv: every number of every variant; what a variant has no value for is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["variant", "representation", "input", "evaluated", *NUMBERS, "collapse_reason"])
        for row in found:
            values = [row[name] for name in NUMBERS]
            writer.writerow(
                [row.variant, row.representation, row.input, int(row.evaluated), *values, row.collapse_reason]
            )


def write_compared(found: list[Row], path: Path) -> None:
    """comparison.json: {variant: {metric: number or null}}, the few numbers that `dvc exp show` puts in columns."""
    write_json(path, {row.variant: {name: row[name] for name in COMPARED} for row in found})


def ranked(found: list[Row]) -> list[Row]:
    """Variants with an error relative to the mean predictor's, lowest first, collapsed ones among them."""
    return sorted((r for r in found if r["mse_relative"] is not None), key=lambda r: r["mse_relative"] or 0.0)


def digits(value: float | None) -> str:
    """Three significant digits, thousands separated: 0.00620, 182, 51,234."""
    if value is None:
        return NONE
    return (
        f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}" if abs(value) >= 1e-4 or not value else f"{value:.2e}"
    )


def percent(value: float | None) -> str:
    """A share: 24.2 %, and 131 % without the decimal."""
    return NONE if value is None else f"{100 * value:.{1 if value < 1 else 0}f} %"


def times(value: float | None) -> str:
    """A factor: 0.975 ×, 1.31 ×."""
    return NONE if value is None else f"{value:.{3 if value < 0.9995 else 2}f} ×"


def count(value: float | None) -> str:
    """A whole number, thousands separated; one decimal where it is a mean over seeds."""
    return NONE if value is None else f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def size(value: float | None) -> str:
    """A number of parameters: 812 k, 1.23 M."""
    if value is None or value < 1000:
        return count(value)
    return f"{value / 1e3:.0f} k" if value < 999_500 else f"{value / 1e6:.2f} M"
