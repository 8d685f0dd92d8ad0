"""The results of a study as a table: for the terminal, and as files in data/studies/<name>/."""

from pathlib import Path

import pandas as pd

from pipeline.core import workspace
from pipeline.report.formatting import DASH, digits, duration, interval, percent
from pipeline.studies import figure
from pipeline.studies.results import Row, format_setting, is_common_scale

FOLDER = workspace.DATA / "studies"
MAX_NAMED = 2  # reference experiments that a title names; more are not named
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
    """A table for people. It skips columns without any value."""
    references = list(dict.fromkeys(str(row.compared_with) for row in rows if row.changes))
    reference = " or ".join(references) if len(references) <= MAX_NAMED else "the first"
    cells = [_cells(row, reference, is_common_scale(rows)) for row in rows]
    titles = [title for title in cells[0] if {line[title] for line in cells} != {DASH}]
    lines = [titles, *([line[title] for title in titles] for line in cells)]
    if is_markdown:
        lines.insert(1, ["---"] * 2 + ["---:"] * (len(titles) - 2))
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ""
    for line in lines:
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


def _cells(row: Row, reference: str, has_common_scale: bool) -> dict[str, str]:
    """Title -> text of a row, compared with `reference`."""
    own_scale = {} if has_common_scale else {f"MSE against {reference}": _change(row, "mse")}
    return {
        "experiment": row.name,
        "variant": row.variant,
        **{key: format_setting(value) for key, value in row.settings.items()},
        "MSE": _error(row, "mse"),
        **own_scale,
        "mel MSE": _error(row, "mel_mse"),
        f"mel MSE against {reference}": _change(row, "mel_mse"),
        "KL, nats": digits(row.metrics["kl"]),
        "cosine": digits(row.metrics["cosine_similarity"]),
        "label accuracy": percent(row.metrics["probe_accuracy"]),
        "codes in use": digits(row.metrics["perplexity"]),
        "collapsed": "yes" if row.collapsed else "no",
        "training": duration(row.seconds),
    }


def _error(row: Row, name: str) -> str:
    """An error with its interval, if the table has room for it."""
    bounds = interval(row.metrics[f"{name}_low"], row.metrics[f"{name}_high"])
    return digits(row.metrics[name]) + (f" ({bounds})" if bounds and len(row.settings) <= MAX_WITH_INTERVALS else "")


def _change(row: Row, error: str) -> str:
    """The difference from the reference in per cent, with its interval."""
    reference = row.reference and row.reference.metrics[error]
    if error not in row.changes or not reference:
        return DASH
    share, bounds = row.changes[error].in_percent(reference)
    return f"{share} ({bounds})"
