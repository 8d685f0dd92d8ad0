"""The page's part of one variant: its numbers, settings, training and how to make it again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.workspace import read_json
from pipeline.report.columns import COLUMNS, SETS
from pipeline.report.figures import Figures
from pipeline.report.table import Row
from pipeline.report.text import count, digits, hertz, percent, size, span, times
from pipeline.report.training import Training

SECTIONS = ("network", "bottleneck", "condition", "loss", "train")


@dataclass(frozen=True)
class Part:
    """What the page and the model card say of one variant."""

    row: Row
    summary: list[tuple[str, str]]  # what it is known by while it is folded
    facts: list[tuple[str, str, str]]  # name, value and interval
    numbers: list[tuple[str, list[tuple[str, str, str]]]]  # all metrics, by the table's sets
    settings: list[tuple[str, str]]
    skip: bool
    training: Training
    figures: Figures
    runs: list[dict[str, Any]]
    card: str = ""


def part(row: Row, figures: Figures, training: Training, evaluation: Path, params: dict[str, Any]) -> Part:
    """Of the variant of `row`, a key of params["models"]; `evaluation` holds <variant>/run.json."""
    settings = params["models"][row.variant]
    described = [("input", _input(row, params)), ("scaling", str(settings.get("scaling", "none")))]
    described = [(name, said) for name, said in described if said != "none"]
    described += [(name, _flow(settings[name])) for name in SECTIONS if settings.get(name)]
    runs = evaluation / row.variant / "run.json"
    return Part(
        row=row,
        summary=_summary(row),
        facts=_facts(row),
        numbers=_numbers(row),
        settings=described,
        skip=bool((settings.get("network") or {}).get("skip")),
        training=training,
        figures=figures,
        runs=list(read_json(runs)) if runs.is_file() else [],
    )


def _summary(row: Row) -> list[tuple[str, str]]:
    found = [
        ("log-mel", digits(row["mel_mse"]), row["mel_mse"]),
        ("own", digits(row["mse"]), row["mse"]),
        ("probe", percent(row["probe_accuracy"]), row["probe_accuracy"]),
        ("size", size(row["parameters"]), row["parameters"] if row.role == "variant" else None),
    ]
    return [(name, said) for name, said, value in found if value is not None]


def _facts(row: Row) -> list[tuple[str, str, str]]:
    """The few numbers that stand at the top."""
    found = [
        ("Error, common log-mel", digits(row["mel_mse"]), span(row["mel_mse_low"], row["mel_mse_high"]), "mel_mse"),
        ("MSE, own scale", digits(row["mse"]), span(row["mse_low"], row["mse_high"]), "mse"),
        ("Of the mean’s", percent(row["mse_relative"]), "", "mse_relative"),
        ("Of PCA’s, same size", times(row["pca_ratio"]), "", "pca_ratio"),
        ("KL in nats", digits(row["kl"]), span(row["kl_low"], row["kl_high"]), "kl"),
        ("Active units", f"{count(row['active_units'])} of {count(row['latent_dims'])}", "", "active_units"),
        ("Perplexity", digits(row["perplexity"]), f"{percent(row['perplexity_share'])} of the codes", "perplexity"),
        ("Probe accuracy", percent(row["probe_accuracy"]), f"chance {percent(row['chance'])}", "probe_accuracy"),
        ("Reach", f"to {hertz(row['reach_hz'])}", "", "reach_hz"),
        ("Scored on", f"{count(row['windows'])} windows", f"of {count(row['tracks'])} recordings", "windows"),
    ]
    return [(name, said, more) for name, said, more, key in found if row[key] is not None]


def _numbers(row: Row) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Every metric that the row has, each in the last of the table's sets that show it."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for column in COLUMNS:
        if column.value(row) is not None:
            name = f"{column.name}, {column.unit}" if column.unit else column.name
            groups.setdefault(SETS[column.sets[-1]], []).append((name, column.text(row), column.detail(row)))
    return list(groups.items())


def _input(row: Row, params: dict[str, Any]) -> str:
    settings = (params.get("representations") or {}).get(row.representation) or {}
    shape = f", {row.input}" if row.input else ""
    return f"{row.representation}{shape}" + (f" ({_flow(settings)})" if settings else "")


def _flow(settings: Any) -> str:
    """Settings as one line of YAML."""
    return yaml.safe_dump(settings, default_flow_style=True, width=10**6, sort_keys=False).strip()[1:-1]
