"""Record one evaluation in MLflow; stage evaluate passes this to `evaluation.variant`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.artefacts import read_json
from pipeline.evaluation.variant import EvaluationSetup
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.datasets import describe_datasets
from pipeline.tracking.logged_values import evaluation_metrics
from pipeline.tracking.run import Run, record

VERSION_TAGS = ("mse", "mel_mse", "cosine_similarity", "kl", "probe_accuracy", "parameters")  # tags of a version


@dataclass(frozen=True)
class EvaluationRun:
    """The open run of one seed. With `is_registered`, its model becomes a new version of the registered model."""

    run: Run
    setup: EvaluationSetup
    dataset: dict[str, str]  # name and digest of the test split
    is_registered: bool

    @property
    def identity(self) -> dict[str, Any]:
        """See `Run.identity`."""
        return self.run.identity

    def log_results(self, metrics: dict[str, Any], tracks: dict[str, list[Any]]) -> dict[str, Any]:
        """Log metrics and scores by track; return all that was logged, from which stage figures can log it again."""
        results = {
            "params": {"evaluate": self.setup.config.model_dump(exclude_defaults=True)},
            "metrics": evaluation_metrics(metrics),
            "tracks": tracks,
            "dataset": {f"dataset_{key}": self.dataset[key] for key in ("name", "digest")},
            "tags": {
                "evaluation": self.setup.fingerprint,
                "collapsed": metrics["collapse_reason"] or "no",
                "samples_flat": metrics["samples_flat_reason"] or "no",
            },
        }
        self.run.log_evaluation(results, is_new=True)
        if self.is_registered:
            tags = {f"test/{key}": f"{metrics[key]:.6g}" for key in VERSION_TAGS if metrics.get(key) is not None}
            tags |= {"evaluation": self.setup.fingerprint, "test_data": self.dataset["digest"]}
            self.run.register_model(self.setup.variant, tags)
        return results


@contextmanager
def open_evaluation_run(
    tracking: TrackingConfig, setup: EvaluationSetup, trained: Path, is_first: bool
) -> Iterator[EvaluationRun]:
    """The run that trained the model in the folder `trained`; the first seed also logs, and may register, the model."""
    sources = describe_datasets(setup.folder, setup.stats, setup.splits)
    with record(tracking, "evaluate", read_json(trained / "run.json"), setup.fingerprint) as run:
        run.log_training(trained)
        run.log_datasets(sources)
        if is_first:  # sent while the seed is scored
            run.log_model(setup.variant, trained)
        yield EvaluationRun(run, setup, sources[-1]["dataset"], is_first and tracking.register)
