"""Search MLflow for runs, by a filter or by name."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import unquote

from pipeline.core.errors import MelismaError, ParamsError
from pipeline.core.params import read_section, suggest
from pipeline.tracking import store
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.logged_values import EPOCH_SECONDS

KINDS = "metrics", "params", "tags", "attributes"
# A name with a slash, such as test/mse or metrics.test/mse, before an operator.
SLASHED = re.compile(rf"(?<![\w.`\"'/])(?:({'|'.join(KINDS)})\.)?([\w-]+/[\w/-]+)(?=\s*(?:[<>!=]|I?LIKE\b|IN\b))", re.I)
ATTRIBUTES = {"name": "attributes.run_name", "status": "attributes.status", "started": "attributes.start_time"}
PAGE_SIZE = 1000
NEWEST_FIRST = ["attributes.start_time DESC"]


@dataclass(frozen=True)
class RunInfo:
    """A run of MLflow, for the terminal."""

    id: str
    name: str
    status: str  # RUNNING, FINISHED, FAILED or KILLED
    started: datetime
    trained_seconds: float | None  # training time of all epochs; None without an epoch
    params: dict[str, str]
    metrics: dict[str, float]  # last values
    tags: dict[str, str]  # without MLflow's own
    artifacts: str  # folder or address
    model: str | None  # address of its model for MLflow, models:/<id>

    def value(self, key: str) -> float | str | None:
        """A metric, param or tag by its name, which may begin with metrics., params. or tags."""
        kind, _, name = key.partition(".")
        if kind in KINDS:
            values: dict[str, Any] = getattr(self, kind, {})
            return values.get(name)
        return (self.tags | self.params | self.metrics).get(key)


def build_filter(
    variant: str | None = None,
    experiment: str | None = None,
    study: str | None = None,
    status: str | None = None,
    where: str | None = None,
) -> str:
    """An MLflow filter. In `where`, a name with a slash, such as test/mse, is a metric."""
    parts = [f"tags.variant = '{variant}'"] if variant else []
    parts += [f"tags.`dvc.exp_name` = '{experiment}'"] if experiment else []
    parts += [f"tags.`study.{study}` != ''"] if study else []
    parts += [f"attributes.status = '{status.upper()}'"] if status else []
    parts += [SLASHED.sub(lambda match: f"{match[1] or 'metrics'}.`{match[2]}`", where)] if where else []
    return " and ".join(parts)


def build_order(key: str) -> list[str]:
    """An MLflow order by name, status, started, or a metric, param or tag; -KEY puts the largest first."""
    name, direction = key.removeprefix("-"), "DESC" if key.startswith("-") else "ASC"
    kind, _, rest = name.partition(".")
    kind, rest = (kind, rest) if kind in KINDS else ("metrics", name)
    column = ATTRIBUTES.get(name) or f"{kind}.`{rest}`"
    return [f"{column} {direction}"] if name == "started" else [f"{column} {direction}", *NEWEST_FIRST]


def unknown_keys(runs: list[RunInfo], keys: list[str]) -> list[str]:
    """A line about each key that none of these runs has."""
    names = {*ATTRIBUTES, *(name for run in runs for values in (run.metrics, run.params, run.tags) for name in values)}
    lines = []
    for key in keys:
        if key not in ATTRIBUTES and all(run.value(key) is None for run in runs):
            kind, _, rest = key.partition(".")
            lines.append(f"none of these runs has '{key}'; {suggest(rest if kind in KINDS else key, names)}")
    return lines


def find_runs(filter_text: str = "", order: list[str] | None = None, limit: int | None = None) -> list[RunInfo]:
    """The runs of the project's experiment, newest first by default; raises as `connected`."""
    if _is_missing():
        return []
    with connected() as client:
        runs = list(iterate_runs(client, experiment_ids(client), filter_text, order, limit))
        return [_run_info(client, run) for run in runs]


def find_run(key: str) -> RunInfo:
    """The run of an id or the beginning of one, or the newest run of a name; raises as `connected`.

    Raises:
        ParamsError: there is none, or several ids begin like this.
    """
    if not _is_missing():
        with connected() as client:
            runs = list(iterate_runs(client, experiment_ids(client)))
            by_name = [run for run in runs if run.info.run_name == key][:1]
            matches = by_name or [run for run in runs if run.info.run_id.startswith(key)]
            if len(matches) == 1:
                return _run_info(client, matches[0])
            if matches:
                raise ParamsError(f"{len(matches)} runs have an id that begins with {key}; give more of it")
    raise ParamsError(f"no run has the id or name '{key}'; `melisma runs` lists them")


@contextmanager
def connected() -> Iterator[Any]:
    """A client of the store. An error becomes one line.

    Raises:
        ParamsError: MLflow does not understand a filter or an order.
        MelismaError: the store fails.
    """
    client = None
    try:
        client = store.client()
        yield client
    except MelismaError:
        raise
    except Exception as error:  # a database or a server fails in many ways
        if client and store.error_code(error) == "INVALID_PARAMETER_VALUE":
            raise ParamsError(f"MLflow does not understand this: {store.one_line(error)}") from error
        raise MelismaError(store.failure_message(error)) from error


def experiment_ids(client: Any) -> list[str]:
    """The id of the project's experiment; empty before the first run."""
    experiment = store.find_experiment(client, read_section(TrackingConfig, "tracking").experiment)
    return [experiment.experiment_id] if experiment else []


def iterate_runs(
    client: Any,
    experiments: list[str],
    filter_text: str = "",
    order: list[str] | None = None,
    limit: int | None = None,
) -> Iterator[Any]:
    """MLflow's runs of the experiments with these ids, newest first by default."""
    if not experiments:
        return iter(())
    size, order = min(PAGE_SIZE, limit or PAGE_SIZE), order or NEWEST_FIRST
    return islice(pages(client.search_runs, experiments, filter_text, max_results=size, order_by=order), limit)


def pages(search: Callable[..., Any], *arguments: Any, **options: Any) -> Iterator[Any]:
    """All results of a search function of MLflow's client."""
    token = None
    while True:
        page = search(*arguments, **options, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _run_info(client: Any, run: Any) -> RunInfo:
    history = client.get_metric_history(run.info.run_id, EPOCH_SECONDS) if EPOCH_SECONDS in run.data.metrics else []
    uri = run.info.artifact_uri
    return RunInfo(
        id=run.info.run_id,
        name=run.info.run_name,
        status=run.info.status,
        started=datetime.fromtimestamp(run.info.start_time / 1000).astimezone(),
        trained_seconds=sum(metric.value for metric in history) or None,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags={key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")},
        artifacts=unquote(uri.removeprefix("file://")) if uri.startswith("file:") else uri,
        model=f"models:/{model}" if (model := model_id(run)) else None,
    )


def model_id(run: Any) -> str | None:
    """The id of the model that an MLflow run logged or evaluated, or None."""
    outputs = [model.model_id for model in run.outputs.model_outputs] if run.outputs else []
    inputs = [model.model_id for model in run.inputs.model_inputs] if run.inputs else []
    return next(map(str, outputs + inputs), None)


def _is_missing() -> bool:
    """Whether the store is a database that does not exist; a client would create it, which takes seconds."""
    file = store.database_file()
    return file is not None and not file.exists()
