"""The Git commits of experiments: the start of an experiment, and DVC's commit of its result.

The start is built from Git objects, so no file of the working tree changes. `dvc exp run --queue -S` writes the params
into params.yaml, stashes all changes and restores them: if it is killed meanwhile, the user's edits stay in a stash.
"""

import pickle
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.core.git import git
from pipeline.core.params import PARAMS_FILE
from pipeline.schema import schema
from pipeline.studies.study import Experiment, apply_changes, load_study

LOCK_FILE = Path("dvc.lock")
REFS = "refs/exps"  # where DVC keeps the commits of experiments
IGNORED_SECTIONS = {"runtime", "cache", "tracking", "figures"}  # they change no number of a study
IGNORED_STAGES = ("figures", "report")
ARGUMENTS_FILE = ".dvc/tmp/repro.dat"  # DVC reads the arguments of the run from it
AUTHOR = {  # only DVC sees these commits, so the user needs no Git name
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "melisma"), ("EMAIL", "melisma@localhost"))
}


def snapshot() -> str:
    """A commit of all tracked files as they are now; HEAD if none has changed."""
    return git("stash", "create", environment=AUTHOR) or git("rev-parse", "HEAD")


def untracked_code() -> list[str]:
    """Python files that Git does not track, so that no snapshot has them."""
    files = git("ls-files", "--others", "--exclude-standard", "--", "pipeline", "stages").splitlines()
    return [file for file in files if file.endswith(".py")]


def create_stash(experiment: Experiment, base: str, head: str, message: str) -> str:
    """A commit in the form of a stash of DVC: `base`, which `snapshot` made on `head`, with the experiment's params."""
    run_env = {"DVC_EXP_BASELINE_REV": head, "DVC_EXP_NAME": experiment.full_name, "DVC_ROOT": str(workspace.root())}
    arguments: dict[str, Any] = {"args": (), "kwargs": {"targets": [], "run_env": run_env}}
    files = {str(PARAMS_FILE): _params_text(experiment).encode(), ARGUMENTS_FILE: pickle.dumps(arguments)}
    if LOCK_FILE.is_file():  # tells DVC which stages are up to date, even if Git does not track the file
        files[str(LOCK_FILE)] = LOCK_FILE.read_bytes()
    index = git("commit-tree", "-p", head, "-m", "index", f"{head}^{{tree}}", environment=AUTHOR)
    return git("commit-tree", "-p", head, "-p", index, "-m", message, _tree(base, files), environment=AUTHOR)


def find_completed(experiments: list[Experiment], base: str) -> dict[str, str]:
    """Name in the study -> commit of each completed experiment; `base` is from `snapshot`."""
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
    return _commit_params(commit) == _relevant(experiment.raw) and not git(
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
    stages = yaml.safe_load((workspace.root() / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name, stage in stages.items():
        if name not in IGNORED_STAGES:
            yield from (dep for dep in stage.get("do", stage).get("deps", ()) if not dep.startswith(("data/", "$")))


def _params_text(experiment: Experiment) -> str:
    """The base params file with the experiment's changes; the comments of unchanged lines stay."""
    from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

    text = experiment.base.read_text(encoding="utf-8")
    raw = parse_yaml_for_update(text, experiment.base)
    return str(dumps_yaml(apply_changes(load_study(experiment.study), experiment.settings, raw)))


def _tree(commit: str, files: dict[str, bytes]) -> str:
    """The tree of a commit with new contents for some files."""
    prefix = git("rev-parse", "--show-prefix")  # the project may be a folder of a larger repository
    with TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", commit, environment=index)
        for name, content in files.items():
            blob = git("hash-object", "-w", "--stdin", content=content)
            git("update-index", "--add", "--cacheinfo", f"100644,{blob},{prefix}{name}", environment=index)
        return git("write-tree", environment=index)


def _commit_params(commit: str) -> dict[str, Any] | None:
    try:
        return _relevant(yaml.safe_load(git("show", f"{commit}:./{PARAMS_FILE}")))
    except (MelismaError, yaml.YAMLError):  # another version of the program wrote it
        return None


def _relevant(raw: dict[str, Any]) -> dict[str, Any]:
    """All params that change numbers, with their defaults, as plain data."""
    return schema.load(raw).model_dump(mode="json", exclude=IGNORED_SECTIONS)
