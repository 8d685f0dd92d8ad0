"""The comparison: one row for each variant, baseline, ceiling, codec and external row, with all its metrics."""

from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.artefacts import read_json, read_table
from pipeline.core.workspace import write_json
from pipeline.report.formatting import percent

# The metrics that comparison.csv starts with; all others follow in alphabetical order.
FIRST_METRICS = (
    *("mel_mse", "mel_mse_low", "mel_mse_high", "mel_mse_relative", "mel_cosine_similarity", "mel_mse_bandwidth"),
    *("bandwidth_hz", "mse", "mse_low", "mse_high", "mse_relative", "mse_pca"),
    *("pca_ratio", "pca_ratio_low", "pca_ratio_high", "cosine_similarity", "kl", "elbo", "latent_dims", "in_use"),
    *("probe_accuracy", "chance", "frechet_samples", "parameters", "baseline", "collapsed"),
)
# Few, because `dvc metrics` and `dvc exp show` make a column of each metric of each variant.
JSON_METRICS = ("mel_mse", "mse", "kl", "in_use", "probe_accuracy", "collapsed")


@dataclass(frozen=True)
class Row:
    """A line of the comparison. `numbers` holds finite floats or None; it is empty without an evaluation."""

    variant: str
    representation: str
    evaluated: bool
    kind: str = ""  # kind of the representation: mel or waveform
    input: str = ""  # shape of the input
    role: str = "variant"  # variant, baseline, ceiling, codec, or external (a model from elsewhere)
    collapse_reason: str = ""
    extra_inputs: list[str] = field(default_factory=list)  # inputs of the decoder besides the latent
    has_skips: bool = False  # skip connections around the latent
    generation: list[str] = field(default_factory=list)  # sentences on samples and transfers
    seeds: list[int] = field(default_factory=list)
    numbers: dict[str, float | None] = field(default_factory=dict)
    folder: Path = Path()  # folder of its metrics.json

    def __getitem__(self, name: str) -> float | None:
        return self.numbers.get(name)

    @property
    def collapsed(self) -> bool:
        """Whether the evaluation flags it as collapsed."""
        return bool(self["collapsed"])

    @property
    def is_model(self) -> bool:
        """Whether it is an entry of params["models"], with stages, figures and a section of its own."""
        return self.role in ("variant", "baseline")

    @property
    def competes(self) -> bool:
        """Whether it can be the best: a trained variant that has not collapsed."""
        return self.role == "variant" and not self.collapsed


def read_rows(data: Path, params: dict[str, Any]) -> list[Row]:
    """A row for each key of params["models"], then the rows of stage reference; DataError if a file is damaged."""
    rows = []
    for name, settings in params["models"].items():
        role = "baseline" if (settings.get("bottleneck") or {}).get("type") == "linear" else "variant"
        rows.append(_read_row(data / "evaluation" / name, name, str(settings["representation"]), role, params))
    for name in by_input(rows):
        # Beside a vocoder, Griffin-Lim: what differs is the audio. The ceiling is the last row of its representation.
        folder, title = data / "reference" / "griffin_lim" / name, f"{name} by Griffin-Lim"
        other = _read_row(folder, title, name, "ceiling", params)
        ceiling = _read_row(data / "reference" / "ceiling" / name, f"true {name}", name, "ceiling", params)
        audio = {key: value for key, value in other.numbers.items() if value != ceiling[key]}
        rows += [row for row in (replace(other, numbers=audio), ceiling) if row.evaluated]
    for role in ("codec", "external"):
        folders = [path.parent for path in (data / "reference" / role).glob("*/metrics.json")]
        others = [_read_row(folder, folder.name, "", role, params) for folder in sorted(folders)]
        if role == "codec":  # by the rate that it has
            others = [replace(row, variant=_codec_title(row)) for row in others]
            others.sort(key=lambda row: (row.variant.split()[0], row["kbps"]))
        rows += others
    mean = next((row["mel_mse_mean"] for row in rows if row["mel_mse_mean"] is not None), None)
    for row in rows:
        row.numbers["mel_mse_relative"] = ratio(row["mel_mse"], mean)
    _add_shared_bands(rows)
    return rows


def _codec_title(row: Row) -> str:
    codec = row.folder.name.split("-")[0]
    return f"{'Opus' if codec == 'opus' else codec.upper()} at {row['kbps']:.0f} kbit/s"


def _read_row(folder: Path, name: str, representation: str, role: str, params: dict[str, Any]) -> Row:
    kind = str(((params.get("representations") or {}).get(representation) or {}).get("kind", ""))
    if not (folder / "metrics.json").is_file():
        return Row(name, representation, evaluated=False, kind=kind, role=role, folder=folder)
    metrics = dict(read_json(folder / "metrics.json"))
    config = dict(read_json(folder / "config.json")) if role in ("variant", "baseline") else {}
    return Row(
        variant=name,
        representation=representation,
        evaluated=True,
        kind=str(config.get("kind") or kind),
        input=" × ".join(str(size) for size in config.get("shape") or []),
        role="baseline" if metrics.get("baseline") else role,
        collapse_reason=str(metrics.get("collapse_reason") or ""),
        extra_inputs=_extra_inputs(config),
        has_skips=bool((config.get("network") or {}).get("skip")),
        generation=_generation(metrics, config),
        seeds=list(metrics.get("seeds") or []),
        numbers=_numbers(metrics),
        folder=folder,
    )


def _numbers(metrics: dict[str, Any]) -> dict[str, float | None]:
    """The numbers in metrics.json, and the shares that follow from them."""
    numbers = {name: finite(value) for name, value in metrics.items() if not isinstance(value, str | list | dict)}
    numbers["mse_relative"] = ratio(numbers.get("mse"), numbers.get("mse_mean"))
    share = numbers.get("perplexity_share")
    numbers["in_use"] = share if share is not None else numbers.get("active_share")
    return numbers


def _extra_inputs(config: dict[str, Any]) -> list[str]:
    inputs = []
    if (config.get("network") or {}).get("skip"):
        inputs.append("skip connections around the latent (samples are decoded without them)")
    if config.get("scaling", "none") != "none":
        inputs.append(f"the window's gain ({config['scaling']})")
    return inputs


def _generation(metrics: dict[str, Any], config: dict[str, Any]) -> list[str]:
    notes = [f"Samples are flat: {metrics['samples_flat_reason']}"] if metrics.get("samples_flat") else []
    bottleneck = config.get("bottleneck") or {}
    if bottleneck.get("type") == "gaussian" and bottleneck.get("layout") == "sequence":
        notes.append("Samples draw the latent of each position in time alone, so they have no rhythm and no melody")
    accuracy, chance, real = (finite(metrics.get(f"transfer_{name}")) for name in ("accuracy", "chance", "real"))
    if accuracy is not None:
        notes.append(
            f"Transfer: a probe assigns the target label to {percent(accuracy)} of the transferred windows (chance "
            f"{percent(chance)}); it labels {percent(real)} of the real windows correctly"
        )
    return notes


def _add_shared_bands(rows: list[Row]) -> None:
    """Set mel_mse_shared, the error in the mel bands below shared_hz, the lowest bandwidth of all rows."""
    bandwidth = min((row["bandwidth_hz"] for row in rows if row["bandwidth_hz"] is not None), default=None)
    if bandwidth is None:
        return
    for row in rows:
        path = row.folder / "bands.parquet"
        if row["mel_mse"] is not None and path.is_file():  # not Griffin-Lim beside a vocoder, which has only audio
            errors = read_bands(path)["mse"]
            ends = np.append(errors.index[1:], np.inf)  # a band ends at the centre of the next one
            row.numbers.update(mel_mse_shared=finite(float(errors[ends <= bandwidth].mean())), shared_hz=bandwidth)


def read_bands(path: Path) -> pd.DataFrame:
    """mse and mse_mean by hertz, averaged over seeds."""
    return read_table(path, ["hertz", "mse", "mse_mean"]).groupby("hertz").mean()


def finite(value: Any) -> float | None:
    """A finite float, or None for anything else; true is 1."""
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def ratio(value: float | None, base: float | None) -> float | None:
    """value / base; None if one is missing or `base` is 0."""
    return value / base if value is not None and base else None


def write_comparison_csv(rows: list[Row], path: Path) -> None:
    """Write every number of every row; a missing value is empty."""
    others = {name for row in rows for name in row.numbers} - {*FIRST_METRICS, "collapse_reason"}
    metrics = [*FIRST_METRICS, *sorted(others)]
    columns = {
        "variant": [row.variant for row in rows],
        "role": [row.role for row in rows],
        "representation": [row.representation for row in rows],
        "input": [f"{row.kind} {row.input}".strip() for row in rows],
        "evaluated": [int(row.evaluated) for row in rows],
        **{name: [row[name] for row in rows] for name in metrics},
        "collapse_reason": [row.collapse_reason for row in rows],
    }
    pd.DataFrame(columns).to_csv(path, index=False, lineterminator="\n")


def write_comparison_json(rows: list[Row], path: Path) -> None:
    """Write {variant: {metric: number or null}} for `dvc metrics`, of what a training or a fit changes."""
    write_json(path, {row.variant: {name: row[name] for name in JSON_METRICS} for row in rows if row.is_model})


def rank(rows: list[Row], metric: str) -> list[Row]:
    """The rows that have the metric, lowest first."""
    return sorted((row for row in rows if row[metric] is not None), key=lambda row: row[metric] or 0.0)


def by_input(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of each representation, in their order."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.representation, []).append(row)
    return groups
