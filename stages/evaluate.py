"""Score a variant on the test split: data/evaluation/<variant>/."""

import sys
from functools import partial

from pipeline.core.params import read_params, read_section
from pipeline.evaluation.variant import evaluate_variant
from pipeline.tracking import publisher
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.evaluation_run import record_evaluation
from stages import run


def main(name: str) -> None:
    """Write data/evaluation/<name>."""
    raw = read_params()
    tracking = read_section(TrackingConfig, "tracking", raw=raw)
    evaluate_variant(name, raw, partial(record_evaluation, tracking))


if __name__ == "__main__":
    run(main, *sys.argv[1:], at_end=publisher.wait)
