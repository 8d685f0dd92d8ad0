"""The training loop: one for every variant, on one device or several."""

import copy
import math
import signal
import time
import warnings
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.core import distributed
from pipeline.core.errors import StoppedError, TrainingError
from pipeline.core.process import DeferredSignals
from pipeline.dataset import sampler
from pipeline.dataset.loader import window_loader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.dataset.split import Split
from pipeline.losses import kl
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE
from pipeline.training.average import MovingAverage
from pipeline.training.bad_steps import IN_A_ROW, Guard
from pipeline.training.checkpoint import Checkpoints
from pipeline.training.config import TrainConfig
from pipeline.training.device import autocast, numerics
from pipeline.training.records import History
from pipeline.training.schedule import exhausted, learning_rate
from pipeline.training.snapshots import FIXED, Snapshots, marks
from pipeline.training.step import loss
from pipeline.training.validate import validate

# The second moment forgets within a hundred steps, not a thousand: in the first epochs of a short training the
# gradients of a mean squared error become many times smaller.
BETAS = (0.9, 0.99)
UNSIDED = ("beta_effective", "grad_norm")  # terms that validation has not
STOP_STEPS = 10  # after which several ranks ask each other whether a signal has come
CHECK_STEPS = 25  # between two looks at what the device has computed, each of which waits for it
PLAIN = ("history", "best", "step", "seconds", "names", "sums")  # of a training, that a checkpoint holds as they are
OPTIMISERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class Watcher(Protocol):
    """What follows a training: see `progress.Progress`."""

    def begin(self, history: History, step: int, batches: int) -> None:
        """Before the first step of this process: the epochs and steps that were made earlier, and those of an epoch."""

    def step(self, terms: dict[str, float] | None) -> None:
        """After each step; now and then with the means of all terms over the epoch so far."""

    def steps(self, first: int, rows: list[dict[str, float]]) -> None:
        """Now and then, with the terms of each step since the last time; the number of the first one, from 1.

        Of several ranks, each is told of its own share of the batches. What a stop interrupted is told again.
        """

    def epoch(self, row: dict[str, float]) -> None:
        """After each epoch, with its row of history."""


class Training:
    """A model in training: all that a checkpoint holds, and the step and the epoch that change it.

    Args:
        model: on the device.
        train: windows to learn from.
        valid: windows to choose the epoch by.
        config: optimiser, schedule, length, precision.
        objective: what is minimised, in nats per window; its gradient is taken per value, so that clipping and learning
            rate mean the same for any size of window.
        seed: of the order of windows, their places in their rows and the noise: an epoch's order follows from seed and
            epoch, a step's noise from seed and step, so that no random state is carried along.
        device: where batches are made.
    """

    def __init__(
        self,
        model: VAE,
        train: Split,
        valid: Split,
        config: TrainConfig,
        objective: Objective,
        seed: int,
        device: torch.device,
    ) -> None:
        self.config, self.seed, self.device = config, seed, device
        budget = round(config.resident_gib * 2**30)
        self.data = window_loader(train, device, model.labels, budget, config.order)
        self.held_out = window_loader(valid, device, model.labels, budget, "auto")
        self.model = model.to(memory_format=torch.channels_last) if config.channels_last else model  # type: ignore[call-overload]
        self.model.fit_condition(self.data.batches(config.batch_size))
        self.objective = objective.to(device)
        self.net: nn.Module = torch.compile(self.model) if config.compile else self.model  # type: ignore[assignment]
        if distributed.world_size() > 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # the argument's new name is not in every torch we take
                # Layers that gather statistics gather them over all ranks themselves.
                self.net = DistributedDataParallel(self.net, broadcast_buffers=False, gradient_as_bucket_view=True)
        self.batches = math.ceil(len(self.data) / config.batch_size)  # of an epoch
        self.steps = config.epochs * self.batches
        self.optimiser = OPTIMISERS[config.optimiser](
            model.parameters(), config.learning_rate, BETAS, weight_decay=config.weight_decay, fused=_fused(device)
        )
        self.guard = Guard([model, objective], device)
        self.average = None if config.moving_average is None else MovingAverage(model, config.moving_average)
        self.fixed = self.held_out.batch(evenly_spaced(len(self.held_out), FIXED))
        self.snapshots = Snapshots(self.fixed.x.cpu())
        self.history: History = []
        self.best: dict[str, Tensor] = {}
        self.step, self.seconds = 0, 0.0  # of the whole training; of the epoch at hand
        self.warm = False  # whether this process has made a step
        self.names: list[str] = []
        self.sums: Tensor | None = None  # (terms + 1,) over the epoch's kept steps, and their number
        self.recent: list[Tensor] = []  # (terms,) of each step that was not told yet

    def advance(self, x: Tensor, label: Tensor) -> None:
        """One step of the optimiser on the rank's share of a batch; nothing in it waits for the device."""
        model, objective, config = self.model, self.objective, self.config
        noise, forget = self._draws()
        label = label if model.condition is None else model.condition.forget(label, forget)
        with autocast(config, self.device):
            total, terms = loss(self.net, objective, x, noise, label, self.step / self.steps)
        self.optimiser.zero_grad(set_to_none=True)
        (total / objective.signal.values).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        terms["grad_norm"] = norm.detach()
        self.names = list(terms)
        values = torch.stack(list(terms.values()))
        self.recent.append(values)
        self._apply(self.guard.judge(self.step, values), values)
        self.step += 1

    def _draws(self) -> tuple[Tensor, Tensor]:
        """The rank's share of what is drawn for a batch: (B, latent_dims) standard normal, (B,) uniform in [0, 1)."""
        seed = sampler.seed(self.seed, self.step)
        torch.default_generator.manual_seed(seed)  # what codebooks draw too
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(seed)
        size, share = self.config.batch_size, slice(distributed.rank(), None, distributed.world_size())
        noise = torch.randn(size, self.model.latent_dims, device=self.device)
        return noise[share], torch.rand(size, device=self.device)[share]

    def _apply(self, ok: Tensor, values: Tensor) -> None:
        """Let the optimiser step where `ok`, and count the terms of such steps."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        if _fused(self.device):
            self.optimiser.found_inf = (~ok).float()  # as GradScaler tells it to skip
            self.optimiser.step()
        elif ok:
            self.optimiser.step()
        if self.average is not None:
            self.average.update(self.step)
        counted = torch.cat((torch.where(ok, values, 0), ok.float()[None]))
        self.sums = counted if self.sums is None else self.sums + counted

    def learning_rate(self) -> float:
        """Of the step at hand."""
        return learning_rate(self.step, self.steps, self.config, [row["valid_loss"] for row in self.history])

    def means(self) -> dict[str, float]:
        """Terms over the epoch's kept steps so far, NaN if there are none; this waits for the device.

        Raises:
            TrainingError: nothing but broken steps was made for a while.
        """
        assert self.sums is not None
        self.guard.check(self.names, self.batches)
        *sums, kept = (distributed.all_reduce_sum(self.sums) / distributed.world_size()).tolist()
        made = self.step - len(self.history) * self.batches
        names = [name if name in UNSIDED else f"train_{name}" for name in self.names]
        means = {name: value / kept if kept else math.nan for name, value in zip(names, sums, strict=True)}
        beta = kl.weight(self.objective.config.kl, (self.step - 1) / self.steps)
        return means | {
            "beta": beta,
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "skipped_steps": made - kept,
        }

    def tell(self, watch: Watcher) -> None:
        """Tell of the steps that were made since the last time; this waits for the device."""
        if self.recent:
            rows = torch.stack(self.recent).tolist()
            watch.steps(self.step - len(rows) + 1, [dict(zip(self.names, row, strict=True)) for row in rows])
            self.recent = []

    def close_epoch(self, learnt: dict[str, float]) -> dict[str, float]:
        """Validate, keep the weights if they are the best so far, and give the epoch's row of history.

        Args:
            learnt: what `means` gives at its end.

        Raises:
            TrainingError: a number of the validation is not finite, or most steps were skipped.
        """
        epoch = len(self.history) + 1
        model = self.model if self.average is None else self.average.settle(self.model)
        with autocast(self.config, self.device):
            scored = validate(model, self.held_out, self.objective, self.config.batch_size)
        row = {"epoch": epoch, **learnt, **scored}
        skipped = learnt["skipped_steps"]
        if skipped >= IN_A_ROW and skipped > self.batches / 2:
            raise TrainingError(
                f"{skipped:.0f} of {self.batches} steps of epoch {epoch} were not finite or exploded, and skipped; "
                "try a lower train.learning_rate"
            )
        bad = [name for name, value in scored.items() if not math.isfinite(value)]
        if bad:
            self.guard.check(self.names, self.batches, 1)  # says what began it, where steps are broken too
            raise TrainingError(f"{', '.join(bad)} not finite in epoch {epoch}; try a lower train.learning_rate")
        if row["valid_loss"] < min((r["valid_loss"] for r in self.history), default=math.inf):
            self.best = {}  # so that there are never three
            self.best = copy.deepcopy(model.state_dict())
        self.history.append(row)
        if epoch in marks(self.config.epochs, self.config.snapshots) or self.done():
            self.snapshots.keep(epoch, model, self.fixed)
        self.sums = None
        return row

    def waited(self) -> float:
        """The time when all that was asked of the device is done, in seconds."""
        if self.device.type != "cpu":
            torch.get_device_module(self.device).synchronize()
        return time.perf_counter()

    def done(self) -> bool:
        """Whether all epochs were made, or enough of them brought nothing."""
        losses = [row["valid_loss"] for row in self.history]
        return len(losses) == self.config.epochs or (bool(losses) and exhausted(losses, self.config.patience))

    def state_dict(self) -> dict[str, Any]:
        """All that a checkpoint holds, without copying it."""
        return {
            "model": self.model.state_dict(),
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": None if self.average is None else self.average.model.state_dict(),
            "guard": self.guard.state_dict(),
            "snapshots": vars(self.snapshots),
            **{name: getattr(self, name) for name in PLAIN},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(state["model"])
        self.objective.load_state_dict(state["objective"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.model.load_state_dict(state["average"])
        self.guard.load_state_dict(state["guard"])
        vars(self.snapshots).update(state["snapshots"])
        for name in PLAIN:
            setattr(self, name, state[name])
        self.sums = None if self.sums is None else self.sums.to(self.device)


def fit(
    model: VAE,
    train: Split,
    valid: Split,
    config: TrainConfig,
    objective: Objective,
    seed: int,
    device: torch.device,
    watch: Watcher,
    checkpoints: Checkpoints | None = None,
) -> tuple[History, Snapshots]:
    """Train `model` in place and leave it at the epoch with the best validation objective at the final KL weight.

    The arguments are those of `Training`; `checkpoints`, where given, lets a training that was stopped at any moment
    go on with the same result to the last bit (on a GPU: where `config.deterministic`).

    Raises:
        TrainingError: a loss or the gradient is not finite for many steps in a row.
        StoppedError: a signal asked for it; what was done is saved where there are checkpoints.
    """
    with numerics(config, device):
        run = Training(model, train, valid, config, objective, seed, device)
        saved = distributed.broadcast_object(checkpoints.latest() if checkpoints and distributed.rank() == 0 else None)
        if saved is not None:
            run.load_state_dict(saved)
        watch.begin(run.history, run.step, run.batches)
        with DeferredSignals() as signals:
            while not run.done():
                _epoch(run, watch, checkpoints, signals)
    model.load_state_dict(run.best)
    return run.history, run.snapshots


def _epoch(run: Training, watch: Watcher, checkpoints: Checkpoints | None, signals: DeferredSignals) -> None:
    """What is left of the epoch at hand."""
    before, start, began = run.seconds, run.step, time.perf_counter()
    epoch, first_step = len(run.history) + 1, 0.0
    done, part = run.step - len(run.history) * run.batches, (distributed.rank(), distributed.world_size())
    run.model.train()
    for x, label in run.data.epoch(run.config.batch_size, run.seed, epoch, done, *part):
        run.advance(x, label)
        if not run.warm:  # the first step of a process compiles, or tries kernels: it is timed apart
            first_step, run.warm = run.waited() - began, True
        check = run.step % CHECK_STEPS == 0
        watch.step(run.means() if check else None)
        if check:
            run.tell(watch)
        run.seconds = before + time.perf_counter() - began
        _pause(run, watch, checkpoints, signals, run.step % STOP_STEPS == 0)
    learnt, trained = run.means(), run.waited() - began
    run.tell(watch)
    row = run.close_epoch(learnt)
    made = run.step - start
    if made > 1 and first_step:
        made, trained = made - 1, trained - first_step
    row["windows_per_second"] = made * run.config.batch_size / trained
    row["first_step_seconds"] = first_step
    row["seconds"], run.seconds = before + time.perf_counter() - began, 0.0
    watch.epoch(row)
    _pause(run, watch, checkpoints, signals, True)


def _pause(
    run: Training, watch: Watcher, checkpoints: Checkpoints | None, signals: DeferredSignals, together: bool
) -> None:
    """Save where it is time to, and end where a signal has asked for it: with several ranks only `together`."""
    if run.done():
        return
    asked = signals.received
    if distributed.world_size() > 1:
        asked = max(distributed.all_gather_object(asked)) if together else 0
    saved = False
    # What is broken is not saved: the next run would go on into the same failure.
    if checkpoints and distributed.rank() == 0 and (asked or checkpoints.due()) and run.guard.healthy():
        run.tell(watch)  # whoever goes on from there does not know these steps
        saved = checkpoints.save(f"{len(run.history):06d}-{run.step:010d}", run.state_dict())
    if asked:
        kept = "; what was learnt is saved, and the next run goes on from there" if saved else ""
        raise StoppedError(f"stopped by {signal.Signals(asked).name} after step {run.step} of {run.steps}{kept}", asked)


def _fused(device: torch.device) -> bool:
    """Whether the optimiser updates all weights in one kernel there, which can also be told to skip a step."""
    return device.type != "mps"
