"""One MLflow run per variant and seed: opened by train, continued by evaluate and figures.

A store that fails never stops a stage: it is said once, and the stage goes on without. Files hold everything that
MLflow shows.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.errors import StoppedError
from pipeline.tracking import store
from pipeline.tracking.beside import Beside, BesideError
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.log import Identity

NUMBERS = count()


class Run:
    """An open run, or nothing where tracking is off or its store has failed."""

    def __init__(self, identity: Identity) -> None:
        self._identity = {**identity, "run_id": identity.get("run_id")}
        self._number = next(NUMBERS)
        self._beside: Beside | None = None
        self._opening = self._failed = False

    @property
    def identity(self) -> Identity:
        """What run.json holds: waits until the run is open, and has its id, or None where nothing is recorded."""
        if self._opening:
            self._ask()
        if self._opening and self._beside is not None:
            self._opening, self._identity["run_id"] = False, self._beside.opened[self._number]
        return self._identity

    def params(self, values: Mapping[str, Any]) -> None:
        """Log nested settings under dotted keys, those that are None left out; MLflow takes each key once."""
        self._tell("params", values)

    def metrics(self, values: Mapping[str, float | None], step: int = 0) -> None:
        """Log numbers at a step; None is left out."""
        self._tell("metrics", {key: value for key, value in values.items() if value is not None}, step)

    def series(self, rows: Mapping[int, Mapping[str, float]]) -> None:
        """Log numbers at many steps at once: step, and what was measured there."""
        self._tell("series", rows)

    def logged(self, key: str) -> set[int]:
        """Steps at which the metric `key` was logged, in earlier processes too."""
        self._tell("logged", key)
        return self._ask() or set()

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
        self._tell("trained", path.absolute())

    def evaluated(self, results: dict[str, Any], is_new: bool) -> None:
        """Log params, metrics and tags of an evaluation; one that is not new only where the run has none."""
        self._tell("evaluated", results, is_new)

    def model(self, variant: str, path: Path) -> None:
        """Log the model in the folder `path` for `mlflow.pyfunc`, where the run has none; it takes some seconds."""
        self._tell("pyfunc", variant, path.absolute())

    def register(self, variant: str, tags: Mapping[str, str]) -> None:
        """Make the run's model a version of the registered model `variant`, with these tags."""
        self._tell("register", variant, dict(tags))

    def _tell(self, function: str, *arguments: Any) -> None:
        if self._beside is not None and (not self._failed or function == "end"):  # it may be possible to end it
            self._try(self._beside.tell, self._number, function, *arguments)

    def _ask(self) -> Any:
        return None if self._beside is None else self._try(self._beside.wait)

    def _try(self, what: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return what(*arguments)
        except BesideError as error:
            assert self._beside is not None
            self._beside.forget()
            if self._opening:
                self._opening, self._identity["run_id"] = False, self._beside.opened.get(self._number)
            if not self._failed:
                _warn(error)
            self._failed = True
            return None


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
    run = Run(identity)
    if config.enabled:
        run._beside, run._opening = _process(), True
        run._tell("open_run", config.experiment, dict(run._identity), stage, evaluation)
        run._tell("watched", os.getpid())
    else:
        run._identity["run_id"] = None
    status = "FINISHED"
    try:
        yield run
    except (KeyboardInterrupt, SystemExit, StoppedError):
        status = "KILLED"
        raise
    except BaseException as error:
        status = "FAILED"
        run._tell("failure", str(error), "".join(traceback.format_exception(error)))
        raise
    finally:
        assert run.identity  # waits
        run._tell("end", status)
        run._ask()


@cache
def _started() -> list[Beside]:
    return []


def _process() -> Beside:
    """The process beside this one, started where there is none or it has died."""
    kept = _started()
    if not kept or not kept[0].alive:
        kept[:] = [Beside()]
    return kept[0]


def _warn(error: Exception) -> None:
    reason = store.without_password(str(error)[:200])
    place = store.without_password(store.tracking_uri())
    print(f"warning: MLflow at {place} failed ({reason}); going on without it", file=sys.stderr)
