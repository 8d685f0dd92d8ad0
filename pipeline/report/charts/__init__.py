"""Pictures across the variants."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from pipeline.figures import style
from pipeline.report.ablation import Ablation
from pipeline.report.charts import ablation, bands, cosine, curves, ranking, rate
from pipeline.report.table import Row
from pipeline.report.training import Training


@dataclass(frozen=True)
class Chart:
    """A picture that has been written, and what it shows."""

    file: str
    title: str
    caption: str


def draw(
    rows: list[Row],
    windows: dict[str, pd.DataFrame],
    trainings: dict[str, Training],
    ablations: list[Ablation],
    evaluation: Path,
    out: Path,
    dpi: int,
) -> list[Chart]:
    """Write every picture for which there is something to show into `out`; the caller sets the style.

    Args:
        rows: all rows of the comparison.
        windows: windows.parquet of each variant.
        trainings: of each variant.
        ablations: variants that differ in their loss alone.
        evaluation: holds <variant>/bands.parquet.
        out: where to write.
        dpi: of the PNG files.

    Raises:
        DataError: a bands.parquet is there but cannot be read.
    """
    made = []
    pictures: list[tuple[str, str, str, Callable[[], Figure | None]]] = [
        ("comparison.png", "Ranking on each scale", ranking.CAPTION, lambda: ranking.draw(rows)),
        ("cosine.png", "Cosine similarity of the test windows", cosine.CAPTION, lambda: cosine.draw(rows, windows)),
        ("rate_distortion.png", "Rate and distortion", rate.CAPTION, lambda: rate.draw(rows)),
        ("bands.png", "Error over frequency", bands.CAPTION, lambda: bands.draw(rows, evaluation)),
        ("curves.png", "Learning curves", curves.CAPTION, lambda: curves.draw(rows, trainings)),
        ("ablation.png", "Ablation of loss terms", ablation.CAPTION, lambda: ablation.draw(ablations)),
    ]
    for file, title, caption, picture in pictures:
        drawn = picture()
        if drawn is not None:
            style.save(drawn, out / file, dpi)
            made.append(Chart(file, title, caption))
    return made
