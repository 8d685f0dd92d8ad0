"""The comparison: one row for each variant, baseline and ceiling, with every number that its evaluation found."""

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.errors import DataError
from pipeline.core.workspace import read_json, write_json
from pipeline.report.text import percent

# comparison.csv has these first, in this order, and then whatever else the metrics hold.
FIRST = (
    *(
        "mel_mse",
        "mel_mse_low",
        "mel_mse_high",
        "mel_mse_relative",
        "mel_cosine_similarity",
        "mel_mse_reach",
        "reach_hz",
    ),
    *("mse", "mse_low", "mse_high", "mse_relative", "mse_pca", "pca_ratio", "cosine_similarity", "kl", "elbo"),
    *("latent_dims", "in_use", "probe_accuracy", "chance", "frechet_samples", "parameters", "baseline", "collapsed"),
)
# comparison.json, which `dvc metrics` and `dvc exp show` put into columns: few, since there is one for each variant.
COMPARED = ("mel_mse", "mse", "kl", "in_use", "probe_accuracy", "collapsed")


@dataclass(frozen=True)
class Row:
    """A variant, a baseline or a ceiling. `numbers` holds finite floats or None; it is empty when not evaluated."""

    variant: str
    representation: str
    evaluated: bool
    kind: str = ""  # of the input: mel or waveform
    input: str = ""  # and its shape
    role: str = "variant"  # variant, baseline or ceiling
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
        return self.role == "baseline"

    @property
    def competes(self) -> bool:
        """Whether it may win: it was trained, and has not collapsed."""
        return self.role == "variant" and not self.collapsed


def rows(variants: list[str], evaluation: Path, params: dict[str, Any], reference: Path | None = None) -> list[Row]:
    """A row for each of `variants`, in their order, from <evaluation>/<variant>/; then one for each input's ceiling.

    Args:
        variants: keys of params["models"].
        evaluation: holds <variant>/metrics.json, config.json and, of PCA, sizes.parquet.
        params: the content of params.yaml.
        reference: holds ceiling/<representation>/metrics.json; None where there are no ceilings.

    Raises:
        DataError: a metrics.json or config.json is there but cannot be read.
    """
    found = [_row(name, evaluation / name, params) for name in variants]
    errors = {name: by_size for name in variants if (by_size := _sizes(evaluation / name / "sizes.parquet"))}
    for row in found:
        same = [errors[o.variant] for o in found if o.variant in errors and o.representation == row.representation]
        size = row["latent_dims"]
        # A code of a codebook is no coordinate; and more components than windows there are not.
        if same and size is not None and row["perplexity"] is None and not row.baseline:
            row.numbers["mse_pca"] = number(max(same, key=len).get(int(size)))
            row.numbers["pca_ratio"] = ratio(row["mse"], row["mse_pca"])
    if reference is not None:
        used = dict.fromkeys(row.representation for row in found)
        found += [_ceiling(name, reference / "ceiling" / name, params) for name in used]
    mean = next((row["mel_mse_mean"] for row in found if row["mel_mse_mean"] is not None), None)
    for row in found:
        row.numbers["mel_mse_relative"] = ratio(row["mel_mse"], mean)
    _share_bands(found, evaluation, reference)
    return [row for row in found if row.role != "ceiling" or row.evaluated]


def _share_bands(found: list[Row], evaluation: Path, reference: Path | None) -> None:
    """mel_mse_shared of every row: its error in the bands that lie wholly below the least reach of all, shared_hz."""
    reach = min((row["reach_hz"] for row in found if row["reach_hz"] is not None), default=None)
    if reach is None or reference is None:
        return
    for row in found:
        ceiling = reference / "ceiling" / row.representation
        path = (ceiling if row.role == "ceiling" else evaluation / row.variant) / "bands.parquet"
        if row.evaluated and path.is_file():
            errors = read_bands(path)["mse"]
            ends = np.append(errors.index[1:], np.inf)  # a band ends at the centre of the next one
            row.numbers.update(mel_mse_shared=number(float(errors[ends <= reach].mean())), shared_hz=reach)


def read_bands(path: Path) -> pd.DataFrame:
    """mse and mse_mean by hertz, the mean over seeds.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return pd.read_parquet(path, columns=["hertz", "mse", "mse_mean"]).groupby("hertz").mean()
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not a usable table; run `dvc repro` to make it again") from error


def _row(variant: str, folder: Path, params: dict[str, Any]) -> Row:
    settings = params["models"][variant]
    representation = str(settings["representation"])
    kind = _kind(representation, params)
    role = "baseline" if (settings.get("bottleneck") or {}).get("type") == "linear" else "variant"
    if not (folder / "metrics.json").is_file():
        return Row(variant, representation, evaluated=False, kind=kind, role=role)
    metrics, config = _read(folder / "metrics.json"), _read(folder / "config.json")
    return Row(
        variant=variant,
        representation=representation,
        evaluated=True,
        kind=str(config.get("kind") or kind),
        input=" × ".join(str(size) for size in config.get("shape") or []),
        role="baseline" if metrics.get("baseline") else role,
        collapse_reason=str(metrics.get("collapse_reason") or ""),
        remarks=_remarks(config),
        generation=_generation(metrics),
        seeds=list(metrics.get("seeds") or []),
        numbers=_numbers(metrics),
    )


def _ceiling(representation: str, folder: Path, params: dict[str, Any]) -> Row:
    there = (folder / "metrics.json").is_file()
    numbers = _numbers(_read(folder / "metrics.json")) if there else {}
    kind = _kind(representation, params)
    return Row(f"true {representation}", representation, there, kind, role="ceiling", numbers=numbers)


def _kind(representation: str, params: dict[str, Any]) -> str:
    return str(((params.get("representations") or {}).get(representation) or {}).get("kind", ""))


def _numbers(metrics: dict[str, Any]) -> dict[str, float | None]:
    """Every number in metrics.json, and those that follow from them."""
    found = {name: number(value) for name, value in metrics.items() if not isinstance(value, str | list | dict)}
    found["mse_relative"] = ratio(found.get("mse"), found.get("mse_mean"))
    if found.get("active_share") is None:
        found["active_share"] = ratio(found.get("active_units"), found.get("latent_dims"))
    share = found.get("perplexity_share")
    found["in_use"] = share if share is not None else found["active_share"]
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
    hit, chance, real = (number(metrics.get(key)) for key in ("transfer_accuracy", "transfer_chance", "transfer_real"))
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
    """comparison.csv: every number of every row; what a row has no value for is empty."""
    others = {name for row in found for name in row.numbers} - set(FIRST)
    names = [*FIRST, *sorted(others - {"collapse_reason"})]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["variant", "role", "representation", "input", "evaluated", *names, "collapse_reason"])
        for row in found:
            about = [row.variant, row.role, row.representation, f"{row.kind} {row.input}".strip()]
            writer.writerow([*about, int(row.evaluated), *(row[name] for name in names), row.collapse_reason])


def write_compared(found: list[Row], path: Path) -> None:
    """comparison.json: {variant: {metric: number or null}}, ceilings left out, which no training changes."""
    kept = [row for row in found if row.role != "ceiling"]
    write_json(path, {row.variant: {name: row[name] for name in COMPARED} for row in kept})


def ranked(found: list[Row], metric: str) -> list[Row]:
    """Rows that have the metric, lowest first, collapsed ones among them."""
    return sorted((row for row in found if row[metric] is not None), key=lambda row: row[metric] or 0.0)
