"""What a stage records: one run per variant and seed, which stage train opens, and evaluate and figures continue.

A stage only writes files; `publisher` sends them to MLflow. A store or a disk that fails never stops a stage.
"""

import csv
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Concatenate, ParamSpec

from filelock import FileLock

from pipeline.core import workspace
from pipeline.core.artefacts import read_csv, read_json
from pipeline.core.errors import StoppedError
from pipeline.tracking import logged_values, mlflow_model, publisher, run_tags, store
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run_folder import ARTIFACTS, MODEL, RunFolder, SeriesWriter, folder_for, runs_folder
from pipeline.tracking.run_tags import Identity

STEP_TERMS = ("loss", "reconstruction", "kl", "grad_norm")
TIMING = ("seconds", "windows_per_second", "first_step_seconds")  # None in epochs that another process trained
ERROR_FILE = f"{ARTIFACTS}/error.txt"
MAX_ERROR = 500  # characters

Arguments = ParamSpec("Arguments")


def _recording(
    method: Callable[Concatenate["Run", RunFolder, Arguments], None],
) -> Callable[Concatenate["Run", Arguments], None]:
    """Give the method the run's folder; do nothing without one, or after an error of the disk or of its files."""

    def record_or_stop(run: "Run", *arguments: Arguments.args, **options: Arguments.kwargs) -> None:
        if run.folder:
            try:
                method(run, run.folder, *arguments, **options)
            except (OSError, ValueError, KeyError, csv.Error) as error:
                print(f"warning: nothing more of {run.name} is recorded ({error})", file=sys.stderr)
                run.folder = None

    return record_or_stop


class Run:
    """An open run; without a folder it records nothing."""

    def __init__(self, folder: RunFolder | None, name: str) -> None:
        self.folder, self.name = folder, name
        self.has_results = True  # False if no evaluation is recorded: DVC restored it, or it comes from another machine
        self._series: dict[str, SeriesWriter] = {}

    @_recording
    def log_params(self, folder: RunFolder, values: Mapping[str, Any]) -> None:
        """Add nested settings under dotted keys."""
        folder.update(params=folder.meta["params"] | logged_values.format_params(values))

    @_recording
    def log_datasets(self, folder: RunFolder, descriptions: list[dict[str, Any]]) -> None:
        """Set the datasets, from `datasets.describe_datasets`, that are the run's inputs."""
        folder.update(datasets=descriptions)

    @_recording
    def log_epoch(self, folder: RunFolder, row: dict[str, float]) -> None:
        """Add an epoch: a row of history.csv, and its timing."""
        unit = 1024 if sys.platform == "linux" else 1  # bytes
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
        self._append(folder, "epoch", [{**dict.fromkeys(TIMING), **row, "peak_memory_megabytes": peak}])

    @_recording
    def log_steps(self, folder: RunFolder, first: int, rows: list[dict[str, float]]) -> None:
        """Add the main terms of training steps; `first` is the number of the first one."""
        terms = [{term: row[term] for term in STEP_TERMS} for row in rows]
        self._append(folder, "step", [{"step": step, **values} for step, values in enumerate(terms, first)])

    @_recording
    def log_files(self, folder: RunFolder, path: Path, name: str) -> None:
        """Add the files below `path`, which must not change in place, as artifacts/<...> or images/<key>/<step>.png."""
        folder.link(path, name)
        folder.update()

    @_recording
    def log_training(self, folder: RunFolder, path: Path) -> None:
        """Add the settings, and the missing epochs, of the model in the folder `path`."""
        self.log_params(logged_values.variant_params(read_json(path / "config.json")))
        unknown = dict.fromkeys((*TIMING, "peak_memory_megabytes"))
        rows = [{**row, **unknown} for row in read_csv(path / "history.csv").to_dict("records")]
        self._append(folder, "epoch", rows)

    @_recording
    def log_evaluation(self, folder: RunFolder, result: dict[str, Any]) -> None:
        """Add an element of seeds.json."""
        metrics = result["metrics"]
        self.log_params({"evaluate": result["settings"]})
        tags = {"collapsed": metrics["collapse_reason"] or "no", "samples_flat": metrics["samples_flat_reason"] or "no"}
        folder.update(metrics=logged_values.evaluation_metrics(metrics), evaluated=_now(), tags=tags)

    @_recording
    def log_model(self, folder: RunFolder, variant: str, path: Path, is_registered: bool) -> None:
        """Add the model in the folder `path` for `mlflow.pyfunc`, with the code that it needs.

        If it `is_registered`, it also becomes a version of the registered model `variant`.
        """
        with TemporaryDirectory() as code:
            mlflow_model.copy_code(Path(code) / "pipeline")
            folder.update(model=None)  # so that the publisher does not read half of it
            folder.link(path, f"{MODEL}/seed")
            folder.link(Path(code), f"{MODEL}/code")
        folder.update(model=variant, is_registered=is_registered)

    @_recording
    def _open(self, folder: RunFolder, experiment: str, stage: str, identity: Identity, evaluation: str | None) -> None:
        """Begin or continue the run; stages train and vocoder replace the tags of an earlier attempt."""
        meta = folder.meta
        self.has_results = "metrics" in meta
        is_owner = stage in ("train", "vocoder") or not meta
        tags = (run_tags.tags(identity, stage) if is_owner else {}) | {"dvc.stage": stage}
        folder.update(
            name=run_tags.run_name(identity, tags) if is_owner else meta["name"],
            experiment=experiment,
            store=store.store_name(),
            fingerprint=identity["fingerprint"],
            evaluation=evaluation or meta.get("evaluation"),
            tags=tags,
            params=meta.get("params", {}),
            started=meta.get("started") or _now(),
            ended=None,
            status="RUNNING",
            error=None,
        )
        (folder.path / ERROR_FILE).unlink(missing_ok=True)
        publisher.start()

    @_recording
    def _close(self, folder: RunFolder, status: str, error: BaseException | None = None) -> None:
        if error:
            trace = "".join(traceback.format_exception(error))
            (folder.path / ARTIFACTS).mkdir(exist_ok=True)
            (folder.path / ERROR_FILE).write_text(_clean(trace), encoding="utf-8")
        message = _clean(str(error))[:MAX_ERROR] if error else None
        folder.update(status=status, ended=_now(), error=message)

    def _append(self, folder: RunFolder, series: str, rows: list[dict[str, Any]]) -> None:
        if series not in self._series:
            self._series[series] = SeriesWriter(folder, series)
        self._series[series].append(rows)


@contextmanager
def record(config: TrackingConfig, stage: str, identity: Identity, evaluation: str | None = None) -> Iterator[Run]:
    """The run of `identity`. It ends as FINISHED, or as FAILED or KILLED after an error or a signal in the block.

    Args:
        config: the `tracking` section.
        stage: becomes a tag.
        identity: fingerprint, variant, seed and data; a report has only a fingerprint.
        evaluation: fingerprint of the evaluation's settings, from stage evaluate on; see `folder_for`.
    """
    run, held = Run(None, run_tags.label(identity)), ExitStack()
    if config.enabled:
        try:
            runs_folder().mkdir(parents=True, exist_ok=True)
            with FileLock(runs_folder() / ".opening"):  # another stage may open an evaluation of the same training
                folder = folder_for(identity["fingerprint"], evaluation)
                folder.path.mkdir(exist_ok=True)
                held.enter_context(folder.hold())
                run.folder = folder
                run._open(config.experiment, stage, identity, evaluation)
        except OSError as error:
            print(f"warning: {run.name} is not recorded ({error})", file=sys.stderr)
    status, failure = "FINISHED", None
    try:
        yield run
    except (KeyboardInterrupt, SystemExit, StoppedError):
        status = "KILLED"
        raise
    except BaseException as error:
        status, failure = "FAILED", error
        raise
    finally:
        run._close(status, failure)
        held.close()
        if status == "KILLED":  # the user wants the stage to end now
            publisher.forget()
        elif run.folder:
            publisher.wait_at_end(run.folder, run.name)


def _clean(text: str) -> str:
    """Replace a temporary workspace's path by the project's, since DVC deletes the workspace."""
    text = text.encode(errors="backslashreplace").decode()  # a file name that is not UTF-8
    return text.replace(str(Path.cwd()), str(workspace.project())) if "DVC_ROOT" in os.environ else text


def _now() -> int:
    return int(time.time() * 1000)
