"""How a training is shown: a live line on a terminal, elsewhere a line now and then."""

import time
from typing import Protocol, Self

from tqdm import tqdm

from pipeline.core import workspace
from pipeline.training.records import History

SHOWN = ("loss", "kl", "mse", "distance")
SECONDS, EPOCHS = 60.0, 5  # between two lines where there is no terminal: whichever is over first


class Log(Protocol):
    """What takes the numbers of a training."""

    def epoch(self, row: dict[str, float]) -> None:
        """Each row of history, at the start also those of an earlier process."""

    def steps(self, first: int, rows: list[dict[str, float]]) -> None:
        """See `loop.Watcher`."""


class Progress:
    """Follows one training.

    Args:
        name: what is trained.
        epochs: at most.
        windows: in a batch.
        log: takes its numbers; None on ranks other than 0, which show nothing either.
    """

    def __init__(self, name: str, epochs: int, windows: int, log: Log | None) -> None:
        self.name, self.epochs, self.windows, self.log = name, epochs, windows, log
        self.bar = tqdm(disable=True)  # until the training begins

    def begin(self, history: History, step: int, batches: int) -> None:
        """See `loop.Watcher`."""
        self.done, self.said = len(history), time.monotonic()
        self.bar = tqdm(
            total=self.epochs * batches * self.windows,
            initial=step * self.windows,
            desc=self.name,
            unit=" windows",
            unit_scale=True,
            dynamic_ncols=True,
            leave=False,
            disable=True if self.log is None else None,  # None: where there is no terminal
        )
        for row in history:  # so that none is missing where it was not logged
            self._log(row)
        self._describe()
        if step:
            self._say(f"  going on after step {step}, in epoch {self.done + 1} of {self.epochs}")

    def step(self, terms: dict[str, float] | None) -> None:
        """See `loop.Watcher`."""
        self.bar.update(self.windows)
        if terms:
            self.bar.set_postfix_str(_told(terms, "train"), refresh=False)
            if self.bar.disable and self._long_ago():
                self._say(f"  in epoch {self.done + 1} of {self.epochs}: {_told(terms, 'train')}")

    def steps(self, first: int, rows: list[dict[str, float]]) -> None:
        """See `loop.Watcher`."""
        if self.log is not None:
            self.log.steps(first, rows)

    def epoch(self, row: dict[str, float]) -> None:
        """See `loop.Watcher`."""
        self._log(row)
        self.done += 1
        self._describe()
        told = _told(row, "valid")
        self.bar.set_postfix_str(told)
        if row["first_step_seconds"] > 1:
            self._say(f"  the first step took {row['first_step_seconds']:.1f} s")
        if row["skipped_steps"]:
            self._say(f"  {row['skipped_steps']:.0f} steps of epoch {self.done} were not finite or exploded: skipped")
        now_and_then = self.done == 1 or self.done % EPOCHS == 0 or self._long_ago()
        if self.done == self.epochs or (self.bar.disable and now_and_then):
            self._say(f"  epoch {self.done} of {self.epochs}: {told}, {row['windows_per_second']:.0f} windows/s")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self.done < self.epochs:
            self._say(f"  ended after epoch {self.done} of {self.epochs}: the objective got no better (train.patience)")
        self.bar.close()

    def _log(self, row: dict[str, float]) -> None:
        if self.log is not None:
            self.log.epoch(row)

    def _describe(self) -> None:
        self.bar.set_description(f"{self.name}, epoch {min(self.done + 1, self.epochs)}/{self.epochs}", refresh=False)

    def _long_ago(self) -> bool:
        return time.monotonic() - self.said > SECONDS

    def _say(self, message: str) -> None:
        if self.log is not None:
            self.bar.clear()
            workspace.say(message)
        self.said = time.monotonic()


def _told(row: dict[str, float], side: str) -> str:
    """The main terms of a row, of training or validation, and the weight of the KL."""
    found = {term: row[f"{side}_{term}"] for term in SHOWN if f"{side}_{term}" in row}
    return ", ".join(f"{term} {value:.4g}" for term, value in (found | {"beta": row["beta"]}).items())
