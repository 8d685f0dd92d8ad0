"""Records the evaluation of one seed in MLflow: what stage evaluate gives to `evaluation.variant`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.core.artefacts import read_json
from pipeline.evaluation.seed import EvaluationSetup
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.logged_values import describe_datasets, evaluation_metrics
from pipeline.tracking.run import Run, record

VERSION_TAGS = ("mse", "mel_mse", "cosine_similarity", "kl", "probe_accuracy", "parameters")  # of a registered model


class EvaluationRun:
    """The open run of one seed.

    Args:
        run: of MLflow.
        setup: of the evaluation.
        test_data: name and digest of the test split.
        registered_name: of the registered model that gets this seed's model as a new version; None for no version.
    """

    def __init__(
        self, run: Run, setup: EvaluationSetup, test_data: dict[str, Any], registered_name: str | None
    ) -> None:
        self._run, self._setup, self._test_data = run, setup, test_data
        self._registered_name = registered_name

    @property
    def identity(self) -> dict[str, Any]:
        """See `Run.identity`."""
        return self._run.identity

    def log_results(self, metrics: dict[str, Any], tracks: dict[str, list[Any]]) -> dict[str, Any]:
        """Log metrics and scores by track; return all that was logged, from which stage figures can log it again."""
        results = {
            "params": {"evaluate": self._setup.config.model_dump(exclude_defaults=True)},
            "metrics": evaluation_metrics(metrics),
            "tracks": tracks,
            "dataset": {"dataset_name": self._test_data["name"], "dataset_digest": self._test_data["digest"]},
            "tags": {
                "evaluation": self._setup.fingerprint,
                "collapsed": metrics["collapse_reason"] or "no",
                "samples_flat": metrics["samples_flat_reason"] or "no",
            },
        }
        self._run.log_evaluation(results, is_new=True)
        if self._registered_name:
            tags = {f"test/{key}": f"{metrics[key]:.6g}" for key in VERSION_TAGS if metrics.get(key) is not None}
            tags |= {"evaluation": self._setup.fingerprint, "test_data": self._test_data["digest"]}
            self._run.register_model(self._registered_name, tags)
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
        yield EvaluationRun(run, setup, sources[-1], setup.variant if is_first and tracking.register else None)
