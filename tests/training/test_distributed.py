"""Two ranks on a CPU give what one gives: statistics, losses and their gradients, codebook, discriminator.

Each check below is run once here and once by two ranks, which hold the rows `of_rank` of the same global batch and
average their gradients; what it returns has to agree.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.core import distributed
from pipeline.losses import kl
from pipeline.losses.config import KLConfig, LossConfig
from pipeline.losses.objective import Objective
from pipeline.models.bottlenecks import Code
from pipeline.models.bottlenecks.gaussian import UnitVariance
from pipeline.models.bottlenecks.vq import KMEANS_BATCHES, VQ
from pipeline.models.config import VQConfig
from pipeline.models.norm import BatchNorm1d, BatchNorm2d
from pipeline.models.signal import Signal
from pipeline.models.vae import build
from pipeline.training.launch import launch

RANKS = 2
Results = dict[str, Tensor]


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def of_rank(x: Tensor) -> Tensor:
    return x[distributed.rank() :: distributed.world_size()].clone()


def norm(made: nn.Module, *shape: int) -> Results:
    """Output, gradients and running statistics of a norm whose ranks see values of different mean and scale."""
    with torch.no_grad():
        for i, parameter in enumerate(made.parameters()):
            parameter.copy_(1 + 0.1 * numbers(*parameter.shape, seed=i))
    every = numbers(*shape) * torch.arange(1, len(numbers(*shape)) + 1).reshape(-1, *[1] * (len(shape) - 1)) + 3
    for _ in range(2):
        x = of_rank(every).requires_grad_()
        y = made(x)
        (y * of_rank(numbers(*shape, seed=9))).mean().backward()
    distributed.average_gradients(made.parameters())
    found = {f"gradient of {name}": p.grad for name, p in made.named_parameters()}
    gradient = distributed.global_batch(x.grad) / distributed.world_size()
    return {"y": distributed.global_batch(y), "gradient of x": gradient, **found, **dict(made.named_buffers())}


def batch_norm_2d() -> Results:
    return norm(BatchNorm2d(3), 6, 3, 4, 5)


def batch_norm_1d() -> Results:
    return norm(BatchNorm1d(3), 6, 3, 4)


def batch_norm_in_16_bits() -> Results:
    x = of_rank(numbers(6, 3, 4, 5)).bfloat16()
    y = BatchNorm2d(3)(x)
    assert y.dtype == torch.bfloat16
    return {"y": distributed.global_batch(y.float())}


def unit_variance() -> Results:
    return norm(UnitVariance(3), 6, 3, 4)


def unit_variance_of_one_vector_a_rank() -> Results:
    return norm(UnitVariance(3), 2, 3, 1)


SIZES = (4, 8)


def cost(**config: object) -> Results:
    """Value of the KL's cost, and gradient of what the divergence comes from."""
    scale = nn.Parameter(torch.linspace(0.2, 2.0, sum(SIZES)))
    divergence = (of_rank(numbers(8, sum(SIZES))) * scale).square()
    value = kl.cost(KLConfig(**config), divergence, SIZES, 0.2)
    value.backward()
    distributed.average_gradients([scale])
    return {"value": distributed.all_reduce_mean(value.detach()), "gradient": scale.grad}


def plain() -> Results:
    return cost()


def free_bits_of_dimensions() -> Results:
    return cost(free_bits=1.0)


def free_bits_of_levels() -> Results:
    return cost(free_bits=23.0, free_bits_per="level")  # of one rank the upper level is below it


def free_bits_of_windows() -> Results:
    return cost(free_bits=14.0, free_bits_per="window")


def capacity() -> Results:
    return cost(capacity=35.0)  # which are 23 after this much of the warm-up: more than the nats of one rank


def balance() -> Results:
    return cost(balance=True)


SIGNAL = Signal("mel", (16, 20), [0.5] * 16, [0.2] * 16, {})


def optimal_sigma() -> Results:
    scale = nn.Parameter(torch.tensor(1.0))
    objective = Objective(LossConfig(), SIGNAL)
    combined = (of_rank(numbers(8, 1)) * scale).square().flatten()
    nats = objective.nll(combined).mean()
    nats.backward()
    distributed.average_gradients([scale])
    return {
        "nats": distributed.all_reduce_mean(nats.detach()),
        "gradient": scale.grad,
        "variance": objective.likelihood_variance(combined),
    }


def codebook() -> Results:
    """Of a training: k-means over the first batches, moving averages, and codes out of use that are moved."""
    torch.manual_seed(0)
    bottleneck = VQ(VQConfig(type="vq", codes=64, dim=4, prior_width=8), (6, 3, 5)).train()
    for step in range(KMEANS_BATCHES + 10):
        torch.manual_seed(step)
        if step == KMEANS_BATCHES:
            bottleneck.quantiser._codebook.cluster_size[:, ::3] = 0
        before = bottleneck.codes().clone()
        code = bottleneck.encode(of_rank(numbers(8, 6, 3, 5, seed=step)))
        if step == KMEANS_BATCHES:
            moved = (bottleneck.codes() - before).norm(dim=1)
            assert moved[::3].min() > 5 * moved[1::3].max(), "or this would prove nothing about them"
    (code.penalties["usage"] + code.penalties["commitment"]).backward()
    layer = list(bottleneck.to_code.parameters())
    distributed.average_gradients(layer)
    penalties = {name: distributed.all_reduce_mean(value.detach()) for name, value in code.penalties.items()}
    gradients = {f"gradient {i}": p.grad for i, p in enumerate(layer)}
    return {**dict(bottleneck.quantiser.named_buffers()), **penalties, **gradients}


def discriminator() -> Results:
    torch.manual_seed(0)
    objective = Objective(LossConfig(adversarial=0.1), SIGNAL)
    y, x = 0.5 + 0.1 * numbers(8, 1, 16, 20), 0.5 + 0.3 * numbers(8, 1, 16, 20, seed=1)
    none = torch.zeros(8 // distributed.world_size(), 2)
    net = objective.adversary.discriminator
    for step in range(5):
        found = objective.discriminator_step(of_rank(y), of_rank(x), Code(none, none))
        if step == 0:  # later on Adam makes steps of gradients that are nothing but rounding
            gradients = {name: p.grad.clone() for name, p in net.named_parameters()}
    weights = nn.utils.parameters_to_vector(net.parameters()).detach()
    assert all(torch.equal(weights, other) for other in distributed.all_gather_object(weights))
    return {**gradients, **{name: distributed.all_reduce_mean(term.detach().mean()) for name, term in found.items()}}


def a_step_of_a_model() -> Results:
    """Under DistributedDataParallel, whose reductions run among those of the norms."""
    description = {
        "kind": "mel",
        "shape": (16, 20),
        "stats": {"mean": [0.2] * 16, "std": [0.3] * 16},
        "representation": {"kind": "mel"},
        "network": {"type": "conv2d", "channels": [8, 16]},
        "bottleneck": {"type": "gaussian", "latent": 6, "batch_norm": True},
    }
    torch.manual_seed(0)
    model = build(description)
    several = distributed.world_size() > 1
    ddp = DistributedDataParallel(model, broadcast_buffers=False, bucket_cap_mb=0.001) if several else model
    objective = Objective(
        LossConfig(kl=KLConfig(free_bits=0.5, schedule="constant")), Signal.from_description(description)
    )
    x, noise = of_rank(0.2 + 0.3 * numbers(8, 1, 16, 20)), of_rank(numbers(8, 6, seed=1))
    y, code = ddp(x, noise)
    nats = objective.nll(objective.combine(objective.distances(y, x, code))).mean()
    total = nats + objective.regulariser(objective.divergence(code), code, 1.0)
    total.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {"total": distributed.all_reduce_mean(total.detach()), **gradients, **dict(model.named_buffers())}


CHECKS: tuple[Callable[[], Results], ...] = (
    batch_norm_2d,
    batch_norm_1d,
    batch_norm_in_16_bits,
    unit_variance,
    unit_variance_of_one_vector_a_rank,
    plain,
    free_bits_of_dimensions,
    free_bits_of_levels,
    free_bits_of_windows,
    capacity,
    balance,
    optimal_sigma,
    codebook,
    discriminator,
    a_step_of_a_model,
)


def evaluate_more_on_rank_0() -> None:
    """In evaluation the ranks do not wait for each other."""
    bottleneck = VQ(VQConfig(type="vq", codes=8, dim=4, prior_width=8), (6, 3, 5)).eval()
    for _ in range(2 - distributed.rank()):
        bottleneck.encode(numbers(4, 6, 3, 5))
        UnitVariance(3).eval()(numbers(4, 3, 1))


def names() -> dict[str, object]:
    """What the thin names give, as numbers of the rank."""
    rank = distributed.rank()
    x = torch.tensor([1.0 + rank, 2.0], requires_grad=True)
    averaged = distributed.all_reduce_mean(x)
    ((1 + rank) * averaged).sum().backward()
    own = torch.tensor([float(rank)])
    distributed.broadcast_(own)
    return {
        "rank": (rank, distributed.world_size()),
        "mean": averaged.tolist(),
        "gradient": x.grad.tolist(),
        "total": distributed.all_reduce_sum(x).tolist(),
        "batch": distributed.global_batch(torch.tensor([rank, 10 + rank])).tolist(),
        "gather": distributed.all_gather(torch.full((rank, 2), rank)).tolist(),
        "collect": distributed.all_gather_object(f"of {rank}"),
        "share": distributed.broadcast_object(f"of {rank}"),
        "agree": own.tolist(),
    }


def run(folder: str) -> None:
    """As a rank: all checks."""
    with distributed.process_group(torch.device("cpu")) as device:
        assert device.type == "cpu"
        evaluate_more_on_rank_0()
        found = {check.__name__: check() for check in CHECKS}
        found["names"] = names()
        torch.save(found, Path(folder) / f"{distributed.rank()}.pt")


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("ranks")
    launch(run, [str(folder)], RANKS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_two_ranks_give_what_one_gives(found, check):
    expected = check()
    for name, value in expected.items():
        first, second = (found[rank][check.__name__][name] for rank in range(RANKS))
        assert torch.equal(first, second), f"{name} differs between the ranks"
        torch.testing.assert_close(first, value.detach(), rtol=1e-4, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize(
    ("made", "torchs", "shape"), [(BatchNorm1d, nn.BatchNorm1d, (4, 3, 5)), (BatchNorm2d, nn.BatchNorm2d, (4, 3, 5, 6))]
)
def test_on_one_rank_a_norm_is_torchs(made, torchs, shape):
    ours, theirs, x = made(3), torchs(3), numbers(*shape)
    assert torch.equal(ours(x), theirs(x)) and torch.equal(ours.eval()(x), theirs.eval()(x))
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_names_on_two_ranks(found):
    for rank in range(RANKS):
        assert found[rank]["names"] == {
            "rank": (rank, 2),
            "mean": [1.5, 2.0],
            "gradient": [1.5, 1.5],
            "total": [3.0, 4.0],
            "batch": [0, 1, 10, 11],
            "gather": [[1, 1]],
            "collect": ["of 0", "of 1"],
            "share": "of 0",
            "agree": [0.0],
        }


def test_names_on_one_rank():
    with distributed.process_group(torch.device("cpu")):
        assert names() == {
            "rank": (0, 1),
            "mean": [1.0, 2.0],
            "gradient": [1.0, 1.0],
            "total": [1.0, 2.0],
            "batch": [0, 10],
            "gather": [],
            "collect": ["of 0"],
            "share": "of 0",
            "agree": [0.0],
        }
