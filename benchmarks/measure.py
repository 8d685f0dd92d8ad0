"""Measure two things in turn, and print all comparisons as one table."""

import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Row:
    """One comparison. Seconds are medians over the rounds."""

    what: str
    ours: float
    reference: str
    theirs: float
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """How many times as much the reference takes."""
        return self.theirs / self.ours


def compare(
    what: str, ours: Callable[[], object], reference: str, theirs: Callable[[], object], rounds: int = 5
) -> Row:
    """Run ours and the reference in turn: one round to warm up, then `rounds` rounds."""
    times: tuple[list[float], list[float]] = ([], [])
    for round_number in range(rounds + 1):
        for seconds, function in zip(times, (ours, theirs), strict=True):
            start = time.perf_counter()
            function()
            if round_number:
                seconds.append(time.perf_counter() - start)
    return Row(what, statistics.median(times[0]), reference, statistics.median(times[1]))


def table(rows: Iterable[Row]) -> Iterator[str]:
    """The lines of a Markdown table, each as soon as its row comes."""
    yield from ("| what | ours | reference | its value | ratio |", "|---|---:|---|---:|---:|")
    for row in rows:
        digits = 3 if row.unit == "s" else 0
        ours, theirs = (f"{value:,.{digits}f} {row.unit}" for value in (row.ours, row.theirs))
        yield f"| {row.what} | {ours} | {row.reference} | {theirs} | {row.ratio:.2f} |"


def project_environment(folder: Path) -> dict[str, str]:
    """The variables for processes of a project of its own in `folder`: MLflow's store is that of the project."""
    kept = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return kept | {"PYTHONPATH": str(folder), "DVC_ROOT": str(folder)}


def run_module(module: str, *arguments: str) -> str:
    """Run a module as a program in a new process; the last line that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return printed.splitlines()[-1]


def peak_memory() -> float:
    """Peak memory of this process in MB. (On Linux, `ru_maxrss` of a new process starts at its parent's value.)"""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts bytes
