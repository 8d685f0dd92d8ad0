"""Ways between two latents."""

import torch
from torch import Tensor


def between(a: Tensor, b: Tensor, steps: int, mode: str) -> Tensor:
    """(steps, D) latents from `a` (D,) to `b` (D,), both ends among them.

    Args:
        a: the first.
        b: the last.
        steps: at least 2.
        mode: "linear", or "slerp": along the arc, with the length going linearly from |a| to |b| (Shoemake 1985); where
            the two point the same or opposite ways, or one is zero, there is no one arc, and it is linear.

    Raises:
        ValueError: no such mode, or fewer than two steps.
    """
    if mode not in ("linear", "slerp") or steps < 2:
        raise ValueError(f"interpolation takes linear or slerp and at least 2 steps, not {mode} and {steps}")
    share = torch.linspace(0, 1, steps, device=a.device, dtype=a.dtype)[:, None]
    lengths = a.norm(), b.norm()
    cosine = (a @ b / (lengths[0] * lengths[1]).clamp_min(1e-12)).clamp(-1, 1)
    if mode == "linear" or cosine.abs() > 1 - 1e-6 or min(lengths) < 1e-6:
        return a + share * (b - a)
    angle = torch.arccos(cosine)
    length = lengths[0] + share * (lengths[1] - lengths[0])
    direction = ((1 - share) * angle).sin() * a / lengths[0] + (share * angle).sin() * b / lengths[1]
    return length * direction / angle.sin()
