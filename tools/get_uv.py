"""Bring uv from PyPI into a folder of the project: `python tools/get_uv.py .uv` makes .uv/bin/uv.

Runs with the standard library alone. A Python that refuses global installs (PEP 668) is no obstacle, since nothing is
installed into it; neither is one that lacks pip, venv or ensurepip, since pip's own wheel can be run as a program.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import urllib.parse
import urllib.request
from pathlib import Path

PIP_INDEX = "https://pypi.org/pypi/pip/json"
PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def requirement() -> str:
    """uv in the versions that pyproject.toml accepts, as pip takes it."""
    return "uv" + str(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["uv"]["required-version"])


def run(*command: str | Path) -> None:
    """Run a command in silence.

    Raises:
        RuntimeError: it failed; the message is the last line that it printed.
    """
    # A user's pip may be set to install for the user, or to refuse work outside a virtual environment.
    settings = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        printed = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise RuntimeError(printed[-1])


def by_pip(folder: Path, pip: tuple[str, ...] = ("-m", "pip")) -> None:
    """Install uv into `folder` with this Python's pip, or with another `pip` that this Python can run.

    Raises:
        RuntimeError: pip is missing or failed.
    """
    run(sys.executable, *pip, "install", "--only-binary", ":all:", "--target", folder, requirement())


def by_venv(folder: Path) -> None:
    """Make `folder` a virtual environment with a pip of its own, which installs uv.

    Raises:
        RuntimeError: venv or ensurepip is missing, or pip failed.
    """
    run(sys.executable, "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "--only-binary", ":all:", requirement())


def by_wheel(folder: Path) -> None:
    """Fetch pip's wheel from PyPI, check it, and run it from there.

    Raises:
        RuntimeError: the wheel is not what PyPI says it is, or pip failed.
        OSError: PyPI cannot be reached.
        ValueError, LookupError: it answers something else than expected.
    """
    with urllib.request.urlopen(PIP_INDEX, timeout=60) as answer:
        wheels = [file for file in json.load(answer)["urls"] if file["packagetype"] == "bdist_wheel"]
    wheel = wheels[0]  # pip has one, for every platform
    address = urllib.parse.urljoin(PIP_INDEX, wheel["url"])  # a mirror may name files relative to itself
    with urllib.request.urlopen(address, timeout=60) as answer:
        content = answer.read()
    if hashlib.sha256(content).hexdigest() != wheel["digests"]["sha256"]:
        raise RuntimeError(f"{address} does not have the checksum that PyPI names")
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / wheel["filename"]
        path.write_bytes(content)
        by_pip(folder, pip=(f"{path}/pip",))  # Python runs a package straight from a wheel, which is a zip file


def main(folder: Path) -> None:
    """Try each way in turn, into a folder that takes its place only when it holds a uv that runs."""
    print(f"uv is not on PATH, or too old: bringing it from PyPI into {folder}", flush=True)
    partial = folder.with_name(folder.name + ".partial")
    failures = []
    for name, way in (("pip", by_pip), ("venv", by_venv), ("pip's wheel", by_wheel)):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            way(partial)
            run(partial / "bin" / "uv", "--version")
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
            return
        except (OSError, RuntimeError, ValueError, LookupError) as error:
            failures.append(f"{name}: {error}")
    shutil.rmtree(partial, ignore_errors=True)
    sys.exit(f"error: cannot bring uv from PyPI ({'; '.join(failures)}); check the network, or install uv by hand")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
