"""A study's runs in MLflow: which they are, and a tag that says so."""

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
from pipeline.tracking import log, search
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
from pipeline.tracking.run_tags import Identity

if TYPE_CHECKING:
    from dvc.fs import DVCFileSystem

BETWEEN = ","  # names of experiments in a tag, where a run is part of several


def tag(study: str) -> str:
    """Of a run that is part of the study; its value names the experiments."""
    return f"study.{study}"


def kept() -> bool:
    """Whether this project keeps its runs in MLflow."""
    return read_section(TrackingConfig, "tracking").enabled


def note(study: str, revisions: dict[str, str], experiments: list[Experiment]) -> None:
    """Tag the runs of finished experiments, and take their names off all other runs.

    A stage that was not run, because its result was known, made no run: it belongs to the one that made the result. If
    this database has none, one is made from the files.

    Args:
        study: its name.
        revisions: commit of each finished experiment.
        experiments: all of the study's.

    Raises:
        MelismaError: MLflow failed, or DVC's cache lacks a file of an experiment.
    """
    with search.reached():
        parts: dict[str, list[str]] = {}
        for one in experiments:
            for run in _runs(one, revisions[one.name]) if one.name in revisions else ():
                parts.setdefault(run, []).append(one.name)
        before = {run.info.run_id: run.data.tags[tag(study)] for run in find(study)}
        for run_id in before.keys() | parts.keys():
            # What is not finished keeps the runs that it has: they are its last result.
            kept = [name for name in before.get(run_id, "").split(BETWEEN) if name and name not in revisions]
            if named := BETWEEN.join([*parts.get(run_id, []), *kept]):
                log.tag(run_id, tag(study), named)
            else:
                log.client().delete_tag(run_id, tag(study))


def find(study: str) -> list[Any]:
    """MLflow's runs with the study's tag, the oldest first."""
    return _search(f"tags.`{tag(study)}` LIKE '%'")


def tracks(found: list[Any]) -> pd.DataFrame | None:
    """Errors of each test recording, the mean over runs; None where a run has none. See `summary.tracks`."""
    tables = []
    with TemporaryDirectory() as folder:
        for run in found:
            listed = log.client().list_artifacts(run.info.run_id, str(Path(log.TRACKS).parent))
            if log.TRACKS not in [artifact.path for artifact in listed]:
                return None
            path = log.client().download_artifacts(run.info.run_id, log.TRACKS, folder)
            tables.append(pd.DataFrame(workspace.read_json(Path(path))))
    together = pd.concat(tables)
    errors = [name for name in ("mse", "mel_mse") if name in together]  # earlier versions recorded the second alone
    return together.groupby(["track_id", "group"])[errors].mean().reset_index()


@contextmanager
def _reading(experiment: Experiment) -> Iterator[None]:
    """Say in one line that a file of an experiment could not be read.

    Raises:
        MelismaError: it could not.
    """
    try:
        yield
    except Exception as error:  # DVC's have no class in common
        name = experiment.full
        raise MelismaError(
            f"{name}: a file of it cannot be read from DVC's cache ({error}); `dvc exp pull REMOTE {name}` fetches it, "
            f"if it was pushed; after `dvc exp remove {name}`, `melisma study run {experiment.study}` makes it anew"
        ) from error


def _runs(experiment: Experiment, revision: str) -> Iterator[str]:
    """The id of each run of an experiment: one for each variant and seed."""
    from dvc.repo import Repo

    with ExitStack() as opened:
        with _reading(experiment):
            # The file system of dvc.api looks at the top of the Git repository, of which the project may be a folder.
            repo = opened.enter_context(Repo(str(workspace.root())))
            opened.enter_context(repo.switch(revision))
        for variant in experiment.raw["models"]:
            folder = Path("/", workspace.EVALUATION, variant)
            with _reading(experiment):
                identities, results = (
                    json.loads(repo.dvcfs.read_text(f"{folder}/{name}.json")) for name in ("run", "results")
                )
            outcomes = {one["seed"]: one for one in results}
            for identity in identities:
                outcome = outcomes[identity["seed"]]
                found = _found(identity, outcome["tags"]["evaluation"])
                yield found or _made(identity, outcome, experiment, repo.dvcfs)


def _found(identity: Identity, evaluation: str) -> str | None:
    """The run that made a result, or the newest finished one of the same training and the same evaluation."""
    same = _search(f"tags.fingerprint = '{identity['fingerprint']}'")
    if any(run.info.run_id == identity["run_id"] for run in same):
        return str(identity["run_id"])
    ended = [run for run in same if run.info.status == "FINISHED" and run.data.tags.get("evaluation") == evaluation]
    return str(ended[-1].info.run_id) if ended else None


def _search(query: str) -> list[Any]:
    client = log.client()
    return list(search.pages(client, search.experiments(client), query, ["attributes.start_time ASC"]))


def _made(identity: Identity, outcome: dict[str, Any], experiment: Experiment, files: "DVCFileSystem") -> str:
    """A run with the settings, epochs and numbers that the experiment's files have.

    Raises:
        MelismaError: a file is not there, or the run could not be opened.
    """
    trained = Path("/", workspace.MODELS, identity["variant"], f"seed-{identity['seed']}")
    with TemporaryDirectory() as folder:
        with _reading(experiment):
            for name in ("config.json", "history.csv"):
                files.get_file(str(trained / name), f"{folder}/{name}")
        tracking = read_section(TrackingConfig, "tracking")
        with record(tracking, "evaluate", identity, outcome["tags"]["evaluation"]) as run:
            run.trained(Path(folder))
            run.evaluated(outcome, is_new=False)
    if run.identity["run_id"] is None:
        raise MelismaError("MLflow took no run; `melisma study run` goes on from here")
    return str(run.identity["run_id"])
