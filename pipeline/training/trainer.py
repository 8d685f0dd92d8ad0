"""One model in training: its steps, its validation, and the state that a checkpoint holds."""

import copy
import math
import time
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.core import distributed
from pipeline.core.errors import TrainingError
from pipeline.dataset import sampler
from pipeline.dataset.loader import window_loader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.dataset.split import Split
from pipeline.losses import kl
from pipeline.losses.objective import Objective
from pipeline.models.vae import VAE
from pipeline.training.augment import augment
from pipeline.training.bad_steps import MAX_BROKEN_IN_A_ROW, StepGuard
from pipeline.training.batch_loss import batch_loss
from pipeline.training.config import TrainConfig
from pipeline.training.device import autocast
from pipeline.training.history import SNAPSHOT_WINDOWS, History, Snapshots, snapshot_epochs
from pipeline.training.optimiser import MovingAverage, is_fused, learning_rate, make_optimiser
from pipeline.training.pca import crops
from pipeline.training.selection import selected_epoch, stops_early
from pipeline.training.validate import validate

NATS = ("kl", "reconstruction", "loss")  # terms in nats per window
UNPREFIXED_TERMS = ("beta_effective", "grad_norm")  # validation has no such terms, so no "train_" before them
# Attributes that a checkpoint holds as they are.
PLAIN_STATE = ("history", "selected_weights", "step", "epoch_seconds", "term_names", "term_sums")


class Trainer:
    """A model in training.

    A checkpoint holds no random state: the order of the windows follows from seed and epoch, and all that a step draws
    follows from seed and step.

    The loss is in nats per window. Its gradient is taken per value, so that `clip_norm` and `learning_rate` mean the
    same for every window size.
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
        step_model: VAE | None = None,
    ) -> None:
        self.config, self.seed, self.device = config, seed, device
        max_bytes = round(config.resident_gib * 2**30)
        self.train_data = window_loader(train, device, model.labels, max_bytes, config.order)
        self.valid_data = window_loader(valid, device, model.labels, max_bytes, "auto")
        self.steps_per_epoch = math.ceil(len(self.train_data) / config.batch_size)
        self.total_steps = config.epochs * self.steps_per_epoch
        self.model = model.to(memory_format=torch.channels_last) if config.channels_last else model  # type: ignore[call-overload]
        self.objective = objective.to(device)
        self.valid_objective = objective.for_shape(valid.shape)
        self.step_model = self.model if step_model is None else step_model
        self.crops_per_window = model.gain.signal.size / objective.signal.size  # 1 without crops
        self.wrapped_model = _wrap(self.step_model, config)
        self.optimiser = make_optimiser(model.parameters(), config, device)
        late = [] if objective.adversary is None else [objective.adversary]
        self.guard = StepGuard([model, objective], device, late)
        self.average = None if config.moving_average is None else MovingAverage(model, config.moving_average)
        self.snapshot_batch = self.valid_data.batch(evenly_spaced(len(self.valid_data), SNAPSHOT_WINDOWS))
        self.snapshots = Snapshots(self.snapshot_batch.x.cpu())
        self.history: History = []
        self.selected_weights: dict[str, Tensor] = {}
        self.step = 0  # steps done since the start of the training
        self.epoch_seconds = 0.0  # so far, in the current epoch
        self.term_names: list[str] = []
        self.term_sums: Tensor | None = None  # (terms + 1,) sums over the epoch's accepted steps, and their number
        self.unreported: list[Tensor] = []  # (terms,) of each step since the last `take_step_terms`

    def prepare(self) -> None:
        """Fit what has a closed form, before the first step. All ranks get the result of rank 0."""
        self.step_model.fit(lambda: crops(self.train_data))
        distributed.broadcast_(*self.model.state_dict().values())
        self.guard.back_up()
        if self.average is not None:
            self.average.model.load_state_dict(self.model.state_dict())

    @property
    def steps_in_epoch(self) -> int:
        """Steps of the current epoch so far."""
        return self.step - len(self.history) * self.steps_per_epoch

    @property
    def is_done(self) -> bool:
        """Whether all epochs are over, or the validation loss has not improved for long enough."""
        losses = [row["valid_loss"] for row in self.history]
        return len(losses) == self.config.epochs or (bool(losses) and stops_early(losses, self.config.patience))

    def train_step(self, x: Tensor, label: Tensor) -> None:
        """One step on this rank's share of a batch. Nothing in it waits for the device."""
        model, objective, config = self.model, self.objective, self.config
        noise, uniform = self._draw_noise()
        if config.augment.is_on:
            x = augment(x, config.augment, self._share(torch.rand(config.batch_size, 2, device=self.device)))
        label = label if model.condition is None else model.condition.drop_labels(label, uniform)
        with autocast(config, self.device):
            loss, terms = batch_loss(self.wrapped_model, objective, x, noise, label, self.step / self.total_steps)
        self.optimiser.zero_grad(set_to_none=True)
        (loss / objective.signal.size).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        terms |= {name: self.crops_per_window * terms[name] for name in NATS}
        terms["grad_norm"] = norm.detach()
        self.term_names = list(terms)
        values = torch.stack(list(terms.values()))
        self.unreported.append(values)
        is_accepted = self.guard.update(self.step, values)
        self._update_weights(is_accepted)
        sums = torch.cat((torch.where(is_accepted, values, 0), is_accepted.float()[None]))
        self.term_sums = sums if self.term_sums is None else self.term_sums + sums
        self.step += 1

    def _draw_noise(self) -> tuple[Tensor, Tensor]:
        """This rank's share of a batch: (B, latent_dims) standard normal, (B,) uniform in [0, 1)."""
        seed = sampler.seed(self.seed, self.step)
        torch.default_generator.manual_seed(seed)  # codebooks draw from it too
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(seed)
        size = self.config.batch_size
        noise = torch.randn(size, self.step_model.latent_dims, device=self.device)
        return self._share(noise), self._share(torch.rand(size, device=self.device))

    def _share(self, batch: Tensor) -> Tensor:
        """This rank's rows of what all ranks have drawn."""
        return batch[distributed.rank() :: distributed.world_size()]

    def _update_weights(self, is_accepted: Tensor) -> None:
        """A step of the optimiser, if the guard accepts it, and of the moving average."""
        losses = [row["valid_loss"] for row in self.history]
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.total_steps, self.config, losses)
        if is_fused(self.device):
            self.optimiser.found_inf = (~is_accepted).float()  # type: ignore[attr-defined]  # skips, as for GradScaler
            self.optimiser.step()
        elif is_accepted:
            self.optimiser.step()
        if self.average is not None:
            self.average.update(self.step)

    def mean_terms(self) -> dict[str, float]:
        """Each term's mean over the epoch's accepted steps so far, NaN if there are none. Waits for the device.

        TrainingError if many steps in a row were broken.
        """
        assert self.term_sums is not None
        self.guard.raise_if_broken(self.term_names, self.steps_per_epoch)
        *sums, accepted = (distributed.all_reduce_sum(self.term_sums) / distributed.world_size()).tolist()
        names = [name if name in UNPREFIXED_TERMS else f"train_{name}" for name in self.term_names]
        means = {name: value / accepted if accepted else math.nan for name, value in zip(names, sums, strict=True)}
        return means | {
            "beta": kl.weight_at(self.objective.config.kl, (self.step - 1) / self.total_steps),
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "skipped_steps": self.steps_in_epoch - accepted,
        }

    def take_step_terms(self) -> tuple[int, list[dict[str, float]]]:
        """The terms of each step since the last call, and the first one's number, from 1. Waits for the device."""
        rows = torch.stack(self.unreported).tolist() if self.unreported else []
        self.unreported = []
        return self.step - len(rows) + 1, [dict(zip(self.term_names, row, strict=True)) for row in rows]

    def end_epoch(self, train_terms: dict[str, float]) -> dict[str, float]:
        """Validate, keep the weights if the epoch is selected, and return the epoch's row of history.

        TrainingError if a validation term is not finite, or most steps were skipped.
        """
        epoch = len(self.history) + 1
        model = self.model if self.average is None else self.average.with_buffers_of(self.model)
        with autocast(self.config, self.device):
            batch_size = max(1, int(self.config.batch_size / self.crops_per_window))
            valid_terms = validate(model, self.valid_data, self.valid_objective, batch_size)
        skipped = train_terms["skipped_steps"]
        if skipped >= MAX_BROKEN_IN_A_ROW and skipped > self.steps_per_epoch / 2:
            raise TrainingError(
                f"{skipped:.0f} of {self.steps_per_epoch} steps of epoch {epoch} were not finite, and skipped; "
                "try a lower train.learning_rate"
            )
        broken = [name for name, value in valid_terms.items() if not math.isfinite(value)]
        if broken:
            self.guard.raise_if_broken(self.term_names, self.steps_per_epoch, 1)  # names the cause, if steps broke too
            raise TrainingError(f"{', '.join(broken)} not finite in epoch {epoch}; try a lower train.learning_rate")
        row = {"epoch": epoch, **train_terms, **valid_terms}
        if self.objective.adversary is not None:
            row["adversarial_phase"] = float(self.objective.is_adversarial((self.step - 1) / self.total_steps))
        self.history.append(row)
        losses = [row["valid_loss"] for row in self.history]
        if selected_epoch(losses, [row.get("adversarial_phase", 0.0) for row in self.history]) == epoch - 1:
            self.selected_weights = {}  # free them before the copy
            self.selected_weights = copy.deepcopy(model.state_dict())
        if epoch in snapshot_epochs(self.config.epochs, self.config.snapshots) or self.is_done:
            self.snapshots.add(epoch, model, self.snapshot_batch)
        self.term_sums = None
        return row

    def synchronised_time(self) -> float:
        """The time in seconds, after the device has done all its work."""
        if self.device.type != "cpu":
            torch.get_device_module(self.device).synchronize()
        return time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Content of a checkpoint; tensors are not copied."""
        return {
            "model": self.step_model.state_dict(),
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": None if self.average is None else self.average.model.state_dict(),
            "guard": self.guard.state_dict(),
            "snapshots": vars(self.snapshots),
            **{name: getattr(self, name) for name in PLAIN_STATE},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        self.step_model.load_state_dict(state["model"])  # it also has the encodings of a codebook's first steps
        self.objective.load_state_dict(state["objective"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.average is not None:
            self.average.model.load_state_dict(state["average"])
        self.guard.load_state_dict(state["guard"])
        vars(self.snapshots).update(state["snapshots"])
        for name in PLAIN_STATE:
            setattr(self, name, state[name])
        self.term_sums = None if self.term_sums is None else self.term_sums.to(self.device)


def _wrap(model: VAE, config: TrainConfig) -> nn.Module:
    """The model, compiled if configured and, with several ranks, in DistributedDataParallel."""
    wrapped: nn.Module = torch.compile(model) if config.compile else model  # type: ignore[assignment]
    if distributed.world_size() == 1:
        return wrapped
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the argument's new name is not in every supported torch
        # No broadcast of buffers: layers that gather statistics do so over all ranks themselves.
        return DistributedDataParallel(wrapped, broadcast_buffers=False, gradient_as_bucket_view=True)
