"""Runs as MLflow has them: found by filters, or by a name, and with what a terminal shows of them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from pipeline.core.errors import MelismaError, ParamsError
from pipeline.core.params import read_section, suggest
from pipeline.tracking import outbox, store
from pipeline.tracking.config import TrackingConfig

KINDS = "metrics", "params", "tags", "attributes"
SLASHED = re.compile(rf"(?<![\w.`\"'/])(?:({'|'.join(KINDS)})\.)?([\w-]+/[\w/-]+)(?=\s*(?:[<>!=]|I?LIKE\b|IN\b))", re.I)
SHORT = {"name": "attributes.run_name", "status": "attributes.status", "started": "attributes.start_time"}
ACTIVE, WITH_DELETED = 1, 3  # as MLflow's ViewType numbers them
PAGE = 1000  # runs that are asked for at once
NEWEST = ["attributes.start_time DESC"]
SECONDS = "epoch/seconds"  # of each epoch; a run's own times have all that came between its stages too


@dataclass(frozen=True)
class Found:
    """A run."""

    id: str
    name: str
    status: str  # RUNNING, FINISHED, FAILED or KILLED
    started: datetime
    trained_seconds: float | None  # all epochs; None where none was finished
    params: dict[str, str]
    metrics: dict[str, float]  # the last value of each
    tags: dict[str, str]  # without MLflow's own
    artifacts: str  # where they are

    def value(self, key: str) -> float | str | None:
        """A metric, param or tag by its name, which may begin with metrics., params. or tags."""
        kind, _, rest = key.partition(".")
        if kind in KINDS:
            found: dict[str, Any] = getattr(self, kind, {})
            return found.get(rest)
        for values in (self.metrics, self.params, self.tags):
            if key in values:
                return values[key]
        return None


def query(
    variant: str | None = None,
    experiment: str | None = None,
    study: str | None = None,
    status: str | None = None,
    where: str | None = None,
) -> str:
    """MLflow's filter for all that is asked for; in `where`, a name such as test/mse is that of a metric."""
    parts = [f"tags.variant = {_quoted(variant)}"] if variant else []
    parts += [f'tags."dvc.exp_name" = {_quoted(experiment)}'] if experiment else []
    parts += [f'tags."study.{study}" != {_quoted("")}'] if study else []
    parts += [f"attributes.status = {_quoted(status.upper())}"] if status else []
    parts += [SLASHED.sub(lambda found: f"{found[1] or 'metrics'}.`{found[2]}`", where)] if where else []
    return " and ".join(parts)


def order(key: str) -> list[str]:
    """MLflow's order by a metric, param, tag or name, status, started; a minus before it puts the largest first."""
    name, direction = key.removeprefix("-"), "DESC" if key.startswith("-") else "ASC"
    kind, _, rest = name.partition(".")
    full = f"{kind}.`{rest}`" if kind in KINDS else SHORT.get(name, f"metrics.`{name}`")
    first = f"{full} {direction}"
    return [first] if name == "started" else [first, *NEWEST]


def unknown(found: list[Found], keys: list[str]) -> list[str]:
    """For each key that none of these runs has, a line that says so; a misspelt one is not told from a rare one."""
    names = {*SHORT, *(name for run in found for names in (run.metrics, run.params, run.tags) for name in names)}
    without = [key for key in keys if key not in SHORT and all(run.value(key) is None for run in found)]
    bare = {key: key.partition(".")[2] if key.partition(".")[0] in KINDS else key for key in without}
    return [f"none of these runs has '{key}'; {suggest(name, names)}" for key, name in bare.items()]


def search(asked: str = "", ordered: list[str] | None = None, limit: int | None = None) -> list[Found]:
    """The runs of the project's experiment that a filter finds, newest first or as `ordered` has it.

    Raises:
        ParamsError: MLflow does not understand the filter or the order.
        MelismaError: the store fails.
    """
    if _nothing_yet():
        return []
    with reached() as client:
        return [_found(client, run) for run in list(pages(client, experiments(client), asked, ordered, limit))]


def find(key: str) -> Found:
    """The run of an id or the beginning of one, or the newest of a name.

    Raises:
        ParamsError: there is none, or several ids begin like this.
        MelismaError: the store fails.
    """
    if not _nothing_yet():
        with reached() as client:
            runs = list(pages(client, experiments(client)))
            named = [run for run in runs if run.info.run_name == key][:1]
            chosen = named or [run for run in runs if run.info.run_id.startswith(key)]
            if len(chosen) == 1:
                return _found(client, chosen[0])
            if chosen:
                raise ParamsError(f"{len(chosen)} runs have an id that begins with {key}; give more of it")
    raise ParamsError(f"there is no run of the id or name '{key}'; `melisma runs` lists them")


def contents(found: Found) -> list[str]:
    """Names of the files and folders among a run's artifacts, folders with a slash."""
    with reached() as client:
        return [f"{item.path}{'/' * item.is_dir}" for item in client.list_artifacts(found.id)]


@contextmanager
def reached() -> Iterator[Any]:
    """A client of the store; what fails in the block is said in one line.

    Raises:
        ParamsError: MLflow refuses what it was asked.
        MelismaError: the store fails.
    """
    try:
        yield store.client()
    except MelismaError:
        raise
    except Exception as error:  # any failure of a database or a server
        reason = store.without_password(" ".join(str(error).split())[:300]) or type(error).__name__
        if getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE":
            raise ParamsError(f"MLflow does not understand this: {reason}") from error
        raise MelismaError(outbox.why(error)) from error


def experiments(client: Any) -> list[str]:
    """The id of the project's experiment, where it was made."""
    found = client.get_experiment_by_name(read_section(TrackingConfig, "tracking").experiment)
    return [found.experiment_id] if found else []


def pages(
    client: Any,
    places: list[str],
    asked: str = "",
    ordered: list[str] | None = None,
    limit: int | None = None,
    view: int = ACTIVE,
) -> Iterator[Any]:
    """Runs of some experiments, as MLflow has them: the newest first, those that were not deleted, by default."""
    token, left = None, limit
    while places and left != 0:
        some = min(PAGE, left or PAGE)
        page = client.search_runs(places, asked, view, some, ordered or NEWEST, token)
        yield from page
        token, left = page.token, None if left is None else left - len(page)
        if not token:
            return


def _found(client: Any, run: Any) -> Found:
    history = client.get_metric_history(run.info.run_id, SECONDS) if SECONDS in run.data.metrics else []
    return Found(
        id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        started=datetime.fromtimestamp(run.info.start_time / 1000).astimezone(),
        trained_seconds=sum(metric.value for metric in history) or None,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags={key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")},
        artifacts=unquote(uri.removeprefix("file://")) if (uri := run.info.artifact_uri).startswith("file:") else uri,
    )


def _nothing_yet() -> bool:
    """Whether the store is a database that no stage has made: looking at it would make it, which takes seconds."""
    file = store.database()
    return file is not None and not file.exists()


def _quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"
