"""Download uv from PyPI into a folder of the project: `python tools/get_uv.py .uv` makes .uv/bin/uv.

It needs only the standard library, and installs nothing into this Python. So it also works with a Python that refuses
global installs (PEP 668), or that has no pip, venv or ensurepip: pip's wheel runs as a program.
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
    """The requirement on uv from pyproject.toml, as pip takes it."""
    return "uv" + str(tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["uv"]["required-version"])


def run(*command: str | Path) -> None:
    """Run a command without output; RuntimeError with its last line of output if it fails."""
    # Override settings of the user: to install for the user, or only into a virtual environment.
    pip = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    result = subprocess.run(command, env=os.environ | pip, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if result.returncode:
        lines = (result.stderr.strip() or result.stdout.strip() or f"exit code {result.returncode}").splitlines()
        raise RuntimeError(lines[-1])


def by_pip(folder: Path, pip: tuple[str, ...] = ("-m", "pip")) -> None:
    """Install uv into `folder` with this Python's pip, or with the arguments `pip` of this Python."""
    run(sys.executable, *pip, "install", "--only-binary", ":all:", "--target", folder, requirement())


def by_venv(folder: Path) -> None:
    """Make `folder` a virtual environment, whose own pip installs uv."""
    run(sys.executable, "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "--only-binary", ":all:", requirement())


def by_wheel(folder: Path) -> None:
    """Download pip's wheel from PyPI, check it, and run it to install uv into `folder`."""
    with urllib.request.urlopen(PIP_INDEX, timeout=60) as response:
        wheels = [file for file in json.load(response)["urls"] if file["packagetype"] == "bdist_wheel"]
    wheel = wheels[0]  # pip has one wheel for all platforms
    address = urllib.parse.urljoin(PIP_INDEX, wheel["url"])  # a mirror may give a relative address
    with urllib.request.urlopen(address, timeout=60) as response:
        content = response.read()
    if hashlib.sha256(content).hexdigest() != wheel["digests"]["sha256"]:
        raise RuntimeError(f"{address} does not have the checksum that PyPI gives")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / wheel["filename"]
        path.write_bytes(content)
        by_pip(folder, pip=(f"{path}/pip",))  # a wheel is a zip file, and Python can run a package in it


def main(folder: Path) -> None:
    """Try each way in turn, in a temporary folder. It becomes `folder` if its uv runs."""
    print(f"uv is not on PATH, or too old: downloading it from PyPI into {folder}", flush=True)
    partial = folder.with_name(folder.name + ".partial")
    failures = []
    for name, install in (("pip", by_pip), ("venv", by_venv), ("pip's wheel", by_wheel)):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            install(partial)
            run(partial / "bin" / "uv", "--version")
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
            return
        except (OSError, RuntimeError, ValueError, LookupError) as error:  # the last two: an unknown answer of PyPI
            failures.append(f"{name}: {error}")
    shutil.rmtree(partial, ignore_errors=True)
    sys.exit(f"error: cannot download uv from PyPI ({'; '.join(failures)}); check the network, or install uv by hand")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
