"""Score a variant on the test split: data/evaluation/<variant>/."""

import sys
from functools import partial

from pipeline.core.params import read_params, read_section
from pipeline.evaluation.variant import evaluate_variant
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.evaluation_run import open_evaluation_run
from stages import run


def main(name: str) -> None:
    """Write data/evaluation/<name>."""
    raw = read_params()
    tracking = read_section(TrackingConfig, "tracking", raw=raw)
    evaluate_variant(name, raw, partial(open_evaluation_run, tracking))


if __name__ == "__main__":
    run(main, *sys.argv[1:])
