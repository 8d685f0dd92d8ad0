"""References to trainings and sources, from the workspace and from every commit and experiment in Git.

dvc.lock names the models of a commit, and DVC's cache has their files: config.json has the fingerprint of a training.
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
MODEL = re.compile(r"- path: data/(model|vocoder)s/(\S+)\n(?: +hash: md5\n)? +md5: ([0-9a-f]{32}\.dir)\n")
QUEUE_REFS = "refs/exps/stash", "refs/exps/celery/stash", "refs/exps/celery/failed"
# Without DVC's notes of the last experiment, which stay after the experiment is removed.
ALL_REFS = "--exclude=refs/exps/exec/*", "--all"


@dataclass
class References:
    """Everything to which the workspace, commits and experiments refer."""

    fingerprints: set[str] = field(default_factory=set)  # fingerprints of trainings
    # Variants with a model that DVC's cache lacks: its training is unknown.
    incomplete_variants: set[str] = field(default_factory=set)
    sources: list[SourceConfig] = field(default_factory=list)  # source of every params.yaml
    has_queued: bool = False  # an experiment is queued or has failed, and may resume its trainings


def collect_references(cache: Path) -> References:
    """The references of the project in the current folder.

    Args:
        cache: the folder files/md5 of DVC's cache.

    Raises:
        MelismaError: Git fails, so nothing is known to be unused.
        DataError: a config.json in data/models is damaged.
    """
    references = References(has_queued=any(git("for-each-ref", ref) for ref in QUEUE_REFS))
    files = [*workspace.MODELS.glob("*/seed-*/config.json"), *workspace.VOCODERS.glob("*/training/config.json")]
    contents = [artefacts.read_json(file) for file in files]
    locks = [*_versions(LOCK_FILE), Path(LOCK_FILE).read_text(encoding="utf-8") if Path(LOCK_FILE).is_file() else ""]
    for kind, name, digest in {model for text in locks for model in MODEL.findall(text)}:
        try:
            entries = [entry for entry in _read_json(cache, digest) if entry["relpath"].endswith("config.json")]
            contents += [_read_json(cache, entry["md5"]) for entry in entries]
        except FileNotFoundError:
            references.incomplete_variants.add(name if kind == "model" else f"vocoder-{name}")
    references.fingerprints |= {content["fingerprint"] for content in contents if "fingerprint" in content}
    for text in [*_versions(str(PARAMS_FILE)), PARAMS_FILE.read_text(encoding="utf-8")]:
        with contextlib.suppress(yaml.YAMLError, ParamsError, AttributeError):  # a commit may have any content
            raw = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            references.sources.append(validate(SourceConfig, raw.get("source") or {}, "source"))
    return references


def _read_json(cache: Path, digest: str) -> Any:
    """The content of a JSON file in DVC's cache, or the list of files in a folder."""
    return json.loads((cache / digest[:2] / digest[2:]).read_text())


def _versions(file: str) -> Iterator[str]:
    """The contents of a file in all commits of branches, tags, remotes, stashes, worktrees and DVC experiments."""
    stashes = git("stash", "list", "--format=%H").split()  # --all has only the newest stash
    objects = git("rev-list", *ALL_REFS, *stashes, "--full-history", "--objects", "--", file)
    for line in objects.splitlines():
        if line.endswith(file):
            yield git("cat-file", "blob", line.split(" ", 1)[0]) + "\n"
