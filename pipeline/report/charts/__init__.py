"""Charts that compare the variants; one module per PNG file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.report.charts import ablation, bands, cosine, curves, ranking, rate_distortion
from pipeline.report.charts.ablation import Ablation
from pipeline.report.histories import History
from pipeline.report.table import Row


@dataclass(frozen=True)
class Chart:
    """A PNG file with its title and caption."""

    file: str
    title: str
    caption: str


def draw_charts(
    rows: list[Row],
    windows: dict[str, pd.DataFrame],
    histories: dict[str, History],
    ablations: list[Ablation],
    evaluation: Path,
    out: Path,
    dpi: int,
) -> list[Chart]:
    """Write every chart that has data into `out`; the caller sets the style.

    `windows` holds windows.parquet of each variant; `evaluation` holds <variant>/bands.parquet.
    """
    charts: list[tuple[Chart, Callable[[], Figure | None]]] = [
        (Chart("comparison.png", "Ranking on each scale", ranking.CAPTION), lambda: ranking.draw(rows)),
        (
            Chart("cosine.png", "Cosine similarity of the test windows", cosine.CAPTION),
            lambda: cosine.draw(rows, windows),
        ),
        (
            Chart("rate_distortion.png", "Rate and distortion", rate_distortion.CAPTION),
            lambda: rate_distortion.draw(rows),
        ),
        (Chart("bands.png", "Error by frequency", bands.CAPTION), lambda: bands.draw(rows, evaluation)),
        (Chart("curves.png", "Learning curves", curves.CAPTION), lambda: curves.draw(rows, histories)),
        (Chart("ablation.png", "Ablation of loss terms", ablation.CAPTION), lambda: ablation.draw(ablations)),
    ]
    written = []
    for chart, draw in charts:
        figure = draw()
        if figure is not None:
            style.save(figure, out / chart.file, dpi)
            written.append(chart)
    return written
