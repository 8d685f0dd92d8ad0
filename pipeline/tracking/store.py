"""Where MLflow keeps runs: SQLite and a folder in the project, or the store that MLFLOW_TRACKING_URI names."""

import json
import logging
import os
import re
import shlex
from contextlib import chdir, nullcontext
from errno import EACCES
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
    from mlflow.entities import Experiment

DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # if a store is down, MLflow's own 7 tries take minutes,
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # and so do its 120 s if a server never answers
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # send nothing to others without being asked, as with DVC
}
DATABASE = "mlflow.db"
MAX_REASON = 300  # characters
DATABASE_RETRIES = 4  # MLflow's own 10 take 102 s
MAX_FOLDER = 60  # characters of a folder's name, which has 255 bytes at most
ADDRESS = "MLFLOW_TRACKING_URI"
OTHER_EXPERIMENT = "or set tracking.experiment to another name, for later runs"
# What a person can do: regular expressions of an error's text, and commands. The first one that matches counts.
REMEDIES = (
    (
        "found version|revision identified by",
        "if an earlier MLflow has written it: copy the database, then `mlflow db upgrade {uri}`; if a later one has: "
        "install that version, or set {address} to another store",
    ),
    (
        "not a database|malformed",
        "move it away: `mkdir -p {damaged} && mv {file}* {damaged}`; then `melisma runs --send` fills a new one from "
        ".melisma/runs",
    ),
    ("database is locked", "end the program that holds {file}: `fuser {file}` shows its number"),
    ("is full|No space left|quota exceeded", "free some space"),
    (
        r"readonly database|unable to open database|\[Errno (13|30)\]",
        "give this user the right to write to this file and to the folder {folder}",
    ),
    ("No module named", "install this package in .venv (for PostgreSQL: `make setup EXTRAS=postgres`)"),
    (
        "unsupported URI|Invalid SQLite URL|[Pp]arse|load plugin|Invalid ?URL|ENDPOINT_NOT_FOUND|not in a valid JSON",
        "correct {address}, such as http://HOST:5000 or sqlite:////FOLDER/mlflow.db; or unset it",
    ),
)
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
    path = str(workspace.project() / DATABASE)
    quoted = path.replace("%", "%25").replace("?", "%3F")  # Jenkins uses % in folders
    driver = "" if quoted == path else "+pysqlite"  # without it, MLflow makes a folder of the quoted name
    return os.environ.get(ADDRESS) or f"sqlite{driver}:///{quoted}"


def database_file() -> Path | None:
    """The file of an SQLite store; None for other stores."""
    kind, _, path = tracking_uri().partition("?")[0].partition(":///")
    return Path(unquote(path)) if kind.partition("+")[0] == "sqlite" else None


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
    uri = os.environ.get(ADDRESS) or DATABASE
    return re.sub(r"//.*@", "//", without_password(uri))  # in an address, a password may have any character


class ExperimentError(Exception):
    """An experiment that only a person can mend; `remedy` says how."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def failure_message(error: Exception) -> str:
    """One line about a failed call: what failed, why, and what to do."""
    return f"{failure(error)}; {remedy(error)}"


def failure(error: Exception) -> str:
    """What failed and why: the first network, system or database error in the chain of causes, if any."""
    from urllib3.exceptions import HTTPError  # comes with MLflow

    chain = _causes(error)
    first = chain[-1] if isinstance(chain[-1], OSError | HTTPError) and str(chain[-1]) else error
    first = next(filter(None, (getattr(cause, "orig", None) for cause in chain)), first)  # without SQLAlchemy's links
    reason = re.split(r"\. (?=Take|Please|Supported)", one_line(first))[0]  # without MLflow's own advice
    return f"MLflow at {store_name()} failed ({reason})"


def remedy(error: Exception) -> str:
    """What to do about a failed call."""
    if isinstance(error, ExperimentError):
        return error.remedy
    chain = _causes(error)
    text = " ".join(f"{error_code(cause)} {type(cause).__name__}: {cause}" for cause in chain)
    file = database_file()
    text = "not a database" if file and file.is_dir() else text
    folder = file.parent if file else workspace.project()
    names = {"file": file, "folder": folder, "damaged": workspace.project() / ".melisma" / "damaged"}
    for words, advice in REMEDIES:
        if re.search(words, text):
            quoted = {name: shlex.quote(str(path)) for name, path in names.items()}
            return advice.format(address=ADDRESS, uri=_address(), **quoted)
    if file is None:
        return f"check {ADDRESS}, that server, and your rights there; or unset {ADDRESS}"
    return "`melisma runs --send` tries again"


def _causes(error: BaseException) -> list[BaseException]:
    """The error, and what led to it; the first cause comes last."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    return chain


def _address() -> str:
    """The tracking URI for a shell; as a variable if it is one, since it may hold a password."""
    return f'"${ADDRESS}"' if ADDRESS in os.environ else shlex.quote(tracking_uri())


def one_line(error: BaseException) -> str:
    """The message of an error, shortened, without passwords."""
    return without_password(" ".join(str(error).split())[:MAX_REASON] or type(error).__name__)


def error_code(error: BaseException) -> str:
    """MLflow's code of an error; empty for other errors."""
    return str(getattr(error, "error_code", ""))


def set_defaults() -> None:
    """Set MLflow's environment variables that the user has not set. MLflow reads them at each call."""
    for key, value in DEFAULTS.items():
        os.environ.setdefault(key, value)


def prepare() -> None:
    """Create the database and the experiment if they are missing."""
    ensure_experiment(client(), _experiment())


def check() -> None:
    """Raise the error that a stage would get."""
    client().set_experiment_tag(ensure_experiment(client(), _experiment()), VIEW_TAG, json.dumps(VIEW))
    file = database_file()
    folders = [] if is_server() else [workspace.project() / "mlartifacts"]
    for path in [*([file, file.parent] if file else []), *folders]:
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES), str(path))


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
    # MLflow fails if two processes create a database. In it, the default experiment keeps this address, or else the
    # current folder, of which not every name works.
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = artifact_root()
    lock = nullcontext() if is_server() else FileLock(workspace.state_folder() / "mlflow.lock")
    with lock, chdir(workspace.project()):
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


def find_experiment(client: "MlflowClient", name: str) -> "Experiment | None":
    """The experiment `name`; None if it is missing, ExperimentError if somebody has deleted it."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None and experiment.lifecycle_stage == "deleted":
        address = "" if ADDRESS in os.environ else f"{ADDRESS}={_address()} "
        restore = f"`{address}mlflow experiments restore --experiment-id {experiment.experiment_id}`"
        raise ExperimentError(f"the experiment '{name}' was deleted", f"restore it: {restore}; {OTHER_EXPERIMENT}")
    return experiment


def ensure_experiment(client: "MlflowClient", name: str) -> str:
    """The id of the experiment `name`; create it if it is missing.

    Its artifacts go to a folder of the project, or where a server keeps them.

    Raises:
        ExperimentError: it was deleted, or its artifacts belong into a project's folder that has moved.
    """
    from mlflow.exceptions import MlflowException

    experiment = find_experiment(client, name)
    if experiment is None:
        location = None if is_server() else artifact_folder(name).as_uri()
        kind = {"mlflow.experimentKind": "custom_model_development"}  # the UI opens on runs, not on prompts
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=kind))
        except MlflowException:
            experiment = find_experiment(client, name)  # another process, maybe on another machine, was faster
            if experiment is None:
                raise
    _check_location(experiment)
    return str(experiment.experiment_id)


def _check_location(experiment: "Experiment") -> None:
    """Refuse a project's folder that does not exist: MLflow would make it, and put artifacts where nobody looks."""
    folder, _, rest = experiment.artifact_location.removeprefix("file://").partition("/mlartifacts/")
    project = Path(unquote(folder))
    if rest and not is_server() and not _exists(project):
        old, new = shlex.quote(str(project)), shlex.quote(str(workspace.project()))
        link = f"`mkdir -p {shlex.quote(str(project.parent))} && ln -s {new} {old}`"
        reason = f"the artifacts of the experiment '{experiment.name}' belong into {project}, which does not exist"
        raise ExperimentError(reason, f"if this project was moved: {link}; {OTHER_EXPERIMENT}")


def _exists(path: Path) -> bool:
    """Also False in a folder that this user may not search."""
    try:
        return path.exists()
    except PermissionError:
        return False


def artifact_folder(experiment: str) -> Path:
    """The folder for artifacts of the experiment, of any name. Two may share one, since each run has its own inside."""
    return workspace.project() / "mlartifacts" / re.sub(r"^\.|[^\w .-]", "_", experiment)[:MAX_FOLDER]


def runs_page(client: "MlflowClient") -> str:
    """The page of the runs, to append to the UI's address; create experiment and view if they are missing.

    The address names the part for machine learning: the part for agents, which is MLflow's default, has no models.
    """
    experiment_id = ensure_experiment(client, _experiment())
    view = json.dumps(VIEW)
    if client.get_experiment(experiment_id).tags.get(VIEW_TAG) != view:
        client.set_experiment_tag(experiment_id, VIEW_TAG, view)
    return f"/#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={VIEW_NAME}"


def _experiment() -> str:
    """The name of the project's experiment."""
    return read_section(TrackingConfig, "tracking").experiment
