"""What a run says of where it comes from. Asked by the stage, when it is so: it may be sent much later."""

import getpass
import os
import subprocess
from typing import Any

from pipeline.core import workspace

OF_EXPERIMENT = {"dvc.exp_name": "DVC_EXP_NAME", "dvc.exp_baseline_rev": "DVC_EXP_BASELINE_REV"}
Identity = dict[str, Any]  # run.json: variant, seed, fingerprint, data, and run_id (None where nothing was recorded)


def label(identity: Identity) -> str:
    """What a run is of: <variant>-seed<n>, or report, whose identity has a fingerprint alone."""
    return f"{identity['variant']}-seed{identity['seed']}" if "variant" in identity else "report"


def name(identity: Identity, tags: dict[str, str]) -> str:
    """The name of a run."""
    return "-".join([label(identity), *filter(None, [tags.get("dvc.exp_name")])])


def tags(identity: Identity, stage: str) -> dict[str, str]:
    """Tags of a run that `stage` opens; those of an experiment only where DVC runs one."""
    known: dict[str, str] = {
        key: str(identity[key]) for key in ("variant", "seed", "fingerprint", "data") if key in identity
    }
    return {
        **known,
        **_user(),
        "dvc.stage": stage,
        **{tag: os.environ[key] for tag, key in OF_EXPERIMENT.items() if os.environ.get(key)},
        "mlflow.source.name": f"stages/{stage}.py",
        **_code(),
        "mlflow.note.content": _note(identity),
    }


def _user() -> dict[str, str]:
    try:
        return {"mlflow.user": getpass.getuser()}
    except (KeyError, OSError):  # a container may run as a number without a name
        return {}


def _code() -> dict[str, str]:
    """The commit, and whether files were changed since; nothing where there is no commit."""
    commit = _git("rev-parse", "--verify", "HEAD")
    dirty = str(bool(_git("status", "--porcelain", "--untracked-files=no"))).lower()
    return {"mlflow.source.git.commit": commit, "git.commit": commit, "git.dirty": dirty} if commit else {}


def _note(identity: Identity) -> str:
    """What the page of the run says first."""
    if "variant" not in identity:
        return "All variants of params.yaml side by side: open `report/index.html` below *Artifacts*."
    return (
        f"Variant `{identity['variant']}`, seed {identity['seed']}. *Model metrics*: losses by step and epoch, results "
        "on the test split, pictures over the epochs (in full screen). *Artifacts*: `figures/`, and audio to listen to."
    )


def _git(*arguments: str) -> str:
    try:
        result = subprocess.run(["git", *arguments], cwd=workspace.root(), capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.strip()
