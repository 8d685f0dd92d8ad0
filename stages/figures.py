"""Draw what people look at and listen to, from files and without a model: data/figures/<variant>/."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.core import workspace
from pipeline.core.params import read_section
from pipeline.figures import epochs
from pipeline.figures.config import FiguresConfig
from pipeline.figures.draw import draw
from pipeline.metrics.config import EvaluateConfig
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
from stages import run


def main(variant: str) -> None:
    """Write data/figures/<variant>."""
    config, iterations = (
        read_section(FiguresConfig, "figures"),
        read_section(EvaluateConfig, "evaluate").griffin_lim_iterations,
    )
    with workspace.output(workspace.FIGURES / variant) as out:
        runs = workspace.read_json(workspace.EVALUATION / variant / "run.json")
        tracking, trained = (
            read_section(TrackingConfig, "tracking"),
            workspace.MODELS / variant / f"seed-{runs[0]['seed']}",
        )
        # Of the seed that is drawn. The folder is there until the run has ended.
        with TemporaryDirectory() as of_epochs, record(tracking, "figures", runs[0]) as run:
            run.log_training(trained)
            run.log_evaluation(workspace.read_json(workspace.EVALUATION / variant / "results.json")[0], is_new=False)
            places = workspace.MODELS, workspace.EVALUATION, workspace.REFERENCE
            entries = draw(variant, *places, out, config, iterations)
            run.log_folder(out, "figures")
            if tracking.enabled and epochs.write(trained, Path(of_epochs), config.dpi):
                run.log_images(Path(of_epochs), "reconstructions")
    kinds = [entry["kind"] for entry in entries]
    counts = [f"{kinds.count(kind)} {name}" for kind, name in KINDS.items()]
    workspace.say(f"{variant}: {', '.join(counts[:-1])} and {counts[-1]}")


KINDS = {"image": "images", "animation": "animations", "audio": "audio files"}

if __name__ == "__main__":
    run(main, *sys.argv[1:])
