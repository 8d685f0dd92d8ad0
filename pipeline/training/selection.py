"""The epoch whose weights a training uses, and whether it ends early."""

from collections.abc import Sequence


def selected_epoch(losses: Sequence[float], adversarial: Sequence[float]) -> int:
    """Index of the epoch whose weights are used, of the epochs so far.

    It is the one with the lowest validation loss. But this loss has no adversarial term, and may rise when the
    adversarial phase begins: then it is the last epoch, whose discriminators have trained for the longest time.
    `adversarial` says for each epoch whether the phase had begun at its end; without discriminators it is empty or 0.
    """
    return len(losses) - 1 if any(adversarial) else losses.index(min(losses))


def stops_early(losses: Sequence[float], patience: int | None) -> bool:
    """Whether the epoch with the lowest loss is `patience` epochs ago; never if `patience` is None."""
    return patience is not None and len(losses) - 1 - losses.index(min(losses)) >= patience
