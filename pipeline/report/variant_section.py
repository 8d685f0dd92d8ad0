"""The section of one variant on the page: its metrics, settings, training, figures and MLflow runs."""

from typing import Any

import yaml

from pipeline.core.artefacts import read_json
from pipeline.report.columns import COLUMNS, SETS
from pipeline.report.formatting import count, digits, factor, hertz, interval, percent, size
from pipeline.report.histories import History, describe_training
from pipeline.report.table import Row

BLOCKS = ("network", "bottleneck", "condition", "loss", "train")  # of a variant in params.yaml


def make_section(row: Row, figures: list[Any], history: History, params: dict[str, Any]) -> dict[str, Any]:
    """The content of the variant's section and of its model card."""
    blocks = params["models"][row.variant]
    settings = [("input", _input(row, params))]
    if blocks.get("scaling", "none") != "none":
        settings.append(("scaling", str(blocks["scaling"])))
    settings += [(name, _one_line(blocks[name])) for name in BLOCKS if blocks.get(name)]
    runs = row.folder / "run.json"
    return {
        "row": row,
        "summary": _summary(row),  # visible while the section is closed
        "facts": _facts(row),
        "metrics": _metrics(row),
        "settings": settings,
        "has_skips": bool((blocks.get("network") or {}).get("skip")),
        "training": describe_training(history),
        "figures": figures,
        "runs": list(read_json(runs)) if runs.is_file() else [],
    }


def _summary(row: Row) -> list[tuple[str, str]]:
    """Name and value."""
    facts = [
        ("log-mel", digits(row["mel_mse"]), row["mel_mse"]),
        ("own scale", digits(row["mse"]), row["mse"]),
        ("probe", percent(row["probe_accuracy"]), row["probe_accuracy"]),
        ("size", size(row["parameters"]), row["parameters"] if row.role == "variant" else None),
    ]
    return [(name, text) for name, text, value in facts if value is not None]


def _facts(row: Row) -> list[tuple[str, str, str]]:
    """Name, value and detail."""

    def bounds(metric: str) -> str:
        return interval(row[f"{metric}_low"], row[f"{metric}_high"])

    facts = [
        ("mel_mse", "MSE, common log-mel", digits(row["mel_mse"]), bounds("mel_mse")),
        ("mse", "MSE, own scale", digits(row["mse"]), bounds("mse")),
        ("mse_relative", "MSE vs. mean predictor", percent(row["mse_relative"]), ""),
        ("pca_ratio", "MSE vs. PCA, same size", factor(row["pca_ratio"]), ""),
        ("kl", "KL in nats", digits(row["kl"]), bounds("kl")),
        ("active_units", "Active units", f"{count(row['active_units'])} of {count(row['latent_dims'])}", ""),
        ("perplexity", "Perplexity", digits(row["perplexity"]), f"{percent(row['perplexity_share'])} of the codes"),
        ("probe_accuracy", "Probe accuracy", percent(row["probe_accuracy"]), f"chance {percent(row['chance'])}"),
        ("reach_hz", "Frequency range", f"to {hertz(row['reach_hz'])}", ""),
        ("windows", "Evaluated on", f"{count(row['windows'])} windows", f"of {count(row['tracks'])} recordings"),
    ]
    return [(name, text, detail) for metric, name, text, detail in facts if row[metric] is not None]


def _metrics(row: Row) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Every metric of the row, in the last of the column sets that show it."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for column in COLUMNS:
        if column.value(row) is not None:
            name = f"{column.name}, {column.unit}" if column.unit else column.name
            groups.setdefault(SETS[column.sets.split()[-1]], []).append((name, column.text(row), column.detail(row)))
    return list(groups.items())


def _input(row: Row, params: dict[str, Any]) -> str:
    settings = (params.get("representations") or {}).get(row.representation)
    shape = f", {row.input}" if row.input else ""
    return f"{row.representation}{shape}" + (f" ({_one_line(settings)})" if settings else "")


def _one_line(settings: Any) -> str:
    """Settings as one line of YAML, without braces."""
    return yaml.safe_dump(settings, default_flow_style=True, width=10**6, sort_keys=False).strip()[1:-1]
