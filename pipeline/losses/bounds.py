"""A penalty on reconstructions that leave the data's scale."""

from torch import Tensor
from torch.nn import functional

MARGIN = 0.1  # of the scale's length, on either side


def excess(reconstruction: Tensor, low: float) -> Tensor:
    """(B,) mean squared excess of (B, 1, *shape) over [low, 1] and a margin of 10 %; 0 within (after system A)."""
    margin = MARGIN * (1 - low)
    over = functional.relu(reconstruction - 1 - margin) + functional.relu(low - margin - reconstruction)
    return over.square().flatten(1).mean(1)
