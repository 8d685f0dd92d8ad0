"""Write data/report: one page and one table of all variants in params.yaml."""

from pipeline.core import workspace
from pipeline.core.artefacts import read_json
from pipeline.core.params import read_params, read_section
from pipeline.report.build import build
from pipeline.tracking import publisher
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
from stages import run


def main() -> None:
    """Write data/report and log it to MLflow."""
    params = read_params()
    with workspace.output(workspace.REPORT) as out:
        build(workspace.DATA, params, out)
        results = [workspace.EVALUATION / name / "seeds.json" for name in params["models"]]
        fingerprint = workspace.fingerprint([read_json(path) for path in results if path.is_file()])
        # A report covers all variants, so it has its own experiment.
        tracking = read_section(TrackingConfig, "tracking", raw=params)
        tracking = tracking.model_copy(update={"experiment": f"{tracking.experiment}-reports"})
        with record(tracking, "report", {"fingerprint": fingerprint}) as tracking_run:
            tracking_run.log_files(out, "artifacts/report")
    workspace.say(f"report: {workspace.REPORT / 'index.html'}")


if __name__ == "__main__":
    run(main, at_end=publisher.wait)
