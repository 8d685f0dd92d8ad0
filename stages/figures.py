"""Draw pictures, animations and audio of a variant from its artefacts: data/figures/<variant>/."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.core import workspace
from pipeline.core.artefacts import read_json
from pipeline.core.params import read_params, read_section
from pipeline.figures.config import FiguresConfig
from pipeline.figures.draw import draw_variant
from pipeline.figures.training_progress import write_epoch_images
from pipeline.tracking import publisher
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
from stages import run


def main(variant: str) -> None:
    """Write data/figures/<variant>."""
    raw = read_params()
    config = read_section(FiguresConfig, "figures", raw=raw)
    tracking = read_section(TrackingConfig, "tracking", raw=raw)
    evaluation = workspace.EVALUATION / variant
    with workspace.output(workspace.FIGURES / variant) as out:
        result = read_json(evaluation / "seeds.json")[0]  # of the seed that the figures show
        model = workspace.MODELS / variant / f"seed-{result['seed']}"
        with TemporaryDirectory() as images, record(tracking, "figures", result, result["evaluation"]) as tracking_run:
            if not tracking_run.has_results:
                tracking_run.log_training(model)
                tracking_run.log_evaluation(result)
            entries = draw_variant(variant, workspace.DATA, out, config)
            tracking_run.log_files(out, "artifacts/figures")
            if tracking.enabled and write_epoch_images(model, Path(images), config.dpi):
                tracking_run.log_files(Path(images), "images/reconstructions")
    kinds = [entry.kind for entry in entries]
    counts = [kinds.count(kind) for kind in ("image", "animation", "audio")]
    workspace.say(f"{variant}: {counts[0]} images, {counts[1]} animations and {counts[2]} audio files")


if __name__ == "__main__":
    run(main, *sys.argv[1:], at_end=publisher.wait)
