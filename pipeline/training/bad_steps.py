"""Steps that would spoil a model are skipped, and a training that makes only such steps is stopped."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core import distributed
from pipeline.core.errors import TrainingError

EXPLODED = 100.0  # times the typical norm of the gradient
MEMORY = 0.01  # share of a step's norm in the typical one
LEAST = 1e-12  # norm of a gradient
SETTLED = 50  # steps before a norm counts as typical
RESULTS = ("reconstruction", "loss", "beta_effective", "grad_norm")  # of the other terms
IN_A_ROW = 20  # steps without a finite loss or gradient, after which a training is stopped


class Guard:
    """Judges every step on the device, so that nothing waits for the answer.

    A step is skipped where one of its terms or its gradient's norm is not finite, or where the norm explodes. What
    counts as exploding doubles with every step in a row that was skipped, so that a level that stays is accepted soon:
    a fixed one could skip for ever. Statistics that layers gather in the forward pass are put back too.

    Args:
        modules: whose floating-point buffers are put back.
        device: where the steps are made.
    """

    def __init__(self, modules: Sequence[nn.Module], device: torch.device) -> None:
        self.buffers = [buffer for module in modules for buffer in module.buffers() if buffer.is_floating_point()]
        self.kept = [buffer.clone() for buffer in self.buffers]
        self.settled = False  # whether `buffers` are just those that steps change
        numbers = {"seen": 0.0, "typical": 0.0, "skipped": 0.0, "in_a_row": 0.0, "broken_in_a_row": 0.0}
        self.state = {name: torch.tensor(value, device=device) for name, value in numbers.items()}
        self.first_broken: Tensor | None = None  # (terms,) step since when each is not finite; -1 where it is

    @torch.no_grad()
    def judge(self, step: int, terms: Tensor) -> Tensor:
        """Whether to keep this step, a boolean scalar on the device; the layers' statistics are those of kept steps.

        Args:
            step: its number.
            terms: (K,) what it gave, the norm of its gradient last.
        """
        self._settle()
        state, norm = self.state, terms[-1]
        broken = distributed.all_reduce_sum((~torch.isfinite(terms)).float()) > 0  # on any rank
        limit = EXPLODED * state["typical"].exp()
        early = state["seen"] < SETTLED
        usual = early | (norm <= limit * torch.exp2(state["in_a_row"]))
        ok = usual & ~broken.any()
        if self.first_broken is None:
            self.first_broken = torch.full(terms.shape, -1, device=terms.device)
        since = torch.where(self.first_broken < 0, step, self.first_broken)
        self.first_broken = torch.where(broken, since, -1)
        kept = ok.float()
        # The logarithm's mean over the first steps, later a moving one: a single spike does not move it far.
        weight = torch.clamp(1 / (state["seen"] + 1), min=MEMORY)
        weight = torch.where(early | (norm <= limit), weight, 0.5)  # a new level, which was borne at last
        level = norm.clamp_min(LEAST).log()
        state["typical"] = torch.where(ok, state["typical"].lerp(level, weight), state["typical"])
        state["seen"] = state["seen"] + kept
        state["skipped"] = state["skipped"] + (1 - kept)
        state["in_a_row"] = (state["in_a_row"] + 1) * (1 - kept)
        state["broken_in_a_row"] = (state["broken_in_a_row"] + 1) * broken.any()
        for live, before in zip(self.buffers, self.kept, strict=True):
            torch.where(ok, live, before, out=live)
        if self.buffers:
            torch._foreach_copy_(self.kept, self.buffers)
        return ok

    def _settle(self) -> None:
        """After the first step, which is slow anyway: leave out what it did not change."""
        if not self.settled:
            pairs = [pair for pair in zip(self.buffers, self.kept, strict=True) if not torch.equal(*pair)]
            self.buffers, self.kept = [live for live, _ in pairs], [before for _, before in pairs]
            self.settled = True

    def check(self, names: Sequence[str], batches: int, most: int = IN_A_ROW) -> None:
        """Raise where nothing but broken steps was made for a while; this waits for the device.

        Args:
            names: of the terms.
            batches: of an epoch.
            most: broken steps in a row at which it is enough.

        Raises:
            TrainingError: it names the terms and the step since when they are not finite.
        """
        if self.first_broken is None or float(self.state["broken_in_a_row"]) < most:
            return
        since = {name: step for name, step in zip(names, self.first_broken.tolist(), strict=True) if step >= 0}
        first = min(since.values())
        broken = [name for name, step in since.items() if step == first]
        bad = " and ".join([name for name in broken if name not in RESULTS] or broken[:1])
        raise TrainingError(
            f"{bad} not finite since step {first + 1} (epoch {first // batches + 1}), "
            f"{self.state['broken_in_a_row']:.0f} steps in a row were skipped; try a lower train.learning_rate"
        )

    def healthy(self) -> bool:
        """Whether the last step was kept; this waits for the device."""
        return not float(self.state["in_a_row"])

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"state": self.state, "first_broken": self.first_broken}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take up a checkpoint, after the modules have."""
        device = self.state["seen"].device
        self.settled = False
        self.state = {name: value.to(device) for name, value in saved["state"].items()}
        self.first_broken = None if saved["first_broken"] is None else saved["first_broken"].to(device)
        self.kept = [buffer.clone() for buffer in self.buffers]
