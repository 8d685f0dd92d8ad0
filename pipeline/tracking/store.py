"""Where MLflow keeps runs: SQLite and a folder in the project, or what MLFLOW_TRACKING_URI says."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import chdir, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from filelock import FileLock

from pipeline.core import workspace
from pipeline.core.params import read_section
from pipeline.tracking.config import TrackingConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient

SECONDS = "MLFLOW_HTTP_REQUEST_TIMEOUT"
SECONDS_FOR_FILES = "120"
DEFAULTS = {
    # A store that cannot be reached should cost seconds, not MLflow's default of minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    SECONDS: "15",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing leaves this machine unasked, as with DVC
}


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, or a database in the project (not in a temporary workspace, which DVC deletes)."""
    path = str(workspace.project() / "mlflow.db").replace("%", "%25").replace("?", "%3F")  # as Jenkins names folders
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{path}"


def database() -> Path | None:
    """The file of the store, where that is SQLite."""
    kind, _, path = tracking_uri().partition("?")[0].partition(":///")
    return Path(unquote(path)) if kind == "sqlite" else None


def served() -> bool:
    """Whether the store is an MLflow server, and no database that this process itself opens."""
    return tracking_uri().startswith(("http://", "https://"))


def artifact_root() -> str:
    """Where artifacts go beside a database; a server has a place of its own."""
    return (workspace.project() / "mlartifacts").as_uri()


def without_password(text: str) -> str:
    """`text` with `user:password@` and `password=...` taken out of every address in it."""
    return re.sub(r"(?<=password=)[^&\s]*", "", re.sub(r"//[^/?#\s]*@", "//", text))


def set_defaults() -> None:
    """Set what the environment does not say of how MLflow works, which it reads at each call."""
    for key, value in DEFAULTS.items():
        os.environ.setdefault(key, value)


@contextmanager
def sending_files() -> Iterator[None]:
    """Wait longer in the block: a server answers only when a file lies where it keeps it, which may be another server.

    What the environment says of it holds all the same.
    """
    usual = os.environ.get(SECONDS) == DEFAULTS[SECONDS]
    if usual:
        os.environ[SECONDS] = SECONDS_FOR_FILES
    try:
        yield
    finally:
        if usual:
            os.environ[SECONDS] = DEFAULTS[SECONDS]


def prepare() -> None:
    """Create the database and the experiment, where they are missing."""
    experiment(client(), read_section(TrackingConfig, "tracking").experiment)


def client() -> "MlflowClient":
    """A client of the store, which exists when this returns: creating it from two processes at once fails in MLflow."""
    set_defaults()
    from mlflow import MlflowClient

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if not served():
        from mlflow.store.db import utils as databases

        databases.MAX_RETRY_COUNT = 4  # of a database that does not answer: its 10 take 102 s
    with nullcontext() if served() else FileLock(workspace.state() / "mlflow.lock"), chdir(workspace.project()):
        made = MlflowClient(tracking_uri())  # a new database remembers the current folder for an experiment of its own
        made.search_experiments(max_results=1)
    return made


def experiment(made: "MlflowClient", name: str) -> str:
    """The id of the experiment `name`, created where it is missing.

    Its artifacts go to a folder of the project, which a database alone would not know, or where a server keeps them.
    """
    from mlflow.exceptions import MlflowException

    found = made.get_experiment_by_name(name)
    if found is None:
        location = None if served() else f"{artifact_root()}/{name}"
        kind = {"mlflow.experimentKind": "custom_model_development"}  # opens the UI on runs rather than on prompts
        try:
            return str(made.create_experiment(name, artifact_location=location, tags=kind))
        except MlflowException:
            found = made.get_experiment_by_name(name)  # another process was faster, maybe on another machine
            if found is None:
                raise
    return str(found.experiment_id)
