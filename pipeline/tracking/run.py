"""One MLflow run per variant and seed: opened by train, continued by evaluate and figures.

A store that fails never stops a stage: it is said once, and what the stage records waits in the outbox.
"""

import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.core import workspace
from pipeline.core.errors import StoppedError
from pipeline.tracking import outbox, run_tags
from pipeline.tracking.beside import Answer, Beside
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.journal import Journal
from pipeline.tracking.run_tags import Identity

NUMBERS = count()


class Run:
    """An open run, or nothing where tracking is off."""

    def __init__(self, identity: Identity, beside: Beside | None, stage: str) -> None:
        self._identity = {**identity, "run_id": identity.get("run_id") if beside else None}
        self._beside = beside
        self._failed = False
        self._name = run_tags.label(identity)
        if beside:
            self._opening = True
            about = {"run": self._name, "stage": stage, "store": outbox.here()}
            self._journal = Journal.begin(beside.folder / f"{next(NUMBERS):03d}-{self._name}-{stage}", about)

    @property
    def identity(self) -> Identity:
        """What run.json holds: waits until the run is open, and has its id, or None where it could not be opened."""
        if self._beside and self._opening:
            self._send(wait=True)
            self._opening = False
        return self._identity

    def params(self, values: Mapping[str, Any]) -> None:
        """Log nested settings under dotted keys, those that are None left out; MLflow takes each key once."""
        self._tell("params", values)

    def metrics(self, values: Mapping[str, float | None], step: int = 0, once: str | None = None) -> None:
        """Log numbers at a step; None is left out. For `once` see `series`."""
        self._tell("metrics", {key: value for key, value in values.items() if value is not None}, step, _now(), once)

    def series(self, rows: Mapping[int, Mapping[str, float]], once: str | None = None) -> None:
        """Log numbers at many steps at once: step, and what was measured there.

        Steps at which an earlier process logged the metric `once` are left out.
        """
        self._tell("series", rows, _now(), once)

    def tag(self, key: str, value: str) -> None:
        """Set a tag."""
        self._tell("tag", key, value)

    def folder(self, path: Path, name: str) -> None:
        """Log every file below `path`, which must stay as it is until the run ends, as an artifact below `name`."""
        self._tell("folder", path.absolute(), name)

    def datasets(self, found: list[dict[str, Any]]) -> None:
        """Add datasets, as `datasets.describe` gives them, to what the run was made from."""
        self._tell("datasets", found)

    def images(self, path: Path, key: str) -> None:
        """Log each <step>.png below `path`, which must stay until the run ends, as the image `key` of that step."""
        self._tell("images", path.absolute(), key)

    def trained(self, path: Path) -> None:
        """Log settings and epochs of the model in the folder `path`, where the run lacks them."""
        self._tell("trained", *(path.absolute() / name for name in ("config.json", "history.csv")))

    def evaluated(self, results: dict[str, Any], is_new: bool) -> None:
        """Log params, metrics and tags of an evaluation; one that is not new only where the run has none."""
        self._tell("evaluated", results, is_new, _now())

    def model(self, variant: str, path: Path) -> None:
        """Log the model in the folder `path` for `mlflow.pyfunc`, where the run has none; it takes some seconds."""
        self._tell("pyfunc", variant, path.absolute())

    def register(self, variant: str, tags: Mapping[str, str]) -> None:
        """Make the run's model a version of the registered model `variant`, with these tags."""
        self._tell("register", variant, dict(tags))

    def _tell(self, function: str, *arguments: Any, last: bool = False) -> None:
        if self._beside:
            try:
                self._journal.add(function, *arguments)
            except OSError as error:  # a full disk
                print(f"warning: {self._name} is not recorded any further ({error})", file=sys.stderr)
                self._beside = None
            else:
                self._send(wait=last, last=last)

    def _send(self, wait: bool = False, last: bool = False) -> None:
        """Have the process beside this one send what was not sent, and hear what became of it."""
        assert self._beside
        self._beside.look(self._journal.folder.name, last)
        for answer in self._beside.answers(wait):
            self._hear(answer)
        if not self._beside.alive:
            self._fail("MLflow's process ended")
        elif wait and self._beside.open:
            self._fail(f"MLflow at {outbox.here()} does not answer")

    def _hear(self, answer: Answer) -> None:
        if answer["sent"]:
            workspace.say(f"MLflow at {outbox.here()}: sent what waited of {answer['sent']} earlier stages")
        for refused in answer["refused"]:
            print(f"warning: {refused}", file=sys.stderr)
        self._identity["run_id"] = answer["run_id"] or self._identity["run_id"]
        if answer["failed"] is not None:
            self._fail(answer["failed"])
        elif self._failed:
            self._failed = False
            workspace.say(f"MLflow at {outbox.here()} works again, and has what {self._name} had kept")

    def _fail(self, why: str) -> None:
        if not self._failed:
            self._failed = True
            print(
                f"warning: {why}; going on without it. What {self._name} records is kept in {self._journal.folder}, "
                "and sent by the next stage that finds MLflow working, or by `melisma runs --send`",
                file=sys.stderr,
            )


@contextmanager
def record(config: TrackingConfig, stage: str, identity: Identity, evaluation: str | None = None) -> Iterator[Run]:
    """The run of `identity`, found again or opened, FINISHED when the block ends well and else FAILED or KILLED.

    Stage train opens a new run, or goes on with the one of `identity` if that names one. The others continue the one of
    `identity`; where the store has it not (it is another machine's, or DVC's cache restored the model), the newest
    finished one with its fingerprint; else they open one.

    Args:
        config: the `tracking` section.
        stage: as a tag.
        identity: variant, seed, fingerprint and, from run.json, run_id; `Run.identity` holds the one that was used.
        evaluation: fingerprint of the evaluation's settings. A run that holds another evaluation is left as it is,
            since MLflow's parameters cannot change: a new run, linked to it by the tag model_run, takes the results.
    """
    try:
        beside = _process(workspace.project()) if config.enabled else None
        _revive(beside)
        run = Run(identity, beside, stage)
    except OSError as error:  # a full disk
        print(f"warning: {run_tags.label(identity)} is not recorded ({error})", file=sys.stderr)
        beside, run = None, Run(identity, None, stage)
    if beside:
        asked = {**identity, "run_id": identity.get("run_id")}
        run._tell("open_run", config.experiment, asked, stage, evaluation, run_tags.tags(identity, stage), _now())
        run._tell("watched", os.getpid())
    status = "FINISHED"
    try:
        yield run
    except (KeyboardInterrupt, SystemExit, StoppedError):
        status = "KILLED"
        raise
    except BaseException as error:
        status = "FAILED"
        run._tell("failure", *map(_lasting, (str(error), "".join(traceback.format_exception(error)))))
        raise
    finally:
        _revive(run._beside)
        run._tell("end", status, _now(), last=True)


def _lasting(text: str) -> str:
    """`text` with the project in place of a temporary workspace of DVC, which is deleted after the experiment."""
    return text.replace(str(Path.cwd()), str(workspace.project())) if "DVC_ROOT" in os.environ else text


@cache
def _process(project: Path) -> Beside:
    """The process beside this one that keeps the runs of `project`."""
    return Beside()


def _revive(beside: Beside | None) -> None:
    if beside and not beside.alive:
        beside.start()


def _now() -> int:
    return int(time.time() * 1000)
