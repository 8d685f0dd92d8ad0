"""What the results were made with: the git commit and the versions of the packages."""

import platform
import subprocess
from importlib import metadata

PACKAGES = ("melisma", "torch", "torchaudio", "numpy", "scipy", "scikit-learn", "librosa", "soxr", "soundfile",
            "matplotlib", "pyarrow", "dvc", "mlflow")  # fmt: skip


def commit() -> str | None:
    """The git commit of the current folder, marked where files differ from it; None outside a repository."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip().replace("-dirty", " with uncommitted changes")


def versions() -> list[tuple[str, str]]:
    """Python, the system, and the packages that decide results; one that is not installed says so."""
    found = [("Python", platform.python_version()), ("System", f"{platform.system()} {platform.machine()}")]
    for package in PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            found.append((package, "not installed"))
    return found
