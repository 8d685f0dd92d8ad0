"""Measuring two things in turn, and the table that all benchmarks print."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One comparison: what ours and the reference take (of seconds, medians over the rounds)."""

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
    """Run ours and the reference in turn, once to warm up and then `rounds` times."""
    times: tuple[list[float], list[float]] = ([], [])
    for round_ in range(rounds + 1):
        for kept, function in zip(times, (ours, theirs), strict=True):
            began = time.perf_counter()
            function()
            if round_:
                kept.append(time.perf_counter() - began)
    return Row(what, statistics.median(times[0]), reference, statistics.median(times[1]))


def table(rows: list[Row]) -> str:
    """A Markdown table."""
    lines = ["| what | ours | reference | its value | ratio |", "|---|---:|---|---:|---:|"]
    for row in rows:
        digits = 3 if row.unit == "s" else 0
        ours, theirs = (f"{value:,.{digits}f} {row.unit}" for value in (row.ours, row.theirs))
        lines.append(f"| {row.what} | {ours} | {row.reference} | {theirs} | {row.ratio:.2f} |")
    return "\n".join(lines)
