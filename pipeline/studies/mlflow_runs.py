"""The MLflow runs of a study: a tag study.<name> on a run names its experiments."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.core.params import read_section
from pipeline.studies.study import Experiment
from pipeline.tracking import calls, search, store
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
from pipeline.tracking.run_tags import Identity

if TYPE_CHECKING:
    from dvc.fs import DVCFileSystem

SEPARATOR = ","  # between the names of experiments in a tag


def tag_name(study: str) -> str:
    """The tag of the runs of a study."""
    return f"study.{study}"


def is_tracking_enabled() -> bool:
    """Whether this project records runs in MLflow."""
    return read_section(TrackingConfig, "tracking").enabled


def tag_runs(study: str, commits: dict[str, str], experiments: list[Experiment]) -> None:
    """Tag the runs of completed experiments, and remove the names of these experiments from all other runs.

    A stage that DVC skipped has no run of its own: the experiment gets the run that made the result. If the store lacks
    that run, one is created from the experiment's files.

    Args:
        commits: name -> commit of each completed experiment.

    Raises:
        MelismaError: MLflow fails, or DVC's cache lacks a file of an experiment.
    """
    with search.connected():
        names: dict[str, list[str]] = {}
        for experiment in experiments:
            if experiment.name in commits:
                for run_id in _run_ids(experiment, commits[experiment.name]):
                    names.setdefault(run_id, []).append(experiment.name)
        tags = {run.info.run_id: run.data.tags[tag_name(study)] for run in find_runs(study)}
        for run_id in tags.keys() | names.keys():
            # An experiment that is not completed keeps its runs, which are its last result.
            incomplete = [name for name in tags.get(run_id, "").split(SEPARATOR) if name and name not in commits]
            if value := SEPARATOR.join([*names.get(run_id, []), *incomplete]):
                store.client().set_tag(run_id, tag_name(study), value)
            else:
                store.client().delete_tag(run_id, tag_name(study))


def find_runs(study: str) -> list[Any]:
    """The runs with the study's tag, oldest first."""
    return _search(f"tags.`{tag_name(study)}` LIKE '%'")


def read_tracks(runs: list[Any]) -> pd.DataFrame | None:
    """Errors of each test recording: track_id, group, mse, mel_mse, the means over the runs. None if a run has none."""
    tables = []
    with TemporaryDirectory() as folder:
        for run in runs:
            artifacts = store.client().list_artifacts(run.info.run_id, str(Path(calls.TRACKS_FILE).parent))
            if calls.TRACKS_FILE not in [artifact.path for artifact in artifacts]:
                return None
            path = store.client().download_artifacts(run.info.run_id, calls.TRACKS_FILE, folder)
            tables.append(pd.DataFrame(workspace.read_json(Path(path))))
    tracks = pd.concat(tables)
    return tracks.groupby(["track_id", "group"])[["mse", "mel_mse"]].mean().reset_index()


@contextmanager
def _reading(experiment: Experiment) -> Iterator[None]:
    """Turn any error of the block, which reads the experiment's files, into a MelismaError of one line."""
    try:
        yield
    except Exception as error:  # DVC's errors have no common class
        name = experiment.full_name
        raise MelismaError(
            f"{name}: DVC's cache lacks a file ({error}). If it was pushed, fetch it: `dvc exp pull REMOTE {name}`. "
            f"Else run it again: `dvc exp remove {name}`, then `melisma study run {experiment.study}`"
        ) from error


def _run_ids(experiment: Experiment, commit: str) -> Iterator[str]:
    """The run of each variant and seed of an experiment."""
    from dvc.repo import Repo

    with ExitStack() as stack:
        with _reading(experiment):
            # dvc.api would read from the top of the Git repository, but the project may be a folder in it.
            repo = stack.enter_context(Repo(str(workspace.root())))
            stack.enter_context(repo.switch(commit))
        for variant in experiment.raw["models"]:
            folder = Path("/", workspace.EVALUATION, variant)
            with _reading(experiment):
                identities, results = (
                    json.loads(repo.dvcfs.read_text(f"{folder}/{name}.json")) for name in ("run", "results")
                )
            by_seed = {result["seed"]: result for result in results}
            for identity in identities:
                result = by_seed[identity["seed"]]
                run_id = _find_run(identity, result["tags"]["evaluation"])
                yield run_id or _create_run(identity, result, experiment, repo.dvcfs)


def _find_run(identity: Identity, evaluation: str) -> str | None:
    """The run that made a result, else the newest finished run of the same training and evaluation, else None."""
    runs = _search(f"tags.fingerprint = '{identity['fingerprint']}'")
    if any(run.info.run_id == identity["run_id"] for run in runs):
        return str(identity["run_id"])
    finished = [run for run in runs if run.info.status == "FINISHED" and run.data.tags.get("evaluation") == evaluation]
    return str(finished[-1].info.run_id) if finished else None


def _search(query: str) -> list[Any]:
    client = store.client()
    return list(search.iterate_runs(client, search.experiment_ids(client), query, ["attributes.start_time ASC"]))


def _create_run(identity: Identity, result: dict[str, Any], experiment: Experiment, files: "DVCFileSystem") -> str:
    """A new run with settings, epochs and metrics from the experiment's files."""
    trained = Path("/", workspace.MODELS, identity["variant"], f"seed-{identity['seed']}")
    with TemporaryDirectory() as folder:
        with _reading(experiment):
            for name in ("config.json", "history.csv"):
                files.get_file(str(trained / name), f"{folder}/{name}")
        tracking = read_section(TrackingConfig, "tracking")
        with record(tracking, "evaluate", identity, result["tags"]["evaluation"]) as run:
            run.log_training(Path(folder))
            run.log_evaluation(result, is_new=False)
    if run.identity["run_id"] is None:
        raise MelismaError("MLflow created no run; `melisma study run` tries again")
    return str(run.identity["run_id"])
