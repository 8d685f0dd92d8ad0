"""The default study of the last commit, from an empty data/, by `dvc repro` and by `melisma repro`."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.measure import ROOT, Row, project_environment

SERIAL, SIDE_BY_SIDE = ("dvc", "repro"), ("melisma", "repro")
BUSY = "while True: pass"
BETWEEN = "DVC between stages"


def measure(folder: Path, *command: str) -> Counter[str]:
    """Build the project in `folder`: seconds of the build ("all"), and of `dvc repro` in the kinds of stages.

    A stage ends when DVC has stored its outputs. What DVC does before the next one is `BETWEEN`.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = project_environment(folder) | {"PATH": path, "PYTHONUNBUFFERED": "1"}
    seconds: Counter[str] = Counter()
    start = last = time.perf_counter()
    kind = BETWEEN
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=-1, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            now = time.perf_counter()
            if line.startswith("> sh stages/python -m stages."):
                seconds[kind] += now - last
                kind, last = line.split()[4].removeprefix("stages."), now
            elif line.startswith(("Generating lock file", "Updating lock file")):
                seconds[kind] += now - last
                kind, last = BETWEEN, now
    seconds[kind] += time.perf_counter() - last
    seconds["all"] = time.perf_counter() - start
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return seconds


def rows() -> list[Row]:
    """Three builds, one after the other, and the parts of the serial one."""
    with tempfile.TemporaryDirectory() as name:
        for clone in ("serial", "side_by_side", "busy"):
            subprocess.run(["git", "clone", "-q", str(ROOT), f"{name}/{clone}"], check=True)
        serial = measure(Path(name, "serial"), *SERIAL)
        alone = measure(Path(name, "side_by_side"), *SIDE_BY_SIDE)["all"]
        with subprocess.Popen([sys.executable, "-c", BUSY]) as busy:
            try:
                beside = measure(Path(name, "busy"), *SIDE_BY_SIDE)["all"]
            finally:
                busy.kill()
    total = serial.pop("all")
    after = sum(serial[kind] for kind in ("evaluate", "figures", "report"))
    return [
        Row("`melisma repro`", alone, "`dvc repro`", total),
        Row("`melisma repro`", alone, "the same beside a program that keeps a core busy", beside),
        *(Row(f"{kind}, of `dvc repro`", value, "all of it", total) for kind, value in serial.most_common()),
        Row("evaluate, figures and report, of `dvc repro`", after, "train", serial["train"]),
    ]
