"""The loss of a batch and its terms."""

import torch
from torch import Tensor, nn

from pipeline.losses import kl
from pipeline.losses.objective import Objective


def batch_loss(
    model: nn.Module, objective: Objective, x: Tensor, noise: Tensor, label: Tensor, progress: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of windows `x` (B, 1, *shape) in nats per window, and the batch mean of each term, without gradient.

    `model` is a VAE or its wrapper, `noise` (B, latent_dims) standard normal, `label` (B,) indices, and `progress` the
    share of the training that is done, 0 to 1. The terms are distances and penalties by their names, kl and
    reconstruction in nats, loss, and beta_effective: the weight of the KL against a squared error that is summed over
    the window's values.
    """
    y, code = model(x, noise, label)
    distances = objective.distances(y, x, code) | objective.discriminator_step(y, x, code, progress)
    combined = objective.combine(distances)
    reconstruction, divergence = objective.nll(combined).mean(), objective.divergence(code)
    loss = reconstruction + objective.regulariser(divergence, code, progress)
    terms = {name: values.mean() for name, values in (distances | code.penalties).items()}
    terms |= {"kl": divergence.sum(1).mean(), "reconstruction": reconstruction, "loss": loss}
    terms["beta_effective"] = kl.weight_at(objective.config.kl, progress) * objective.likelihood_variance(combined)
    return loss, {name: torch.as_tensor(term).detach().float() for name, term in terms.items()}
