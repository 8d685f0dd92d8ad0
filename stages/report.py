"""Write one page and one table of all variants in params.yaml: data/report/."""

from typing import Any

from pipeline.core import workspace
from pipeline.core.params import read_params, read_section
from pipeline.report.build import build
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
from stages import run


def main() -> None:
    """Write data/report."""
    params = read_params()
    with workspace.output(workspace.REPORT) as out:
        build(workspace.DATA, params, out)
        # Beside the runs of variants, not among them: it is of all.
        tracking = read_section(TrackingConfig, "tracking", raw=params)
        apart = tracking.model_copy(update={"experiment": f"{tracking.experiment}-reports"})
        with record(apart, "report", {"fingerprint": workspace.fingerprint(evaluated(params))}) as run:
            run.folder(out, "report")
    workspace.say(f"report: {workspace.REPORT / 'index.html'}")


def evaluated(params: dict[str, Any]) -> list[Any]:
    """What identifies the results that are reported: training and evaluation of each seed of each variant."""
    files = [workspace.EVALUATION / name / "results.json" for name in params["models"]]
    return [workspace.read_json(file) for file in files if file.is_file()]


if __name__ == "__main__":
    run(main)
