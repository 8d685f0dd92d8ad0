"""Charts that compare the variants; one module per PNG file."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from pipeline.figures import style
from pipeline.report.charts import ablation, bands, cosine, curves, latent_size, ranking, rate_distortion
from pipeline.report.charts.ablation import Ablation
from pipeline.report.histories import History
from pipeline.report.table import Row


def draw_charts(
    rows: list[Row],
    windows: dict[str, pd.DataFrame],
    histories: dict[str, History],
    ablations: list[Ablation],
    out: Path,
    dpi: int,
) -> list[tuple[str, str, str]]:
    """Write every chart that has data into `out`, and return its file, title and caption.

    `windows` holds windows.parquet of each variant.
    """
    charts: dict[str, tuple[str, ModuleType, tuple[Any, ...]]] = {
        "comparison.png": ("Ranking on each scale", ranking, (rows,)),
        "latent_size.png": ("Error and size of the latent", latent_size, (rows,)),
        "cosine.png": ("Cosine similarity of the test windows", cosine, (rows, windows)),
        "rate_distortion.png": ("Rate and distortion", rate_distortion, (rows,)),
        "bands.png": ("Error by frequency", bands, (rows,)),
        "curves.png": ("Learning curves", curves, (rows, histories)),
        "ablation.png": ("Ablation of loss terms", ablation, (ablations,)),
    }
    written = []
    with style.paper_style():
        for file, (title, module, data) in charts.items():
            figure = module.draw(*data)
            if figure is not None:
                style.save(figure, out / file, dpi)
                written.append((file, title, module.CAPTION))
    return written
