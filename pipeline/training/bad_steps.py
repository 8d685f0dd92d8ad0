"""Skip steps that would spoil a model, and stop a training that makes only such steps."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core import distributed
from pipeline.core.errors import TrainingError

MAX_BROKEN_IN_A_ROW = 20  # steps with a loss or gradient that is not finite
COMBINED_TERMS = ("reconstruction", "loss", "beta_effective", "grad_norm")  # computed from the other terms


class StepGuard:
    """Decides on the device whether a step is accepted, so that the host does not wait.

    A step is skipped if a term or the gradient norm is not finite. Then the modules' floating-point buffers (running
    statistics, codebooks) are restored, but not those that the first step does not change. `late` are modules that
    train only later (discriminators): all their buffers are restored.
    """

    def __init__(self, modules: Sequence[nn.Module], device: torch.device, late: Sequence[nn.Module] = ()) -> None:
        self.buffers = [buffer for module in modules for buffer in module.buffers() if buffer.is_floating_point()]
        self.late_buffers = {buffer.data_ptr() for module in late for buffer in module.buffers()}
        self.constant_buffers_dropped = False
        self.back_up()
        self.skipped_in_a_row = torch.tensor(0, device=device)
        self.broken_since: Tensor | None = None  # (terms,) first step of the current run of broken steps; -1: finite

    def back_up(self) -> None:
        """Copy the buffers, which were set outside a step."""
        self.backups = [buffer.clone() for buffer in self.buffers]

    @torch.no_grad()
    def update(self, step: int, terms: Tensor) -> Tensor:
        """Whether to keep step number `step`: a boolean scalar on the device. Restores the buffers if not.

        `terms` is (K,): the terms of the loss, and the gradient norm.
        """
        self._drop_constant_buffers()
        broken = distributed.all_reduce_sum((~torch.isfinite(terms)).float()) > 0  # on any rank
        is_accepted = ~broken.any()
        if self.broken_since is None:
            self.broken_since = torch.full(terms.shape, -1, device=terms.device)
        since = torch.where(self.broken_since < 0, step, self.broken_since)
        self.broken_since = torch.where(broken, since, -1)
        self.skipped_in_a_row = torch.where(is_accepted, 0, self.skipped_in_a_row + 1)
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
        if self.broken_since is None or int(self.skipped_in_a_row) < limit:
            return
        since = {name: step for name, step in zip(names, self.broken_since.tolist(), strict=True) if step >= 0}
        first = min(since.values())
        broken = [name for name, step in since.items() if step == first]
        causes = " and ".join([name for name in broken if name not in COMBINED_TERMS] or broken[:1])
        raise TrainingError(
            f"{causes} not finite since step {first + 1} (epoch {first // steps_per_epoch + 1}), "
            f"{int(self.skipped_in_a_row)} steps in a row were skipped; try a lower train.learning_rate"
        )

    def is_last_accepted(self) -> bool:
        """Whether the last step was accepted. The host waits for the device."""
        return not int(self.skipped_in_a_row)

    def state_dict(self) -> dict[str, Any]:
        """Content of a checkpoint."""
        return {"skipped_in_a_row": self.skipped_in_a_row, "broken_since": self.broken_since}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Continue from a checkpoint. Load the modules first: their buffers are backed up here."""
        device = self.skipped_in_a_row.device
        self.constant_buffers_dropped = False
        self.skipped_in_a_row = saved["skipped_in_a_row"].to(device)
        self.broken_since = None if saved["broken_since"] is None else saved["broken_since"].to(device)
        self.back_up()
