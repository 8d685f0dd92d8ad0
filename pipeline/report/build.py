"""The report: one page that needs nothing else, the comparison as CSV, JSON and pictures, and a card of each model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from pipeline.figures import style
from pipeline.figures.config import FiguresConfig
from pipeline.metrics.config import EvaluateConfig
from pipeline.report import ablation, columns, figures, listen, model_card, origin, table, training, windows
from pipeline.report.charts import draw
from pipeline.report.data_card import card
from pipeline.report.media import Library
from pipeline.report.page import render
from pipeline.report.table import Row
from pipeline.report.text import number_of
from pipeline.report.variant_section import part
from pipeline.report.verdict import verdict
from pipeline.sources.config import SPLITS


def build(data: Path, params: dict[str, Any], out: Path) -> None:
    """Write index.html, comparison.csv and .json, curves.csv, pictures and cards/ into the existing folder `out`.

    What is reported are the keys of params["models"], in this order; one without results is listed as not evaluated.

    Args:
        data: holds evaluation/, figures/, models/, reference/, windows/ and raw/tracks.parquet.
        params: the content of params.yaml.
        out: where to write.

    Raises:
        DataError: a file is damaged, or a table of the data is missing.
    """
    names = list(params["models"])
    rows = table.rows(names, data / "evaluation", params, data / "reference")
    scores = windows.read(data / "evaluation", names)
    trainings = {name: training.read(data / "models", name) for name in names}
    ablations = ablation.ablations(rows, params)
    table.write_csv(rows, out / "comparison.csv")
    table.write_compared(rows, out / "comparison.json")
    training.write_csv(trainings, {row.variant: row.representation for row in rows}, out / "curves.csv")
    dpi = FiguresConfig.model_validate(params.get("figures") or {}).dpi
    resamples = EvaluateConfig.model_validate(params.get("evaluate") or {}).bootstrap
    with Library() as library:
        drawn = {name: figures.read(data / "figures" / name, library) for name in names}
        with style.look():
            charts = draw(rows, scores, trainings, ablations, data / "evaluation", out, dpi)
        described = card(data / "windows", data / "raw" / "tracks.parquet", params)
        commit = origin.commit()
        parts = [
            part(row, drawn[row.variant], trainings[row.variant], data / "evaluation", params)
            for row in rows
            if row.role != "ceiling"
        ]
        cards = model_card.write(parts, rows, described, commit, out / "cards")
        order = table.ranked(rows, "mel_mse") + [row for row in rows if row["mel_mse"] is None]
        page = render(
            rows=order,
            columns=(shown := columns.filled(rows)),
            cells=columns.cells(order, shown),
            sets=columns.SETS,
            about=columns.ABOUT,
            kinds=sorted({row.kind for row in rows if row.kind}),
            verdict=verdict(rows, scores, resamples),
            counted=counted(rows),
            ranking=ranking(order),
            examples=listen.examples(rows, drawn, data / "reference"),
            charts=[(chart, library.picture(out / chart.file)) for chart in charts],
            ablations=ablations,
            card=described,
            splits=SPLITS,
            parts=[replace(one, card=cards[one.row.variant]) for one in parts],
            params=yaml.safe_dump(params, sort_keys=False, allow_unicode=True),
            seeds=[int(seed) for seed in params.get("seeds") or [0]],
            library=library,
            commit=commit,
            versions=origin.versions(),
        )
    (out / "index.html").write_text(page, encoding="utf-8")


def counted(rows: list[Row]) -> str:
    """How many variants and baselines: 13 variants and 2 baselines."""
    roles = [row.role for row in rows]
    found = [number_of(n, name) for name in ("variant", "baseline") if (n := roles.count(name))]
    return " and ".join(found)


def ranking(order: list[Row]) -> list[dict[str, Any]]:
    """Bars of the rows that have a common log-mel: the row, and its value and interval as shares of the widest."""
    scored = [row for row in order if row["mel_mse"] is not None]
    widest = max((row["mel_mse_high"] or row["mel_mse"] or 0.0 for row in scored), default=0.0) or 1.0
    return [
        {"row": row, **{end: (row[f"mel_mse{end}"] or 0.0) / widest for end in ("", "_low", "_high")}} for row in scored
    ]
