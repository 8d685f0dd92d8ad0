"""What a step of training minimises, and the terms that it is made of."""

import torch
from torch import Tensor, nn

from pipeline.losses import kl
from pipeline.losses.objective import Objective


def loss(
    net: nn.Module, objective: Objective, x: Tensor, noise: Tensor, label: Tensor, progress: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of a batch.

    Args:
        net: the model, or what wraps it.
        objective: its losses.
        x: (B, 1, *shape) windows.
        noise: (B, latent_dims) standard normal.
        label: (B,) indices of labels.
        progress: share of the training that is done, 0 to 1.

    Returns:
        Nats per window, a scalar with a gradient, and each term's mean, scalars without one: distances and penalties by
        their names, kl, reconstruction (nats), loss and beta_effective, the weight of the KL against a squared error
        summed over the window's values.
    """
    y, code = net(x, noise, label)
    distances = objective.distances(y, x, code) | objective.discriminator_step(y, x, code)
    combined = objective.combined(distances)
    nats, divergence = objective.nats(combined).mean(), objective.divergence(code)
    total = nats + objective.regulariser(divergence, code, progress)
    terms = {name: values.mean() for name, values in (distances | code.penalties).items()}
    terms |= {"kl": divergence.sum(1).mean(), "reconstruction": nats, "loss": total}
    terms["beta_effective"] = kl.weight(objective.config.kl, progress) * objective.variance(combined)
    return total, {name: torch.as_tensor(term).detach().float() for name, term in terms.items()}
