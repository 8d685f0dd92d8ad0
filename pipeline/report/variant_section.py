"""The section of each variant on the page, and its model card in Markdown.

The card follows Mitchell et al., "Model Cards for Model Reporting" (2019).
"""

from pathlib import Path
from typing import Any

import yaml
from jinja2 import Template

from pipeline.core.artefacts import read_json
from pipeline.report.columns import COLUMNS, SETS
from pipeline.report.formatting import digits, factor, hertz, percent, size
from pipeline.report.histories import History, describe_training
from pipeline.report.pca import WORSE, pca_difference, pca_verdict
from pipeline.report.probes import read_out
from pipeline.report.table import Row

BLOCKS = ("network", "bottleneck", "condition", "loss", "train")  # blocks of a variant in params.yaml


def make_section(row: Row, figures: list[Any], history: History, params: dict[str, Any]) -> dict[str, Any]:
    """The content of the variant's section and of its model card."""
    blocks = params["models"][row.variant]
    settings = [("input", _input(row, params))]
    if blocks.get("scaling", "none") != "none":
        settings.append(("scaling", str(blocks["scaling"])))
    settings += [(name, _one_line(blocks[name])) for name in BLOCKS if blocks.get(name)]
    seeds = row.folder / "seeds.json"
    return {
        "row": row,
        "summary": _summary(row),  # visible while the section is closed
        "knows": read_out(row),
        "metrics": _metrics(row),
        "settings": settings,
        "has_skips": bool((blocks.get("network") or {}).get("skip")),
        "training": describe_training(history),
        "figures": figures,
        "runs": list(read_json(seeds)) if seeds.is_file() else [],
    }


def _summary(row: Row) -> list[tuple[str, str]]:
    """Name and value."""
    facts = [
        ("log-mel", digits(row["mel_mse"]), row["mel_mse"]),
        ("own scale", digits(row["mse"]), row["mse"]),
        ("vs. PCA", factor(row["pca_ratio"]), row["pca_ratio"]),
        ("probe", percent(row["probe_accuracy"]), row["probe_accuracy"]),
        ("size", size(row["parameters"]), row["parameters"] if row.role == "variant" else None),
    ]
    return [(name, text) for name, text, value in facts if value is not None]


def _metrics(row: Row) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Every metric of the row, in the last of the column sets that show it."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for column in COLUMNS:
        if column.value(row) is not None:
            name = f"{column.name}, {column.unit}"
            groups.setdefault(SETS[column.sets.split()[-1]], []).append((name, column.text(row), column.detail(row)))
    return list(groups.items())


def _input(row: Row, params: dict[str, Any]) -> str:
    settings = (params.get("representations") or {}).get(row.representation)
    shape = f", {row.input}" if row.input else ""
    return f"{row.representation}{shape}" + (f" ({_one_line(settings)})" if settings else "")


def _one_line(settings: Any) -> str:
    """Settings as one line of YAML, without braces."""
    return yaml.safe_dump(settings, default_flow_style=True, width=10**6, sort_keys=False).strip()[1:-1]


def write_model_cards(
    out: Path, template: Template, sections: list[dict[str, Any]], rows: list[Row], **content: Any
) -> None:
    """Write <out>/<variant>.md, and put its text into the section as "model_card"; `rows` has the ceilings."""
    out.mkdir()
    ceilings = {row.representation: row for row in rows if row.role == "ceiling"}
    for section in sections:
        row = section["row"]
        limits = find_limits(row, ceilings.get(row.representation))
        section["model_card"] = template.render(section=section, row=row, limits=limits, **content)
        (out / f"{row.variant}.md").write_text(section["model_card"], encoding="utf-8")


def find_limits(row: Row, ceiling: Row | None) -> list[str]:
    """Sentences on the limits that the metrics of a variant show."""
    limits = []
    if row.collapsed:
        limits.append(f"It has collapsed: {row.collapse_reason or 'the evaluation gives no reason'}.")
    if row["bandwidth_hz"] is not None:
        limits.append(f"Its output has no frequencies above {hertz(row['bandwidth_hz'])}, because its input has none.")
    if ceiling is not None and round(ceiling["mel_mse"] or 0.0, 6):  # below is rounding
        error = digits(ceiling["mel_mse"])
        limits.append(f"Its input loses information: the true windows have an MSE of {error} on the common log-mel.")
    if row.kind == "mel":
        distance = ceiling["audio_mel_distance"] if ceiling is not None else None
        limits.append("It has no phase: its spectrograms become audio with an estimated phase, which one hears.")
        if distance is not None:
            limits[-1] += f" The audio of the true spectrograms has a mel distance of {digits(distance)}."
    limits += [f"{note}." for note in row.generation]
    if row["mel_mse_relative"] is not None and row["mel_mse_relative"] >= 1:
        limits.append("On the common log-mel it is not better than predicting the mean of the training windows.")
    if pca_verdict(row) == WORSE:
        limits.append(f"On its own scale its error is {pca_difference(row)} that of PCA with as many numbers.")
    accuracy, chance = row["probe_accuracy"], row["chance"]
    if accuracy is not None and chance is not None and accuracy < 2 * chance:
        limits.append(
            f"Its latent contains little information about the label: a linear probe is right for {percent(accuracy)} "
            f"of the windows (chance {percent(chance)})."
        )
    statistics = row["probe_accuracy_statistics"]
    if accuracy is not None and statistics is not None and accuracy < statistics:
        limits.append(
            "Its latent says less about the label than mean and deviation over time of each band of the input: the "
            f"probe is right for {percent(accuracy)} and {percent(statistics)} of the windows."
        )
    limits += [f"Its decoder has another input besides the latent: {name}." for name in row.extra_inputs]
    return limits
