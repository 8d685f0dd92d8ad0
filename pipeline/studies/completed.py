"""Completed experiments of a study: DVC has a commit of them with the same params and the same code."""

from collections.abc import Iterator
from typing import Any

import yaml

from pipeline.core.errors import MelismaError
from pipeline.core.params import PARAMS_FILE
from pipeline.core.workspace import root
from pipeline.schema import schema
from pipeline.studies.commit import git
from pipeline.studies.study import Experiment

REFS = "refs/exps"  # where DVC keeps the commits of experiments
IGNORED_SECTIONS = {"runtime", "cache", "tracking", "figures"}  # they change no number of a study
IGNORED_STAGES = ("figures", "report")


def find_completed(experiments: list[Experiment], base: str) -> dict[str, str]:
    """Name in the study -> commit of each completed experiment; `base` is from `commit.snapshot`."""
    commits: dict[str, list[str]] = {}
    for line in git("for-each-ref", REFS, "--format=%(objectname) %(refname:lstrip=4)").splitlines():
        commit, _, name = line.partition(" ")
        commits.setdefault(name, []).append(commit)
    completed = {}
    for experiment in experiments:
        for commit in commits.get(experiment.full_name, []):
            if is_up_to_date(experiment, commit, base):
                completed[experiment.name] = commit
    return completed


def is_up_to_date(experiment: Experiment, commit: str, base: str) -> bool:
    """Whether a commit has the params of the experiment and the code of `base`."""
    return _params(commit) == _relevant(experiment.raw) and not git(
        "diff", "--name-only", commit, base, "--", *code_paths()
    )


def rename_outdated(experiment: Experiment) -> str | None:
    """Rename a DVC experiment of the same name and HEAD, which has other params or code; return the new name."""
    head = git("rev-parse", "HEAD")
    ref = f"{REFS}/{head[:2]}/{head[2:]}/{experiment.full_name}"
    commit = git("for-each-ref", ref, "--format=%(objectname)")
    if not commit:
        return None
    git("update-ref", f"{ref}-{commit[:7]}", commit)
    git("update-ref", "-d", ref, commit)
    return f"{experiment.full_name}-{commit[:7]}"


def code_paths() -> Iterator[str]:
    """Files and folders of code that the numbers of a study depend on: dependencies in dvc.yaml without data."""
    stages = yaml.safe_load((root() / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name, stage in stages.items():
        if name not in IGNORED_STAGES:
            yield from (dep for dep in stage.get("do", stage).get("deps", ()) if not dep.startswith(("data/", "$")))


def _params(commit: str) -> dict[str, Any] | None:
    try:
        return _relevant(yaml.safe_load(git("show", f"{commit}:./{PARAMS_FILE}")))
    except (MelismaError, yaml.YAMLError):  # another version of the program wrote it
        return None


def _relevant(raw: dict[str, Any]) -> dict[str, Any]:
    """All params that change numbers, with their defaults, as plain data."""
    return schema.load(raw).model_dump(mode="json", exclude=IGNORED_SECTIONS)
