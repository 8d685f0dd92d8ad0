"""What stays of a study: data/studies/<name>/ with table.csv, table.md and figure.png."""

from pathlib import Path

from pipeline.core import workspace
from pipeline.studies import figure, table
from pipeline.studies.study import Experiment

FOLDER = workspace.DATA / "studies"


def write(study: str, experiments: list[Experiment]) -> tuple[list[table.Row], list[Path]]:
    """Read the study from MLflow, write its files, and return its rows and the files; none where there is no row.

    Raises:
        MelismaError: MLflow failed.
    """
    rows = table.read(study, experiments)
    if not rows:
        return [], []
    with workspace.output(FOLDER / study) as out:
        (out / "table.csv").write_text(table.as_csv(rows), encoding="utf-8")
        (out / "table.md").write_text(table.text(rows, is_markdown=True), encoding="utf-8")
        figure.draw(rows, out / "figure.png")
    return rows, sorted((FOLDER / study).iterdir())
