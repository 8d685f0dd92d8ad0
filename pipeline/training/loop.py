"""The training loop: one for every variant, on one device or several."""

import signal
import time
from dataclasses import dataclass

from pipeline.core import distributed
from pipeline.core.errors import StoppedError
from pipeline.core.process import DeferredSignals
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.device import numerics
from pipeline.training.history import History, Snapshots
from pipeline.training.progress import Progress
from pipeline.training.trainer import Trainer

REPORT_STEPS = 25  # between two reports, each of which waits for the device
SIGNAL_STEPS = 10  # between two exchanges of signals among ranks


def fit(trainer: Trainer, progress: Progress, checkpoints: Checkpoints | None = None) -> tuple[History, Snapshots]:
    """Train the model in place, and leave it with the weights of the selected epoch (`selection`).

    With `checkpoints`, a training that is stopped at any moment continues with the same result to the last bit (on a
    GPU: if `train.deterministic`).

    Raises:
        TrainingError: a loss or the gradient is not finite for many steps in a row.
        StoppedError: a signal came; with checkpoints, the state is saved.
    """
    with numerics(trainer.config, trainer.device):
        state = checkpoints.load_latest() if checkpoints and distributed.rank() == 0 else None
        state = distributed.broadcast_object(state)
        if state is None:
            if trainer.model.components is not None:
                progress.on_fit(trainer.model.components.shape[0])
            trainer.prepare()
        else:
            trainer.load_state_dict(state)
        progress.on_start(trainer.history, trainer.step, trainer.steps_per_epoch)
        with DeferredSignals() as signals:
            loop = _Loop(trainer, progress, checkpoints, signals, trainer.step)
            while not trainer.is_done:
                loop.run_epoch()
    trainer.model.load_state_dict(trainer.selected_weights)
    return trainer.history, trainer.snapshots


@dataclass(frozen=True)
class _Loop:
    """The epochs of one training in this process, whose first step is number `first_step`."""

    trainer: Trainer
    progress: Progress
    checkpoints: Checkpoints | None
    signals: DeferredSignals
    first_step: int

    def run_epoch(self) -> None:
        """Train for the rest of the current epoch, and validate."""
        trainer, size = self.trainer, self.trainer.config.batch_size
        earlier_seconds, first_step_seconds = trainer.epoch_seconds, 0.0
        start_step, start = trainer.step, time.perf_counter()
        epoch, ranks = len(trainer.history) + 1, (distributed.rank(), distributed.world_size())
        trainer.step_model.train()
        for x, label in trainer.train_data.epoch(size, trainer.seed, epoch, trainer.steps_in_epoch, *ranks):
            trainer.train_step(x, label)
            if trainer.step == self.first_step + 1:  # it compiles, or tries kernels: timed apart
                first_step_seconds = trainer.synchronised_time() - start
            is_report = trainer.step % REPORT_STEPS == 0
            self.progress.on_step(trainer.mean_terms() if is_report else None)
            if is_report:
                self.report_steps()
            trainer.epoch_seconds = earlier_seconds + time.perf_counter() - start
            self.save_or_stop(exchange_signals=trainer.step % SIGNAL_STEPS == 0)
        train_terms, seconds = trainer.mean_terms(), trainer.synchronised_time() - start
        self.report_steps()
        row = trainer.end_epoch(train_terms)
        steps = trainer.step - start_step
        if steps > 1 and first_step_seconds:
            steps, seconds = steps - 1, seconds - first_step_seconds
        timing = {
            "windows_per_second": steps * size / seconds,
            "first_step_seconds": first_step_seconds,
            "seconds": earlier_seconds + time.perf_counter() - start,
        }
        trainer.epoch_seconds = 0.0
        self.progress.on_epoch(row, timing)
        self.save_or_stop(exchange_signals=True)

    def report_steps(self) -> None:
        """Hand over the terms of the latest steps."""
        first, rows = self.trainer.take_step_terms()
        if rows:
            self.progress.on_step_terms(first, rows)

    def save_or_stop(self, exchange_signals: bool) -> None:
        """Save a checkpoint if it is due, and stop after a signal; several ranks stop only if they exchange signals."""
        trainer, checkpoints, number = self.trainer, self.checkpoints, self.signals.received
        if trainer.is_done:
            return
        if distributed.world_size() > 1:
            number = max(distributed.all_gather_object(number)) if exchange_signals else 0
        is_saved = False
        is_due = checkpoints is not None and distributed.rank() == 0 and (number or checkpoints.is_due())
        if checkpoints and is_due and trainer.guard.is_last_accepted():  # else a resumed run would break again
            self.report_steps()  # flush first: a resumed run lacks these steps
            is_saved = checkpoints.save(f"{len(trainer.history):06d}-{trainer.step:010d}", trainer.state_dict())
        if number:
            hint = "; the progress is saved, and the next run resumes from it" if is_saved else ""
            name = signal.Signals(number).name
            raise StoppedError(f"stopped by {name} after step {trainer.step} of {trainer.total_steps}{hint}", number)
