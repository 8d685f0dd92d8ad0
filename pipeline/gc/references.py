"""References to trainings, runs and sources, from the workspace and from every commit and experiment in Git.

dvc.lock names the results of a commit, and DVC's cache has them. Each result has a run.json with the fingerprint of its
training and the id of its MLflow run.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.core import artefacts, workspace
from pipeline.core.errors import ParamsError
from pipeline.core.git import git
from pipeline.core.params import PARAMS_FILE, validate
from pipeline.sources.config import SourceConfig

LOCK_FILE = "dvc.lock"
# An output or dependency in dvc.lock. A regular expression, since parsing a long file as YAML takes seconds per commit.
RESULT = re.compile(r"- path: data/(?:models|evaluation)/(\S+)\n(?: +hash: md5\n)? +md5: ([0-9a-f]{32}\.dir)\n")
QUEUE_REFS = "refs/exps/stash", "refs/exps/celery/stash", "refs/exps/celery/failed"
# Without DVC's notes of the last experiment, which stay after the experiment is removed.
ALL_REFS = "--exclude=refs/exps/exec/*", "--all"


@dataclass
class References:
    """Everything to which the workspace, commits and experiments refer."""

    fingerprints: set[str] = field(default_factory=set)  # fingerprints of trainings
    runs: set[str] = field(default_factory=set)  # MLflow ids
    # Variants with a result that DVC's cache lacks: its training and run are unknown.
    incomplete_variants: set[str] = field(default_factory=set)
    sources: list[SourceConfig] = field(default_factory=list)  # source of every params.yaml
    has_queued: bool = False  # an experiment is queued or has failed, and may resume its trainings

    def add(self, identities: Any) -> None:
        """Add the content of a run.json: a run, or a list of runs."""
        for identity in identities if isinstance(identities, list) else [identities]:
            self.fingerprints.add(identity["fingerprint"])
            self.runs |= {identity["run_id"]} - {None}


def collect_references(cache: Path) -> References:
    """The references of the project in the current folder.

    Args:
        cache: the folder files/md5 of DVC's cache.

    Raises:
        MelismaError: Git fails, so nothing is known to be unused.
        DataError: a run.json in data/ is damaged.
    """
    references = References(has_queued=any(git("for-each-ref", ref) for ref in QUEUE_REFS))
    for pattern in ("models/*/seed-*/run.json", "evaluation/*/run.json"):
        for file in workspace.DATA.glob(pattern):
            references.add(artefacts.read_json(file))
    locks = [*_versions(LOCK_FILE), Path(LOCK_FILE).read_text(encoding="utf-8") if Path(LOCK_FILE).is_file() else ""]
    for variant, digest in {result for text in locks for result in RESULT.findall(text)}:
        try:
            for identities in list(_identities(cache, digest)):
                references.add(identities)
        except FileNotFoundError:
            references.incomplete_variants.add(variant)
    for text in [*_versions(str(PARAMS_FILE)), PARAMS_FILE.read_text(encoding="utf-8")]:
        with contextlib.suppress(yaml.YAMLError, ParamsError, AttributeError):  # a commit may have any content
            raw = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            references.sources.append(validate(SourceConfig, raw.get("source") or {}, "source"))
    return references


def _identities(cache: Path, digest: str) -> Iterator[Any]:
    """The content of every run.json in a folder of DVC's cache; FileNotFoundError if the cache lacks one."""
    for entry in json.loads(_cache_file(cache, digest).read_text()):
        if entry["relpath"].rsplit("/", 1)[-1] == "run.json":
            yield json.loads(_cache_file(cache, entry["md5"]).read_text())


def _cache_file(cache: Path, digest: str) -> Path:
    return cache / digest[:2] / digest[2:]


def _versions(file: str) -> Iterator[str]:
    """The contents of a file in all commits of branches, tags, remotes, stashes, worktrees and DVC experiments."""
    stashes = git("stash", "list", "--format=%H").split()  # --all has only the newest stash
    objects = git("rev-list", *ALL_REFS, *stashes, "--full-history", "--objects", "--", file)
    for line in objects.splitlines():
        if line.endswith(file):
            yield git("cat-file", "blob", line.split(" ", 1)[0]) + "\n"
