"""What Melisma needs of a machine, checked by trying it."""

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.core import workspace
from pipeline.core.errors import MelismaError
from pipeline.core.params import RuntimeConfig, read_section

FREE_GIB = 2.0  # the default study keeps less than this
SET_UP = "run `make setup` in the project's folder"


@dataclass(frozen=True)
class Check:
    """The outcome of one check: what was found, and what to do if that is not good enough."""

    name: str
    ok: bool
    detail: str
    fix: str | None = None


class CheckError(MelismaError):
    """A check failed: what was found, and what to do."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.fix = fix


def run() -> Iterator[Check]:
    """Each check in turn; none of them raises."""
    for name, check in CHECKS.items():
        try:
            yield Check(name, True, check())
        except CheckError as error:
            yield Check(name, False, str(error), error.fix)
        except Exception as error:  # whatever the library under test throws is the finding
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            yield Check(name, False, f"{type(error).__name__}: {first}", FIXES[name])


def python() -> str:
    """The interpreter is one that the pinned packages exist for.

    Raises:
        CheckError: it is not.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info < (3, 14):
        raise CheckError(f"{version} at {sys.executable}; 3.11, 3.12 or 3.13 is needed", SET_UP)
    return f"{version} at {sys.executable}"


def torch_pair() -> str:
    """Torch and torchaudio load together; torchaudio has no release for later versions of torch.

    Raises:
        CheckError: they load, but are not the pair that was tested.
    """
    import torch
    import torchaudio

    pair = f"torch {torch.__version__}, torchaudio {torchaudio.__version__}"
    major, minor = map(int, torch.__version__.split(".")[:2])
    if not ((2, 11) <= (major, minor) < (2, 14) and torchaudio.__version__.startswith("2.11.")):
        raise CheckError(f"{pair}; torch 2.11 to 2.13 with torchaudio 2.11 is needed", SET_UP)
    return pair


def device() -> str:
    """What `runtime.device` asks for exists and can add two numbers.

    Raises:
        CheckError: it does not exist, or there is a GPU that `auto` would pass over.
        ParamsError: `runtime` in params.yaml is not valid.
    """
    import torch

    asked = read_section(RuntimeConfig, "runtime").device
    with warnings.catch_warnings(record=True) as said:  # torch warns of a driver that is too old
        warnings.simplefilter("always")
        cuda = torch.cuda.is_available()
    mps = torch.backends.mps.is_available()
    if not cuda and Path("/dev/nvidia0").exists() and "CUDA_VISIBLE_DEVICES" not in os.environ:
        why = str(said[0].message).splitlines()[0] if said else "no reason given"
        raise CheckError(f"there is an NVIDIA GPU, but torch cannot use it: {why}", "update the NVIDIA driver")
    found = "cuda" if cuda else "mps" if mps else "cpu"
    chosen = found if asked == "auto" else asked
    if chosen.split(":")[0] not in ("cpu", found) or (":" in chosen and int(chosen[5:]) >= torch.cuda.device_count()):
        raise CheckError(f"params.yaml asks for {asked}, but this machine has none", "set runtime.device to auto")
    torch.ones(1, device=chosen).add(1).item()
    name = torch.cuda.get_device_name(chosen) if chosen.startswith("cuda") else f"{torch.get_num_threads()} threads"
    return f"{chosen} ({name}), runtime.device is {asked}"


def dvc_cache() -> str:
    """DVC knows this project, and how it links files from its cache into the project."""
    from dvc.fs import generic
    from dvc.repo import Repo

    with Repo(str(workspace.root())) as repo:
        cache = repo.cache.local
        there = next(
            p for p in (Path(cache.path), *Path(cache.path).parents) if p.is_dir()
        )  # none before the first run
        links = generic.test_links(cache.cache_types, cache.fs, str(there), repo.fs, str(workspace.root() / "data"))
    if links[0] == "copy":
        return "copies, so every artefact is stored twice"
    return f"links by {links[0]}; `dvc checkout --relink` does so for what a run has just written"


def mlflow_store() -> str:
    """MLflow's store exists, or can be made, and answers.

    Raises:
        CheckError: it does not.
    """
    from pipeline.tracking import journal, store

    uri = store.tracking_uri()
    try:
        store.prepare()
    except Exception as error:
        fix = "start that server, or unset MLFLOW_TRACKING_URI" if store.served() else FIXES["mlflow"]
        raise CheckError(store.without_password(f"{uri}: {journal.reason(error)}"), fix) from error
    return store.without_password(uri)


def disk() -> str:
    """There is room for the default study.

    Raises:
        CheckError: there is not.
    """
    free = shutil.disk_usage(workspace.project()).free / 2**30
    if free < FREE_GIB:
        raise CheckError(
            f"{free:.1f} GiB free, {FREE_GIB:.0f} are needed", "free some space, or run `dvc gc --workspace`"
        )
    return f"{free:.1f} GiB free"


CHECKS: dict[str, Callable[[], str]] = {
    "python": python,
    "torch": torch_pair,
    "device": device,
    "dvc": dvc_cache,
    "mlflow": mlflow_store,
    "disk": disk,
}
FIXES = {  # for what a library throws
    "python": SET_UP,
    "torch": SET_UP,
    "device": "set runtime.device in params.yaml to cpu, or correct it",
    "dvc": "clone the project with Git, and run this from its folder",
    "mlflow": "check the permissions of mlflow.db, or move it away: the next run makes a new one",
    "disk": "check that the project's folder can be read",
}
