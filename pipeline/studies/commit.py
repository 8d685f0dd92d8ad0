"""The Git commit that an experiment runs from. It is built from Git objects; no file of the working tree changes.

`dvc exp run --queue -S` writes the params into params.yaml, stashes all changes and restores them. If it is killed
meanwhile, the user's edits stay in a stash.
"""

import os
import pickle
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.core.params import PARAMS_FILE
from pipeline.studies.study import Experiment, apply_changes, load_study

LOCK_FILE = Path("dvc.lock")
ARGUMENTS_FILE = ".dvc/tmp/repro.dat"  # where DVC reads what to reproduce
AUTHOR = {  # only DVC sees these commits, so the user needs no Git name
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "melisma"), ("EMAIL", "melisma@localhost"))
}


def git(*arguments: str, content: bytes | None = None, environment: dict[str, str] | None = None) -> str:
    """The output of a Git command in this project; a file in it may have bytes that are not UTF-8.

    Raises:
        MelismaError: it failed, or Git is not installed.
    """
    variables, folder = os.environ | (environment or {}), workspace.root()
    try:
        result = subprocess.run(
            ["git", *arguments], cwd=folder, env=variables, input=content, capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.decode(errors="replace") if isinstance(error, subprocess.CalledProcessError) else error
        raise MelismaError(f"git {arguments[0]} failed: {str(reason).strip()}") from error
    return result.stdout.decode(errors="replace").rstrip()


def snapshot() -> str:
    """A commit of all tracked files as they are now; HEAD if none has changed."""
    return git("stash", "create", environment=AUTHOR) or git("rev-parse", "HEAD")


def untracked_code() -> list[str]:
    """Python files that Git does not track, so that no snapshot has them."""
    files = git("ls-files", "--others", "--exclude-standard", "--", "pipeline", "stages").splitlines()
    return [file for file in files if file.endswith(".py")]


def create_stash(experiment: Experiment, base: str, head: str, message: str) -> str:
    """A commit in the form of a stash of DVC: `base` with the experiment's params.

    Args:
        base: a commit from `snapshot`.
        head: the HEAD commit of that time.
        message: what DVC expects in its list of stashes.
    """
    run_env = {"DVC_EXP_BASELINE_REV": head, "DVC_EXP_NAME": experiment.full_name, "DVC_ROOT": str(workspace.root())}
    arguments: dict[str, Any] = {"args": (), "kwargs": {"targets": [], "run_env": run_env}}
    files = {str(PARAMS_FILE): _params_text(experiment).encode(), ARGUMENTS_FILE: pickle.dumps(arguments)}
    if LOCK_FILE.is_file():  # tells DVC which stages are up to date, even if Git does not track the file
        files[str(LOCK_FILE)] = LOCK_FILE.read_bytes()
    index = git("commit-tree", "-p", head, "-m", "index", f"{head}^{{tree}}", environment=AUTHOR)
    return git("commit-tree", "-p", head, "-p", index, "-m", message, _tree(base, files), environment=AUTHOR)


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
