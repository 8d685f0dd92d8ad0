"""Draw what people look at and listen to, from files and without a model: data/figures/<variant>/."""

import sys

from pipeline import workspace
from pipeline.figures.config import FiguresConfig
from pipeline.figures.draw import draw
from pipeline.params import section
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record


def main(variant: str) -> None:
    """Write data/figures/<variant>."""
    config = section(FiguresConfig, "figures")
    with workspace.output(workspace.FIGURES / variant) as out:
        runs = workspace.read_json(workspace.EVALUATION / variant / "run.json")
        with record(section(TrackingConfig, "tracking"), "figures", runs[0]) as run:  # of the seed that is drawn
            entries = draw(variant, workspace.MODELS, workspace.EVALUATION, out, config)
            run.folder(out, "figures")
    images = sum(entry["kind"] == "image" for entry in entries)
    workspace.say(f"{variant}: {images} images and {len(entries) - images} audio files")


if __name__ == "__main__":
    workspace.run(main, *sys.argv[1:])
