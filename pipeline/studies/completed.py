"""Which experiments of a study are finished: those that DVC keeps, made with the same params and the same code."""

from collections.abc import Iterator
from typing import Any

import yaml

from pipeline.core.errors import MelismaError
from pipeline.core.params import PARAMS_FILE
from pipeline.core.workspace import root
from pipeline.schema import schema
from pipeline.studies.commit import git
from pipeline.studies.study import Experiment

REFS = "refs/exps"
OTHER = {"runtime", "cache", "tracking", "figures"}  # sections that change no number of a study
DRAWN = ("figures", "report")  # stages that change none


def find(experiments: list[Experiment], changed: str) -> dict[str, str]:
    """Full name of each finished experiment: its commit.

    Args:
        experiments: of a study.
        changed: a commit of the files as they are, from `commit.base`.
    """
    kept: dict[str, list[str]] = {}
    for line in git("for-each-ref", REFS, "--format=%(objectname) %(refname:lstrip=4)").splitlines():
        revision, _, name = line.partition(" ")
        kept.setdefault(name, []).append(revision)
    found = {}
    for one in experiments:
        for revision in kept.get(one.full, []):
            if is_made_like(one, revision, changed):
                found[one.full] = revision
    return found


def is_made_like(experiment: Experiment, revision: str, changed: str) -> bool:
    """Whether a commit has the params of the experiment and the code of `changed`."""
    return _params(revision) == _plain(experiment.raw) and not git(
        "diff", "--name-only", revision, changed, "--", *code()
    )


def set_aside(experiment: Experiment) -> str | None:
    """Give an experiment of this name, made from HEAD with other params or code, another one, which is returned."""
    head = git("rev-parse", "HEAD")
    ref = f"{REFS}/{head[:2]}/{head[2:]}/{experiment.full}"
    revision = git("for-each-ref", ref, "--format=%(objectname)")
    if not revision:
        return None
    git("update-ref", f"{ref}-{revision[:7]}", revision)
    git("update-ref", "-d", ref, revision)
    return f"{experiment.full}-{revision[:7]}"


def code() -> Iterator[str]:
    """Files and folders that the stages of a study's numbers depend on, without data."""
    stages = yaml.safe_load((root() / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name, stage in stages.items():
        if name not in DRAWN:
            yield from (dep for dep in stage.get("do", stage).get("deps", ()) if not dep.startswith(("data/", "$")))


def _params(revision: str) -> dict[str, Any] | None:
    try:
        return _plain(yaml.safe_load(git("show", f"{revision}:./{PARAMS_FILE}")))
    except (MelismaError, yaml.YAMLError):  # of another version of the program
        return None


def _plain(raw: dict[str, Any]) -> dict[str, Any]:
    """Params with all defaults, as plain data; what changes no number is left out."""
    return schema.load(raw).model_dump(mode="json", exclude=OTHER)
