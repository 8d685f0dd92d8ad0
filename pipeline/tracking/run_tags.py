"""Tags that say where a run comes from."""

import getpass
import os
from collections.abc import Mapping
from typing import Any

from pipeline.core.errors import MelismaError
from pipeline.core.git import git

DVC_TAGS = {"dvc.exp_name": "DVC_EXP_NAME", "dvc.exp_baseline_rev": "DVC_EXP_BASELINE_REV"}
Identity = Mapping[str, Any]  # variant, seed, fingerprint (of the training) and data (the fingerprint of its data)


def label(identity: Identity) -> str:
    """<variant>-seed<n>, or "report", whose identity has only a fingerprint."""
    return f"{identity['variant']}-seed{identity['seed']}" if "variant" in identity else "report"


def run_name(identity: Identity, tags: Mapping[str, str | None]) -> str:
    """The label, and the name of the DVC experiment if there is one."""
    return "-".join([label(identity), *filter(None, [tags.get("dvc.exp_name")])])


def tags(identity: Identity, stage: str) -> dict[str, str | None]:
    """Tags of a run that `stage` opens; None for those that an earlier attempt may have had."""
    return {
        **{key: str(identity[key]) for key in ("variant", "seed", "fingerprint", "data") if key in identity},
        **_user_tag(),
        "dvc.stage": stage,
        **{tag: os.environ.get(name) or None for tag, name in DVC_TAGS.items()},
        "mlflow.source.name": f"stages/{stage}.py",
        **_git_tags(),
        "mlflow.note.content": _description(identity),
    }


def _user_tag() -> dict[str, str]:
    try:
        return {"mlflow.user": getpass.getuser()}
    except (KeyError, OSError):  # a container's user may have a number but no name
        return {}


def _git_tags() -> dict[str, str]:
    """The commit, and whether tracked files have changed since; empty without a commit."""
    try:
        commit = git("rev-parse", "--verify", "HEAD")
        is_dirty = bool(git("status", "--porcelain", "--untracked-files=no"))
    except MelismaError:
        return {}
    return {"mlflow.source.git.commit": commit, "git.commit": commit, "git.dirty": str(is_dirty).lower()}


def _description(identity: Identity) -> str:
    """The text at the top of the run's page."""
    if "variant" not in identity:
        return "All variants of params.yaml side by side: open `report/index.html` below *Artifacts*."
    if identity["variant"].startswith("vocoder-"):
        return f"`{identity['variant']}` turns mels into audio. *Model metrics*: losses by step and epoch."
    return (
        f"Variant `{identity['variant']}`, seed {identity['seed']}. *Model metrics*: losses by step and epoch, results "
        "on the test split, pictures over the epochs (in full screen). *Artifacts*: `figures/`, and audio to listen to."
    )
