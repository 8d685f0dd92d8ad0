"""One MLflow run per variant and seed: stage train opens it, stages evaluate and figures continue it.

A store that fails never stops a stage: the stage warns once, and its calls wait in the outbox.
"""

import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import count
from math import isfinite
from pathlib import Path
from typing import Any

from pipeline.core import workspace
from pipeline.core.errors import StoppedError
from pipeline.tracking import outbox, run_tags
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.journal import Journal
from pipeline.tracking.logged_values import EPOCH_SECONDS, epoch_metrics
from pipeline.tracking.run_tags import Identity
from pipeline.tracking.sender import Reply, Sender

JOURNAL_NUMBERS = count()
STEP_TERMS = ("loss", "reconstruction", "kl", "grad_norm")


class Run:
    """An open run. Without a sender (tracking is off) it logs nothing."""

    def __init__(self, identity: Identity, sender: Sender | None, stage: str) -> None:
        self._identity = {**identity, "run_id": identity.get("run_id") if sender else None}
        self._sender = sender
        self._has_failed = False
        self._name = run_tags.label(identity)
        if sender:
            self._is_opening = True
            info = {"run": self._name, "stage": stage, "store": outbox.store_name()}
            folder = sender.folder / f"{next(JOURNAL_NUMBERS):03d}-{self._name}-{stage}"
            self._journal = Journal.create(folder, info)

    @property
    def identity(self) -> Identity:
        """The content of run.json. Waits for the run's id, which is None if the run could not be opened."""
        if self._sender and self._is_opening:
            self._send(wait=True)
            self._is_opening = False
        return self._identity

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Log nested settings under dotted keys, without None. MLflow accepts each key once."""
        self._call("log_params", values)

    def log_series(self, rows: Mapping[int, Mapping[str, float]], skip_if_logged: str | None = None) -> None:
        """Log rows, step -> metrics. Skip the steps for which an earlier process logged the metric `skip_if_logged`."""
        self._call("log_series", rows, _now(), skip_if_logged)

    def log_epoch(self, row: dict[str, float]) -> None:
        """Log a row of history.csv."""
        self.log_series({int(row["epoch"]): epoch_metrics(row)}, EPOCH_SECONDS)

    def log_steps(self, first: int, rows: list[dict[str, float]]) -> None:
        """Log the main terms of training steps; `first` is the number of the first one."""
        terms = [{f"step/{term}": row[term] for term in STEP_TERMS if isfinite(row[term])} for row in rows]
        self.log_series(dict(enumerate(terms, first)), "step/loss")

    def log_folder(self, path: Path, name: str) -> None:
        """Log every file below `path` as an artifact below `name`. The files must not change until the run ends."""
        self._call("log_folder", path.absolute(), name)

    def log_datasets(self, descriptions: list[dict[str, Any]]) -> None:
        """Add the datasets of `datasets.describe_datasets` to the run's inputs."""
        self._call("log_datasets", descriptions)

    def log_images(self, path: Path, key: str) -> None:
        """Log each <step>.png in `path` as the image `key` of that step. The files must stay until the run ends."""
        self._call("log_images", path.absolute(), key)

    def log_training(self, path: Path) -> None:
        """Log settings and epochs of the model in the folder `path` if the run lacks them."""
        self._call("log_training", *(path.absolute() / name for name in ("config.json", "history.csv")))

    def log_evaluation(self, results: dict[str, Any], is_new: bool) -> None:
        """Log params, metrics and tags of an evaluation. An old one is logged only if the run has none."""
        self._call("log_evaluation", results, is_new, _now())

    def log_model(self, variant: str, path: Path) -> None:
        """Log the model in the folder `path` for `mlflow.pyfunc` if the run has no model. This takes some seconds."""
        self._call("log_model", variant, path.absolute())

    def register_model(self, variant: str, tags: Mapping[str, str]) -> None:
        """Make the run's model a version of the registered model `variant`, with these tags."""
        self._call("register_model", variant, dict(tags))

    def _call(self, function: str, *arguments: Any, last: bool = False) -> None:
        if self._sender:
            try:
                self._journal.add(function, *arguments)
            except OSError as error:  # a full disk
                print(f"warning: nothing more of {self._name} is recorded ({error})", file=sys.stderr)
                self._sender = None
            else:
                self._send(wait=last, last=last)

    def _send(self, wait: bool = False, last: bool = False) -> None:
        """Ask the sender to send the journal, and handle its replies."""
        assert self._sender
        self._sender.request_send(self._journal.folder.name, last)
        for reply in self._sender.read_replies(wait):
            self._handle(reply)
        if not self._sender.is_alive:
            self._warn_once("the process that talks to MLflow ended")
        elif wait and self._sender.pending:
            self._warn_once(f"MLflow at {outbox.store_name()} does not answer")

    def _handle(self, reply: Reply) -> None:
        if reply["earlier_runs"]:
            workspace.say(
                f"MLflow at {outbox.store_name()}: sent the records of {reply['earlier_runs']} earlier stages"
            )
        for refused in reply["refused"]:
            print(f"warning: {refused}", file=sys.stderr)
        self._identity["run_id"] = reply["run_id"] or self._identity["run_id"]
        if reply["error"] is not None:
            self._warn_once(reply["error"])
        elif self._has_failed:
            self._has_failed = False
            workspace.say(f"MLflow at {outbox.store_name()} works again and has all records of {self._name}")

    def _warn_once(self, reason: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            print(
                f"warning: {reason}; the stage goes on. The records of {self._name} are in {self._journal.folder}. The "
                "next stage that reaches MLflow sends them, or `melisma runs --send`",
                file=sys.stderr,
            )


@contextmanager
def record(config: TrackingConfig, stage: str, identity: Identity, evaluation: str | None = None) -> Iterator[Run]:
    """The run of `identity`. It ends as FINISHED, or as FAILED or KILLED after an error or a signal in the block.

    Stage train continues the run that `identity` names, else creates one. Other stages continue that run too. If the
    store lacks it (another machine has it, or DVC's cache restored the model), they continue the newest finished run
    with the same fingerprint, else create one.

    Args:
        config: the `tracking` section.
        stage: becomes a tag.
        identity: variant, seed, fingerprint and, from run.json, run_id; `Run.identity` has the id of the used run.
        evaluation: fingerprint of the evaluation settings. A run with another evaluation stays as it is, since params
            cannot change in MLflow: a new run, linked to it by the tag model_run, takes the results.
    """
    try:
        sender = _sender(workspace.project()) if config.enabled else None
        _restart(sender)
        run = Run(identity, sender, stage)
    except OSError as error:  # a full disk
        print(f"warning: {run_tags.label(identity)} is not recorded ({error})", file=sys.stderr)
        sender, run = None, Run(identity, None, stage)
    if sender:
        run._call(
            "open_run", config.experiment, run._identity, stage, evaluation, run_tags.tags(identity, stage), _now()
        )
        run._call("start_sampling", os.getpid())
    status = "FINISHED"
    try:
        yield run
    except (KeyboardInterrupt, SystemExit, StoppedError):
        status = "KILLED"
        raise
    except BaseException as error:
        status = "FAILED"
        trace = "".join(traceback.format_exception(error))
        run._call("log_failure", _replace_workspace(str(error)), _replace_workspace(trace))
        raise
    finally:
        _restart(run._sender)
        run._call("end_run", status, _now(), last=True)


def _replace_workspace(text: str) -> str:
    """Replace a temporary workspace's path by the project's: DVC deletes the workspace."""
    return text.replace(str(Path.cwd()), str(workspace.project())) if "DVC_ROOT" in os.environ else text


@cache
def _sender(project: Path) -> Sender:
    """One sender per process and project."""
    return Sender()


def _restart(sender: Sender | None) -> None:
    if sender and not sender.is_alive:
        sender.start()


def _now() -> int:
    return int(time.time() * 1000)
