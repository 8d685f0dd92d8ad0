"""The results of a study as a table: for the terminal, and as files in data/studies/<name>/."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from pipeline.core import workspace
from pipeline.report.formatting import DASH, digits, duration, interval, percent
from pipeline.studies import figure
from pipeline.studies.results import Row, format_setting, is_common_scale

FOLDER = workspace.DATA / "studies"
MAX_NAMED = 2  # a title names at most so many experiments that others are compared with
MAX_WITH_INTERVALS = 2  # with more changed settings, the table has no room for intervals


def write_results(study: str, rows: list[Row]) -> list[Path]:
    """Write table.csv, table.md and figure.png of a study; return the files. Write nothing without rows."""
    if not rows:
        return []
    with workspace.output(FOLDER / study) as out:
        (out / "table.csv").write_text(format_csv(rows), encoding="utf-8")
        (out / "table.md").write_text(format_text(rows, is_markdown=True), encoding="utf-8")
        figure.draw(rows, out / "figure.png")
    return sorted((FOLDER / study).iterdir())


def format_text(rows: list[Row], is_markdown: bool = False) -> str:
    """A table for people. Columns without any value are left out."""
    titles, cells = _cells(rows)
    if is_markdown:
        lines = [titles, ["---"] * 2 + ["---:"] * (len(titles) - 2), *cells]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)
    widths = [max(len(line[i]) for line in (titles, *cells)) for i in range(len(titles))]
    text = ""
    for line in (titles, *cells):
        padded = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text += "  ".join(padded).rstrip() + "\n"
    return text


def format_csv(rows: list[Row]) -> str:
    """A CSV file with a line for each row and all its numbers, unrounded."""
    columns = list(rows[0].flat()) if rows else ["experiment"]
    return pd.DataFrame([row.flat() for row in rows], columns=columns, dtype=object).to_csv(
        index=False, lineterminator="\n"
    )


def _cells(rows: list[Row]) -> tuple[list[str], list[list[str]]]:
    """Titles, and the cells of each row."""
    settings = list(rows[0].settings) if rows else []
    with_intervals = len(settings) <= MAX_WITH_INTERVALS

    def error(name: str) -> Callable[[Row], str]:
        def cell(row: Row) -> str:
            bounds = interval(row.metrics[f"{name}_low"], row.metrics[f"{name}_high"]) if with_intervals else ""
            return digits(row.metrics[name]) + (f" ({bounds})" if bounds else "")

        return cell

    references = list(dict.fromkeys(str(row.compared_with) for row in rows if row.changes))
    reference = " or ".join(references) if len(references) <= MAX_NAMED else "the first"
    columns: list[tuple[str, Callable[[Row], str]]] = [
        ("experiment", lambda row: row.name),
        ("variant", lambda row: row.variant),
        *((key, lambda row, key=key: format_setting(row.settings[key])) for key in settings),
        ("MSE", error("mse")),
        *([] if is_common_scale(rows) else [(f"MSE against {reference}", lambda row: _change(row, "mse"))]),
        ("mel MSE", error("mel_mse")),
        (f"mel MSE against {reference}", lambda row: _change(row, "mel_mse")),
        ("KL, nats", lambda row: digits(row.metrics["kl"])),
        ("cosine", lambda row: digits(row.metrics["cosine_similarity"])),
        ("label accuracy", lambda row: percent(row.metrics["probe_accuracy"])),
        ("codes in use", lambda row: digits(row.metrics["perplexity"])),
        ("collapsed", lambda row: "yes" if row.collapsed else "no"),
        ("training", lambda row: duration(row.seconds)),
    ]
    filled = [(title, [cell(row) for row in rows]) for title, cell in columns]
    shown = [(title, cells) for title, cells in filled if set(cells) != {DASH}]
    return [title for title, _ in shown], [list(line) for line in zip(*(cells for _, cells in shown), strict=True)]


def _change(row: Row, error: str) -> str:
    """The difference from the reference in per cent, with its interval."""
    reference = row.reference and row.reference.metrics[error]
    if error not in row.changes or not reference:
        return DASH
    share, bounds = row.changes[error].in_percent(reference)
    return f"{share} ({bounds})"
