"""The rows of several builds in one table."""

import csv
import io
import json
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf

from pipeline.report import table
from pipeline.report.results import Result, Results
from pipeline.report.table import Row

SHARED = ("mel_mse_shared", "shared_hz")  # they follow from the lowest bandwidth of all rows of a build
SAME_DIGITS = 6  # rows that agree in so many digits of every number are one: machines differ in the last ones


@dataclass(frozen=True)
class BoardRow(Row):
    """A row, the names of the files that have it, its settings, and its place among the rows that compete."""

    files: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    place: int | None = None


def merge(files: dict[str, Results]) -> list[BoardRow]:
    """The rows of all files, lowest error on the common log-mel first, then those without one; equal rows once."""
    representations: dict[str, str] = {}  # name by config
    rows: dict[str, BoardRow] = {}
    for name, results in files.items():
        titles = {}
        for representation, config in results.representations.items():
            key = json.dumps(config, sort_keys=True)
            is_taken = representation in representations.values()
            title = representations.setdefault(key, f"{representation} ({name})" if is_taken else representation)
            titles[representation] = title
        for result in results.rows:
            row = _to_row(result, titles.get(result.representation, result.representation), name)
            same = rows.setdefault(_key(row), row)
            if name not in same.files:
                rows[_key(row)] = replace(same, files=(*same.files, name))
    _drop_shared_bands([*rows.values()])
    ranked = sorted(rows.values(), key=lambda row: inf if (error := row["mel_mse"]) is None else error)
    places = count(1)
    return [replace(row, place=next(places) if row.competes and row["mel_mse"] is not None else None) for row in ranked]


def _to_row(result: Result, representation: str, file: str) -> BoardRow:
    return BoardRow(
        variant=result.variant,
        representation=representation,
        evaluated=True,
        kind=result.kind,
        input=result.input,
        role=result.role,
        seeds=result.seeds,
        numbers={**result.numbers},
        files=(file,),
        settings=result.settings,
    )


def _key(row: BoardRow) -> str:
    numbers = {name: f"{value:.{SAME_DIGITS}g}" for name, value in row.numbers.items() if name not in SHARED}
    return json.dumps([row.variant, row.role, row.representation, row.settings, row.seeds, numbers], sort_keys=True)


def _drop_shared_bands(rows: list[BoardRow]) -> None:
    if len({row["shared_hz"] for row in rows} - {None}) > 1:
        for row in rows:
            for name in SHARED:
                row.numbers.pop(name, None)


def to_csv(rows: list[BoardRow]) -> str:
    """A line for each row with all its numbers; a missing value is empty."""
    others = sorted({name for row in rows for name in row.numbers} - {*table.FIRST_METRICS})
    metrics = [*table.FIRST_METRICS, *others]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_cell(name) for name in ("place", "variant", "from", "role", "representation", "input", *metrics))
    for row in rows:
        words = (row.variant, ", ".join(row.files), row.role, row.representation, f"{row.kind} {row.input}".strip())
        writer.writerow([row.place, *map(_cell, words), *(row[name] for name in metrics)])
    return text.getvalue()


def _cell(text: str) -> str:
    """A spreadsheet would run a text that begins like a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
