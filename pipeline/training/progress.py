"""Show a training: a progress bar on a terminal; elsewhere a line now and then."""

import time
from typing import Protocol, Self

from tqdm import tqdm

from pipeline.core import workspace
from pipeline.training.history import History

SHOWN_TERMS = ("loss", "kl", "mse", "distance")
LINE_SECONDS, LINE_EPOCHS = 60.0, 5  # between two lines without a terminal; the first one counts


class Recorder(Protocol):
    """Records one training, for example as a run of MLflow."""

    def log_epoch(self, row: dict[str, float]) -> None:
        """Each row of history, with its timing; a resumed run first repeats the earlier ones, without timing."""

    def log_steps(self, first: int, rows: list[dict[str, float]]) -> None:
        """The terms of each step since the last call; `first` is the number of the first one, from 1.

        Each rank has the terms of its own share of the batches. A resumed run repeats the steps after its checkpoint.
        """


class Progress:
    """Shows a training, and passes its numbers to a recorder. Ranks other than 0 have no recorder and show nothing."""

    def __init__(self, name: str, epochs: int, batch_size: int, recorder: Recorder | None) -> None:
        self.name, self.epochs, self.batch_size, self.recorder = name, epochs, batch_size, recorder
        self.bar = tqdm(disable=True)  # hidden until the training starts

    def on_fit(self, components: int) -> None:
        """Say what takes time before the first step."""
        self._print(f"  fitting {components} components")

    def on_start(self, history: History, step: int, steps_per_epoch: int) -> None:
        """Show the bar, and log the epochs of earlier processes again, in case they were not recorded."""
        self.epoch, self.last_line = len(history), time.monotonic()
        self.bar = tqdm(
            total=self.epochs * steps_per_epoch * self.batch_size,
            initial=step * self.batch_size,
            desc=self.name,
            unit=" windows",
            unit_scale=True,
            dynamic_ncols=True,
            leave=False,
            disable=True if self.recorder is None else None,  # None: tqdm disables itself without a terminal
        )
        for row in history:
            self._log_epoch(row)
        self._set_title()
        if step:
            self._print(f"  going on after step {step}, in epoch {self.epoch + 1} of {self.epochs}")

    def on_step(self, terms: dict[str, float] | None) -> None:
        """Move the bar, and show the mean terms of the epoch so far if there are any."""
        self.bar.update(self.batch_size)
        if terms:
            summary = _summary(terms, "train")
            self.bar.set_postfix_str(summary, refresh=False)
            if self.bar.disable and self._is_line_due():
                self._print(f"  in epoch {self.epoch + 1} of {self.epochs}: {summary}")

    def on_step_terms(self, first: int, rows: list[dict[str, float]]) -> None:
        """See `Recorder.log_steps`."""
        if self.recorder is not None:
            self.recorder.log_steps(first, rows)

    def on_epoch(self, row: dict[str, float], timing: dict[str, float]) -> None:
        """Record and show a row of history; `timing` has seconds, windows_per_second and first_step_seconds."""
        self._log_epoch(row | timing)
        self.epoch += 1
        self._set_title()
        summary = _summary(row, "valid")
        self.bar.set_postfix_str(summary)
        if timing["first_step_seconds"] > 1:
            self._print(f"  the first step took {timing['first_step_seconds']:.1f} s")
        if row["skipped_steps"]:
            steps = f"{row['skipped_steps']:.0f} steps of epoch {self.epoch}"
            self._print(f"  {steps} were not finite: skipped; if this continues, lower train.learning_rate")
        is_due = self.epoch == 1 or self.epoch % LINE_EPOCHS == 0 or self._is_line_due()
        if self.epoch == self.epochs or (self.bar.disable and is_due):
            rate = f"{timing['windows_per_second']:.0f} windows/s"
            self._print(f"  epoch {self.epoch} of {self.epochs}: {summary}, {rate}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self.epoch < self.epochs:
            reason = "the validation loss did not improve (train.patience)"
            self._print(f"  ended after epoch {self.epoch} of {self.epochs}: {reason}")
        self.bar.close()

    def _log_epoch(self, row: dict[str, float]) -> None:
        if self.recorder is not None:
            self.recorder.log_epoch(row)

    def _set_title(self) -> None:
        self.bar.set_description(f"{self.name}, epoch {min(self.epoch + 1, self.epochs)}/{self.epochs}", refresh=False)

    def _is_line_due(self) -> bool:
        return time.monotonic() - self.last_line > LINE_SECONDS

    def _print(self, message: str) -> None:
        if self.recorder is not None:
            self.bar.clear()
            workspace.say(message)
        self.last_line = time.monotonic()


def _summary(row: dict[str, float], side: str) -> str:
    """The main terms of a row, of training ("train") or validation ("valid"), and the weight of the KL."""
    terms = {term: row[f"{side}_{term}"] for term in SHOWN_TERMS if f"{side}_{term}" in row} | {"beta": row["beta"]}
    if terms.get("kl") == 0:  # a vocoder has no latent
        del terms["kl"], terms["beta"]
    return ", ".join(f"{term} {value:.4g}" for term, value in terms.items())
