"""Write one page and one table of all variants in params.yaml: data/report/."""

from pipeline import workspace
from pipeline.params import read
from pipeline.report.build import build


def main() -> None:
    """Write data/report."""
    params = read()
    with workspace.output(workspace.REPORT) as out:
        build(
            variants=list(params["models"]),
            evaluation=workspace.EVALUATION,
            figures=workspace.FIGURES,
            windows=workspace.WINDOWS,
            raw_tracks=workspace.RAW / "tracks.parquet",
            params=params,
            out=out,
        )
    workspace.say(f"report: {workspace.REPORT / 'index.html'}")


if __name__ == "__main__":
    workspace.run(main)
