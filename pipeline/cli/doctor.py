"""Command `doctor`: check whether this machine can run Melisma."""

import json
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from pipeline.cli.base import AsJson, app
from pipeline.core import workspace
from pipeline.core.errors import MelismaError, ParamsError
from pipeline.core.git import INIT_HINT

MIN_FREE_GIB = 2.0  # the default build takes less
REINSTALL = "run `make setup` in the project's folder"


@dataclass(frozen=True)
class Check:
    """The result of a check: details, and what to do if it failed."""

    name: str
    ok: bool
    detail: str
    fix: str | None = None


class CheckError(MelismaError):
    """A check failed; `fix` says what to do."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.fix = fix


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check this machine, and say how to repair what fails.

    Exit code 1 if a check failed.
    """
    os.chdir(workspace.root())
    checks = []
    for check in run_checks():
        checks.append(check)
        if not as_json:
            typer.echo(f"{'ok' if check.ok else 'FAILED':8}{check.name:8}{check.detail}")
            if check.fix:
                typer.echo(f"{'':16}-> {check.fix}")
    passed = all(check.ok for check in checks)
    if as_json:
        typer.echo(json.dumps({"ok": passed, "checks": [asdict(check) for check in checks]}, indent=2))
    raise typer.Exit(0 if passed else 1)


def run_checks() -> Iterator[Check]:
    """Run each check in turn; none of them raises."""
    for name, (check, fix) in CHECKS.items():
        try:
            yield Check(name, True, check())
        except CheckError as error:
            yield Check(name, False, str(error), error.fix)
        except Exception as error:  # any error of the library under test
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
            yield Check(name, False, f"{type(error).__name__}: {first_line}", fix)


def python() -> str:
    """The pinned packages exist for this Python."""
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info < (3, 14):
        raise CheckError(f"{version} at {sys.executable}; 3.11, 3.12 or 3.13 is needed", REINSTALL)
    return f"{version} at {sys.executable}"


def torch_pair() -> str:
    """Torch and torchaudio load together; torchaudio has no release for later versions of torch."""
    import torch
    import torchaudio

    return f"torch {torch.__version__}, torchaudio {torchaudio.__version__}"


def device() -> str:
    """The device of `runtime.device` exists and adds two numbers, and torch can use a GPU that is there."""
    import torch

    from pipeline.core.device import pick_device
    from pipeline.core.params import RuntimeConfig, read_section

    setting = read_section(RuntimeConfig, "runtime").device
    with warnings.catch_warnings(record=True) as caught:  # torch warns if the driver is too old
        warnings.simplefilter("always")
        has_cuda = torch.cuda.is_available()
    if not has_cuda and Path("/dev/nvidia0").exists() and "CUDA_VISIBLE_DEVICES" not in os.environ:
        reason = str(caught[0].message).splitlines()[0] if caught else "no reason given"
        raise CheckError(f"there is an NVIDIA GPU, but torch cannot use it: {reason}", "update the NVIDIA driver")
    try:
        found = pick_device(setting)
    except ParamsError as error:
        raise CheckError(str(error), "set runtime.device to auto") from error
    torch.ones(1, device=found).add(1).item()
    detail = torch.cuda.get_device_name(found) if found.type == "cuda" else f"{torch.get_num_threads()} threads"
    return f"{found} ({detail}), runtime.device is {setting}"


def dvc_cache() -> str:
    """DVC knows this project; the detail is how it links files from its cache."""
    from dvc.fs import generic
    from dvc.repo import Repo

    with Repo(str(workspace.root())) as repo:
        cache = repo.cache.local
        path = Path(cache.path)  # missing before the first run
        folder = next(p for p in (path, *path.parents) if p.is_dir())
        links = generic.test_links(cache.cache_types, cache.fs, str(folder), repo.fs, str(workspace.root() / "data"))
    if links[0] == "copy":
        return "copies, so every artefact is stored twice"
    return f"links by {links[0]}; `dvc checkout --relink` links what a run has just written"


def mlflow_store() -> str:
    """MLflow's store exists, or can be created, and takes runs."""
    from pipeline.tracking import store

    try:
        store.check()
    except MelismaError:
        raise
    except Exception as error:  # a database or a server fails in many ways
        raise CheckError(store.failure(error), store.remedy(error)) from error
    return store.without_password(store.tracking_uri())


def disk() -> str:
    """The default build fits on the disk."""
    free = shutil.disk_usage(workspace.project()).free / 2**30
    if free < MIN_FREE_GIB:
        detail = f"{free:.1f} GiB free, {MIN_FREE_GIB:.0f} are needed"
        raise CheckError(detail, "free some space; `melisma gc` lists what you can delete")
    return f"{free:.1f} GiB free"


# Each check returns details, or raises CheckError or any error of the library under test, which needs the second entry.
CHECKS: dict[str, tuple[Callable[[], str], str]] = {
    "python": (python, REINSTALL),
    "torch": (torch_pair, REINSTALL),
    "device": (device, "set runtime.device in params.yaml to cpu, or correct it"),
    "dvc": (dvc_cache, INIT_HINT),
    "mlflow": (mlflow_store, "correct params.yaml"),
    "disk": (disk, "check that the project's folder can be read"),
}
