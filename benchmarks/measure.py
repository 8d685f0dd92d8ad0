"""Measuring two things in turn, and the table that all benchmarks print."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One comparison: seconds of ours and of the reference, medians over the rounds."""

    what: str
    ours: float
    reference: str
    reference_seconds: float

    @property
    def ratio(self) -> float:
        """How many times as fast ours is."""
        return self.reference_seconds / self.ours


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
    lines = ["| what | ours, s | reference | reference, s | ratio |", "|---|---:|---|---:|---:|"]
    lines += [f"| {r.what} | {r.ours:.3f} | {r.reference} | {r.reference_seconds:.3f} | {r.ratio:.2f} |" for r in rows]
    return "\n".join(lines)
