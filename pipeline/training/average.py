"""A moving average of a model's weights, which often generalises better than any single step's."""

import copy

import torch

from pipeline.models.vae import VAE


class MovingAverage:
    """A second model whose weights follow those of `model` (Polyak averaging, as the EMA of diffusion and GAN code).

    What layers gather themselves, such as running statistics and codebooks, is the model's own.

    Args:
        model: that is trained.
        decay: share of the average that a step keeps; less at first, so that the start is forgotten soon.
    """

    def __init__(self, model: VAE, decay: float) -> None:
        self.model, self.decay = copy.deepcopy(model).eval().requires_grad_(False), decay
        self.own, self.followed = tuple(self.model.parameters()), tuple(model.parameters())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step number `step` (from 0)."""
        torch._foreach_lerp_(self.own, self.followed, 1 - min(self.decay, (1 + step) / (10 + step)))

    def settle(self, model: VAE) -> VAE:
        """The averaged model, with the buffers of `model` as they are now."""
        averaged = {name: weight.detach() for name, weight in self.model.named_parameters()}
        self.model.load_state_dict(model.state_dict() | averaged)
        return self.model
