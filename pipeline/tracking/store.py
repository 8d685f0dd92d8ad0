"""Where MLflow keeps runs: SQLite and a folder in the project, or the store that MLFLOW_TRACKING_URI names."""

import json
import logging
import os
import re
from contextlib import chdir, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from filelock import FileLock

from pipeline.core import workspace
from pipeline.core.params import read_section
from pipeline.tracking.config import TrackingConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # if a store is down, MLflow's own 7 tries take minutes,
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # and so do its 120 s if a server never answers
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # send nothing to others without being asked, as with DVC
}
DATABASE = "mlflow.db"
MAX_REASON = 300  # characters
DATABASE_RETRIES = 4  # MLflow's own 10 take 102 s
VIEW_NAME = "melisma"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW_NAME}"  # where MLflow's button "Share" stores a view, as JSON
VIEW_METRICS = ("mel_mse", "mse", "cosine_similarity", "kl", "probe_accuracy")
VIEW_COLUMNS = [  # without the duration: a run lasts from training to the last figure
    *("attributes.`Created`", "tags.`variant`", "tags.`dvc.exp_name`"),
    *(f"metrics.`test/{name}`" for name in VIEW_METRICS),
    *("tags.`collapsed`", "metrics.`test/parameters`"),
]
VIEW = {
    "searchFilter": "",
    "orderByKey": "attributes.start_time",
    "orderByAsc": False,
    "selectedColumns": VIEW_COLUMNS,
}


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or mlflow.db in the project (not in a temporary workspace, which DVC deletes)."""
    path = str(workspace.project() / DATABASE).replace("%", "%25").replace("?", "%3F")  # Jenkins uses % in folders
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{path}"


def database_file() -> Path | None:
    """The file of an SQLite store; None for other stores."""
    kind, _, path = tracking_uri().partition("?")[0].partition(":///")
    return Path(unquote(path)) if kind == "sqlite" else None


def is_server() -> bool:
    """Whether the store is an MLflow server; otherwise this process opens a database itself."""
    return tracking_uri().startswith(("http://", "https://"))


def artifact_root() -> str:
    """The folder for artifacts of a database store. A server has its own."""
    return (workspace.project() / "mlartifacts").as_uri()


def without_password(text: str) -> str:
    """`text` without `user:password@` and the value of `password=` in addresses."""
    return re.sub(r"(?i)(?<=password=)[^&\s]*", "", re.sub(r"//[^/?#\s]*@", "//", text))


def store_name() -> str:
    """MLFLOW_TRACKING_URI without its password, else mlflow.db: a name that stays right if the project moves."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or DATABASE
    return re.sub(r"//.*@", "//", without_password(uri))  # in an address, a password may have any character


def failure_message(error: Exception) -> str:
    """One line about a failed call: the first network or system error in its chain of causes, if any."""
    from urllib3.exceptions import HTTPError  # comes with MLflow

    first: BaseException = error
    while (cause := first.__cause__ or first.__context__) is not None:
        first = cause
    error = first if isinstance(first, OSError | HTTPError) and str(first) else error
    return f"MLflow at {store_name()} failed ({one_line(error)})"


def one_line(error: BaseException) -> str:
    """The message of an error, shortened, without passwords."""
    return without_password(" ".join(str(error).split())[:MAX_REASON] or type(error).__name__)


def error_code(error: Exception) -> str:
    """MLflow's code of an error; empty for other errors."""
    return str(getattr(error, "error_code", ""))


def set_defaults() -> None:
    """Set MLflow's environment variables that the user has not set. MLflow reads them at each call."""
    for key, value in DEFAULTS.items():
        os.environ.setdefault(key, value)


def prepare() -> None:
    """Create the database and the experiment if they are missing."""
    ensure_experiment(client(), read_section(TrackingConfig, "tracking").experiment)


def client() -> "MlflowClient":
    """The client of the current store. The first call creates the store if it is missing."""
    set_defaults()
    return _create_client(tracking_uri())


@cache
def _create_client(uri: str) -> "MlflowClient":
    from mlflow import MlflowClient

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if not is_server():
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = DATABASE_RETRIES
    # MLflow fails if two processes create a database. In it, the default experiment keeps the current folder.
    lock = nullcontext() if is_server() else FileLock(workspace.state_folder() / "mlflow.lock")
    with lock, chdir(workspace.project()):
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


def ensure_experiment(client: "MlflowClient", name: str) -> str:
    """The id of the experiment `name`; create it if it is missing.

    Its artifacts go to a folder of the project, or where a server keeps them.
    """
    from mlflow.exceptions import MlflowException

    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = None if is_server() else f"{artifact_root()}/{name}"
        kind = {"mlflow.experimentKind": "custom_model_development"}  # the UI opens on runs, not on prompts
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=kind))
        except MlflowException:
            experiment = client.get_experiment_by_name(name)  # another process, maybe on another machine, was faster
            if experiment is None:
                raise
    return str(experiment.experiment_id)


def runs_page(client: "MlflowClient") -> str:
    """The page of the runs, to append to the UI's address; create experiment and view if they are missing.

    The address names the part for machine learning: the part for agents, which is MLflow's default, has no models.
    """
    experiment_id = ensure_experiment(client, read_section(TrackingConfig, "tracking").experiment)
    view = json.dumps(VIEW)
    if client.get_experiment(experiment_id).tags.get(VIEW_TAG) != view:
        client.set_experiment_tag(experiment_id, VIEW_TAG, view)
    return f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={VIEW_NAME}"
