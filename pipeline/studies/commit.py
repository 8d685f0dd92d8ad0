"""Git commits beside the working tree: the files as they are now, and an experiment's commit with other params."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.core.git import git
from pipeline.core.params import PARAMS_FILE
from pipeline.schema import schema
from pipeline.studies.study import Experiment

IGNORED_SECTIONS = {"runtime", "cache", "tracking", "figures", "reference"}  # they change no number of a study
IGNORED_STAGES = ("figures", "report")
# Only DVC sees these commits, so the user needs no Git name.
AUTHOR = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "melisma")
AUTHOR |= dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "melisma@localhost")


def snapshot() -> str:
    """A commit of all tracked files as they are now; HEAD if none has changed."""
    git("status", "--porcelain")  # notices files that are newer but equal, for which `stash create` would fail
    return git("stash", "create", environment=AUTHOR) or git("rev-parse", "HEAD")


def untracked_code() -> list[str]:
    """Python files that Git does not track, so that no snapshot has them."""
    return git("ls-files", "--others", "--exclude-standard", "--", "pipeline/*.py", "stages/*.py").splitlines()


def create(base: str, head: str, files: dict[str, bytes], message: str) -> str:
    """A commit in the form of a Git stash: `base`, which `snapshot` made on `head`, with new contents for `files`."""
    prefix = git("rev-parse", "--show-prefix")  # the project may be a folder of a larger repository
    with TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", base, environment=index)
        for name, content in files.items():
            blob = git("hash-object", "-w", "--stdin", content=content)
            git("update-index", "--add", "--cacheinfo", f"100644,{blob},{prefix}{name}", environment=index)
        tree = git("write-tree", environment=index)
    second = git("commit-tree", "-p", head, "-m", "index", f"{head}^{{tree}}", environment=AUTHOR)
    return git("commit-tree", "-p", head, "-p", second, "-m", message, tree, environment=AUTHOR)


def has_params(commit: str, experiment: Experiment) -> bool:
    """Whether a commit has the params of the experiment, except for sections that change no number."""
    return _read_params(commit) == relevant(experiment.params)


@cache
def has_code(commit: str, base: str) -> bool:
    """Whether two commits have the same code."""
    return not git("diff", "--name-only", commit, base, "--", *code_paths())


def code_hashes(base: str) -> str:
    """The paths of `code_paths` at a commit, with the hash of each."""
    return git("ls-tree", base, "--", *code_paths())


def code_paths() -> Iterator[str]:
    """Files and folders of code that the numbers of a study depend on: dependencies in dvc.yaml without data."""
    stages = yaml.safe_load((workspace.root() / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name, stage in stages.items():
        if name not in IGNORED_STAGES:
            yield from (dep for dep in stage.get("do", stage).get("deps", ()) if not dep.startswith(("data/", "$")))


def relevant(params: dict[str, Any]) -> dict[str, Any]:
    """The sections of all params that change a number of a study."""
    return {name: section for name, section in params.items() if name not in IGNORED_SECTIONS}


@cache  # a study asks at every poll
def _read_params(commit: str) -> dict[str, Any] | None:
    """The relevant params of a commit; None if another version of the program wrote them."""
    try:
        raw = yaml.safe_load(git("show", f"{commit}:./{PARAMS_FILE}"))
        return relevant(schema.load(raw).model_dump(mode="json"))
    except (MelismaError, yaml.YAMLError):
        return None
