"""What results the workspace, and every commit and experiment in Git, refer to.

dvc.lock names the results of a commit, DVC's cache has them, and run.json in them says which training and which run of
MLflow made them.
"""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.core import workspace
from pipeline.core.errors import MelismaError, ParamsError
from pipeline.core.params import PARAMS_FILE, validate
from pipeline.sources.config import SourceConfig

LOCK = "dvc.lock"
# An output or dependency, as DVC writes it. Reading all of a long dvc.lock as YAML takes seconds, for each commit.
RESULT = re.compile(r"- path: data/(?:models|evaluation)/(\S+)\n(?: +hash: md5\n)? +md5: ([0-9a-f]{32}\.dir)\n")
WAITING = "refs/exps/stash", "refs/exps/celery/stash", "refs/exps/celery/failed"


@dataclass
class References:
    """All that is referred to."""

    fingerprints: set[str] = field(default_factory=set)  # of trainings
    runs: set[str] = field(default_factory=set)  # ids in MLflow
    # Variants some results of which DVC's cache has not: which trainings and runs these are of is not known here.
    lacking: set[str] = field(default_factory=set)
    sources: list[SourceConfig] = field(default_factory=list)  # of every params.yaml
    waits: bool = False  # whether experiments are queued or have failed, and may go on with what they began

    def add(self, identity: Any) -> None:
        """What a run.json holds: a run, or a list of them."""
        for each in identity if isinstance(identity, list) else [identity]:
            self.fingerprints.add(each["fingerprint"])
            self.runs |= {each["run_id"]} - {None}


def collect(cache: Path) -> References:
    """The references of the project in the current folder.

    Args:
        cache: DVC's, the folder `files/md5` of it.

    Raises:
        MelismaError: Git does not answer: then nothing is known to be unused.
    """
    found = References(waits=any(_git("for-each-ref", name) for name in WAITING))
    for pattern in ("models/*/seed-*/run.json", "evaluation/*/run.json"):
        for file in workspace.DATA.glob(pattern):
            found.add(workspace.read_json(file))
    locks = [*_versions(LOCK), Path(LOCK).read_text(encoding="utf-8") if Path(LOCK).is_file() else ""]
    for variant, digest in {result for text in locks for result in RESULT.findall(text)}:
        identities = list(_identities(cache, digest))
        if None not in identities:
            for identity in identities:
                found.add(identity)
        else:
            found.lacking.add(variant)
    for text in [*_versions(str(PARAMS_FILE)), PARAMS_FILE.read_text(encoding="utf-8")]:
        with contextlib.suppress(yaml.YAMLError, ParamsError, AttributeError):  # a commit may hold anything
            raw = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            found.sources.append(validate(SourceConfig, raw.get("source") or {}, "source"))
    return found


def _identities(cache: Path, digest: str) -> Iterator[Any]:
    """What every run.json in a folder that DVC keeps holds; None for what its cache has not."""
    try:
        for entry in json.loads(_kept(cache, digest).read_text()):
            if entry["relpath"].rsplit("/", 1)[-1] == "run.json":
                yield json.loads(_kept(cache, entry["md5"]).read_text())
    except FileNotFoundError:
        yield None


def _kept(cache: Path, digest: str) -> Path:
    return cache / digest[:2] / digest[2:]


def _versions(file: str) -> Iterator[str]:
    """A file as every commit has it that a branch, tag, remote, stash, worktree or experiment of DVC leads to."""
    # DVC's notes of what it runs name the last experiment even when that was removed.
    every = ("--exclude=refs/exps/exec/*", "--all")
    stashes = _git("stash", "list", "--format=%H").split()  # of which --all has the newest alone
    listed = _git("rev-list", *every, *stashes, "--full-history", "--objects", "--", file)
    blobs = [line.split(" ", 1)[0] for line in listed.splitlines() if line.endswith(file)]
    for blob in blobs:
        yield _git("cat-file", "blob", blob)


def _git(*arguments: str) -> str:
    try:
        # A commit may hold anything, also text that is not UTF-8.
        done = subprocess.run(["git", *arguments], capture_output=True, encoding="utf-8", errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()
        raise MelismaError(
            f"Git does not say what refers to results ({said}), so nothing can be called unused"
        ) from error
    return done.stdout
