"""What an experiment is run from: a commit made beside the working tree, of which no file is ever changed.

`dvc exp run --queue -S` writes the params into params.yaml, stashes all changes and takes them back. Killed on the way,
it would leave the user's own edits in a stash. So the same commit is made here from Git's objects alone.
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
from pipeline.studies.study import Experiment, apply, load

LOCK = Path("dvc.lock")
ARGUMENTS = ".dvc/tmp/repro.dat"  # where DVC looks for what to reproduce
NOBODY = {  # these commits are for DVC alone, so nobody has to be known to Git
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "melisma"), ("EMAIL", "melisma@localhost"))
}


def git(*arguments: str, content: bytes | None = None, environment: dict[str, str] | None = None) -> str:
    """What a Git command printed in this project.

    Raises:
        MelismaError: it failed.
    """
    done = subprocess.run(
        ["git", *arguments],
        cwd=workspace.root(),
        env=os.environ | (environment or {}),
        input=content,
        capture_output=True,
    )
    if done.returncode:
        raise MelismaError(f"git {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode().strip()


def base() -> str:
    """A commit of all tracked files as they are now; HEAD where nothing was changed."""
    return git("stash", "create", environment=NOBODY) or git("rev-parse", "HEAD")


def untracked() -> list[str]:
    """Files of code that Git does not track, and which no such commit holds."""
    found = git("ls-files", "--others", "--exclude-standard", "--", "pipeline", "stages").splitlines()
    return [file for file in found if file.endswith(".py")]


def text(experiment: Experiment) -> str:
    """The base's file as the experiment changes it, with the comments of what it leaves as it is."""
    from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

    content = experiment.base.read_text(encoding="utf-8")
    changed = apply(load(experiment.study), experiment.settings, parse_yaml_for_update(content, experiment.base))
    return str(dumps_yaml(changed))


def stash(experiment: Experiment, changed: str, head: str, message: str) -> str:
    """A commit that DVC takes for a stashed experiment on top of `head`: `changed` with the experiment's params.

    Args:
        experiment: whose params.
        changed: from `base`.
        head: the commit that `changed` was made on.
        message: that DVC expects in its list of stashes.
    """
    run_env = {"DVC_EXP_BASELINE_REV": head, "DVC_EXP_NAME": experiment.full, "DVC_ROOT": str(workspace.root())}
    arguments: dict[str, Any] = {"args": (), "kwargs": {"targets": [], "run_env": run_env}}
    files = {str(PARAMS_FILE): text(experiment).encode(), ARGUMENTS: pickle.dumps(arguments)}
    if LOCK.is_file():  # so that it is known what is up to date, also where the file is not in Git
        files[str(LOCK)] = LOCK.read_bytes()
    unchanged = git("commit-tree", "-p", head, "-m", "index", f"{head}^{{tree}}", environment=NOBODY)
    return git("commit-tree", "-p", head, "-p", unchanged, "-m", message, _tree(changed, files), environment=NOBODY)


def _tree(start: str, files: dict[str, bytes]) -> str:
    """The tree of a commit with other contents of some files."""
    below = git("rev-parse", "--show-prefix")  # the project may be a folder of a larger repository
    with TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git("read-tree", start, environment=index)
        for name, content in files.items():
            blob = git("hash-object", "-w", "--stdin", content=content)
            git("update-index", "--add", "--cacheinfo", f"100644,{blob},{below}{name}", environment=index)
        return git("write-tree", environment=index)
