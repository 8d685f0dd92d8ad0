"""Skip steps that would spoil a model, and stop a training that makes only such steps."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core import distributed
from pipeline.core.errors import TrainingError

EXPLOSION = 100.0  # times the typical gradient norm
MIN_WEIGHT = 0.01  # smallest weight of a new norm in the typical norm
MIN_NORM = 1e-12
SETTLING_STEPS = 50  # accepted steps before the typical norm is trusted
MAX_BROKEN_IN_A_ROW = 20  # steps with a loss or gradient that is not finite
COMBINED_TERMS = ("reconstruction", "loss", "beta_effective", "grad_norm")  # computed from the other terms


class StepGuard:
    """Decides on the device whether a step is accepted, so that the host does not wait.

    A step is skipped if a term or the gradient norm is not finite, or if the norm explodes. The limit doubles with each
    skipped step in a row, so that a norm that stays high is accepted soon: a fixed limit could skip for ever. After a
    skipped step, the modules' floating-point buffers (running statistics, codebooks) are restored, but not those that
    the first step does not change. Modules of which any buffer may change later on are `late` ones.
    """

    def __init__(self, modules: Sequence[nn.Module], device: torch.device, late: Sequence[nn.Module] = ()) -> None:
        self.buffers = [buffer for module in modules for buffer in module.buffers() if buffer.is_floating_point()]
        self.late_buffers = {buffer.data_ptr() for module in late for buffer in module.buffers()}
        self.constant_buffers_dropped = False
        self.back_up()
        names = ("accepted", "log_typical_norm", "skipped", "skipped_in_a_row", "broken_in_a_row")
        self.state = {name: torch.tensor(0.0, device=device) for name in names}
        self.broken_since: Tensor | None = None  # (terms,) first step of the current run of broken steps; -1: finite

    def back_up(self) -> None:
        """Copy the buffers, which were set outside a step."""
        self.backups = [buffer.clone() for buffer in self.buffers]

    @torch.no_grad()
    def update(self, step: int, terms: Tensor) -> Tensor:
        """Whether to keep step number `step`: a boolean scalar on the device. Restores the buffers if not.

        `terms` is (K,): the terms of the loss, and the gradient norm last.
        """
        self._drop_constant_buffers()
        state, norm = self.state, terms[-1]
        broken = distributed.all_reduce_sum((~torch.isfinite(terms)).float()) > 0  # on any rank
        limit = EXPLOSION * state["log_typical_norm"].exp()
        is_early = state["accepted"] < SETTLING_STEPS
        is_usual = is_early | (norm <= limit * torch.exp2(state["skipped_in_a_row"]))
        is_accepted = is_usual & ~broken.any()
        if self.broken_since is None:
            self.broken_since = torch.full(terms.shape, -1, device=terms.device)
        since = torch.where(self.broken_since < 0, step, self.broken_since)
        self.broken_since = torch.where(broken, since, -1)
        accepted = is_accepted.float()
        # The mean of the log norm over the first steps, then a moving average: one spike does not move it far.
        weight = torch.clamp(1 / (state["accepted"] + 1), min=MIN_WEIGHT)
        weight = torch.where(is_early | (norm <= limit), weight, 0.5)  # a higher norm, accepted after skipped steps
        typical, log_norm = state["log_typical_norm"], norm.clamp_min(MIN_NORM).log()
        state["log_typical_norm"] = torch.where(is_accepted, typical.lerp(log_norm, weight), typical)
        state["accepted"] = state["accepted"] + accepted
        state["skipped"] = state["skipped"] + (1 - accepted)
        state["skipped_in_a_row"] = (state["skipped_in_a_row"] + 1) * (1 - accepted)
        state["broken_in_a_row"] = (state["broken_in_a_row"] + 1) * broken.any()
        for buffer, backup in zip(self.buffers, self.backups, strict=True):
            torch.where(is_accepted, buffer, backup, out=buffer)
        if self.buffers:
            torch._foreach_copy_(self.backups, self.buffers)
        return is_accepted

    def _drop_constant_buffers(self) -> None:
        """After the first step, which is slow anyway: forget the buffers that it did not change."""
        if not self.constant_buffers_dropped:
            pairs = [
                (buffer, backup)
                for buffer, backup in zip(self.buffers, self.backups, strict=True)
                if buffer.data_ptr() in self.late_buffers or not torch.equal(buffer, backup)
            ]
            self.buffers, self.backups = [buffer for buffer, _ in pairs], [backup for _, backup in pairs]
            self.constant_buffers_dropped = True

    def raise_if_broken(self, names: Sequence[str], steps_per_epoch: int, limit: int = MAX_BROKEN_IN_A_ROW) -> None:
        """Raise a TrainingError, which names the terms that broke first, after `limit` broken steps in a row.

        The host waits for the device.
        """
        if self.broken_since is None or float(self.state["broken_in_a_row"]) < limit:
            return
        since = {name: step for name, step in zip(names, self.broken_since.tolist(), strict=True) if step >= 0}
        first = min(since.values())
        broken = [name for name, step in since.items() if step == first]
        causes = " and ".join([name for name in broken if name not in COMBINED_TERMS] or broken[:1])
        raise TrainingError(
            f"{causes} not finite since step {first + 1} (epoch {first // steps_per_epoch + 1}), "
            f"{self.state['broken_in_a_row']:.0f} steps in a row were skipped; try a lower train.learning_rate"
        )

    def is_last_accepted(self) -> bool:
        """Whether the last step was accepted. The host waits for the device."""
        return not float(self.state["skipped_in_a_row"])

    def state_dict(self) -> dict[str, Any]:
        """Content of a checkpoint."""
        return {"state": self.state, "broken_since": self.broken_since}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from a checkpoint. Load the modules first: their buffers are backed up here."""
        device = self.state["accepted"].device
        self.constant_buffers_dropped = False
        self.state = {name: value.to(device) for name, value in saved["state"].items()}
        self.broken_since = None if saved["broken_since"] is None else saved["broken_since"].to(device)
        self.back_up()
