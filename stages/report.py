"""Write one page and one table of all variants in params.yaml: data/report/."""

from pipeline import workspace
from pipeline.params import read
from pipeline.report.build import build


def main() -> None:
    """Write data/report."""
    params = read()
    with workspace.output(workspace.REPORT) as out:
        build(workspace.DATA, params, out)
    workspace.say(f"report: {workspace.REPORT / 'index.html'}")


if __name__ == "__main__":
    workspace.run(main)
