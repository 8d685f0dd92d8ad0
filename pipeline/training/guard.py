"""Steps that would spoil a model are skipped, and a training that makes only such steps is stopped."""

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pipeline import distributed
from pipeline.errors import TrainingError

EXPLODED = 100.0  # times the typical norm of the gradient
MEMORY = 0.01  # share of a step's norm in the typical one
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
        # What grows while codes are first set by k-means is empty here.
        self.buffers = [b for m in modules for b in m.buffers() if b.is_floating_point() and b.numel()]
        self.kept = [buffer.clone() for buffer in self.buffers]
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
        state, norm = self.state, terms[-1]
        broken = ~torch.isfinite(terms)
        limit = EXPLODED * state["typical"] * torch.exp2(state["in_a_row"])
        usual = (norm <= limit) | (state["seen"] < SETTLED)
        ok = usual & ~broken.any()
        if self.first_broken is None:
            self.first_broken = torch.full(terms.shape, -1, device=terms.device)
        since = torch.where(self.first_broken < 0, step, self.first_broken)
        self.first_broken = torch.where(broken, since, -1)
        kept = ok.float()
        # A mean over the first steps, later a moving one.
        weight = torch.clamp(1 / (state["seen"] + 1), min=MEMORY)
        state["typical"] = torch.where(ok, state["typical"].lerp(norm, weight), state["typical"])
        state["seen"] = state["seen"] + kept
        state["skipped"] = state["skipped"] + (1 - kept)
        state["in_a_row"] = (state["in_a_row"] + 1) * (1 - kept)
        state["broken_in_a_row"] = (state["broken_in_a_row"] + 1) * broken.any()
        for live, before in zip(self.buffers, self.kept, strict=True):
            torch.where(ok, live, before, out=live)
        torch._foreach_copy_(self.kept, self.buffers)
        return ok

    def check(self, names: Sequence[str], epoch: int, most: int = IN_A_ROW) -> None:
        """Raise where nothing but broken steps was made for a while; this waits for the device.

        Args:
            names: of the terms.
            epoch: for the message.
            most: broken steps in a row at which it is enough.

        Raises:
            TrainingError: it names the terms and the step since when they are not finite.
        """
        if self.first_broken is None or float(self.state["broken_in_a_row"]) < most:
            return
        ranks = torch.stack(distributed.collect(self.first_broken.cpu()))  # one may have seen what the others did not
        first_seen = torch.where(ranks < 0, sys.maxsize, ranks).amin(0)
        since = {name: step for name, step in zip(names, first_seen.tolist(), strict=True) if step < sys.maxsize}
        first = min(since.values())
        broken = [name for name, step in since.items() if step == first]
        bad = " and ".join([name for name in broken if name not in RESULTS] or broken[:1])
        raise TrainingError(
            f"{bad} not finite since step {first + 1} (epoch {epoch}), {self.state['broken_in_a_row']:.0f} steps in a "
            "row were skipped; try a lower train.learning_rate"
        )

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"state": self.state, "first_broken": self.first_broken}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take up a checkpoint, after the modules have."""
        device = self.state["seen"].device
        self.state = {name: value.to(device) for name, value in saved["state"].items()}
        self.first_broken = None if saved["first_broken"] is None else saved["first_broken"].to(device)
        self.kept = [buffer.clone() for buffer in self.buffers]
