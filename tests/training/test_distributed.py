"""Two ranks on a CPU give the same results as one: statistics, losses, gradients, codebook, whole trainings.

Each check runs once here and once on two ranks, which have the rows `share` of the same global batch and average their
gradients. The results must agree.
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
from pipeline.models.vae import VAE
from pipeline.training.launch import launch
from tests.training.small import (
    ISTFT,
    SECONDS,
    SEQUENCE,
    VOCODER_LOSS,
    new_model,
    new_objective,
    new_vocoder,
    new_wave_model,
    train,
)

RANKS = 2
Results = dict[str, Tensor]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def share(x: Tensor) -> Tensor:
    return x[distributed.rank() :: distributed.world_size()].clone()


def norm(layer: nn.Module, *shape: int) -> Results:
    """Output, gradients and running statistics of a norm whose ranks see values of different mean and scale."""
    with torch.no_grad():
        for i, parameter in enumerate(layer.parameters()):
            parameter.copy_(1 + 0.1 * normal(*parameter.shape, seed=i))
    batch = normal(*shape) * torch.arange(1, len(normal(*shape)) + 1).reshape(-1, *[1] * (len(shape) - 1)) + 3
    for _ in range(2):
        x = share(batch).requires_grad_()
        y = layer(x)
        (y * share(normal(*shape, seed=9))).mean().backward()
    distributed.average_gradients(layer.parameters())
    gradients = {f"gradient of {name}": p.grad for name, p in layer.named_parameters()}
    gradient = distributed.global_batch(x.grad) / distributed.world_size()
    return {"y": distributed.global_batch(y), "gradient of x": gradient, **gradients, **dict(layer.named_buffers())}


def batch_norm_in_16_bits() -> Results:
    x = share(normal(6, 3, 4, 5)).bfloat16()
    y = BatchNorm2d(3)(x)
    assert y.dtype == torch.bfloat16
    return {"y": distributed.global_batch(y.float())}


SIZES = (4, 8)


def cost(**config: object) -> Results:
    """Cost of the KL, and the gradient of a scale of the divergence."""
    scale = nn.Parameter(torch.linspace(0.2, 2.0, sum(SIZES)))
    divergence = (share(normal(8, sum(SIZES))) * scale).square()
    value = kl.loss_term(KLConfig(**config), divergence, SIZES, 0.2)
    value.backward()
    distributed.average_gradients([scale])
    return {"value": distributed.all_reduce_mean(value.detach()), "gradient": scale.grad}


SIGNAL = Signal("mel", (16, 20), [0.5] * 16, [0.2] * 16, {})


def optimal_sigma() -> Results:
    scale = nn.Parameter(torch.tensor(1.0))
    objective = Objective(LossConfig(), SIGNAL)
    combined = (share(normal(8, 1)) * scale).square().flatten()
    nats = objective.nll(combined).mean()
    nats.backward()
    distributed.average_gradients([scale])
    return {
        "nats": distributed.all_reduce_mean(nats.detach()),
        "gradient": scale.grad,
        "variance": objective.likelihood_variance(combined),
    }


def codebook() -> Results:
    """A training: k-means over the first batches, moving averages, and unused codes that are moved."""
    torch.manual_seed(0)
    bottleneck = VQ(VQConfig(type="vq", codes=64, dim=4, prior_width=8), (6, 3, 5)).train()
    for step in range(KMEANS_BATCHES + 10):
        torch.manual_seed(step)
        if step == KMEANS_BATCHES:
            bottleneck.quantiser._codebook.cluster_size[:, ::3] = 0
        before = bottleneck.codes().clone()
        code = bottleneck.encode(share(normal(8, 6, 3, 5, seed=step)))
        if step == KMEANS_BATCHES:
            moved = (bottleneck.codes() - before).norm(dim=1)
            assert moved[::3].min() > 5 * moved[1::3].max(), "no unused code was moved"
    (code.penalties["usage"] + code.penalties["commitment"]).backward()
    layer = list(bottleneck.to_code.parameters())
    distributed.average_gradients(layer)
    penalties = {name: distributed.all_reduce_mean(value.detach()) for name, value in code.penalties.items()}
    gradients = {f"gradient {i}": p.grad for i, p in enumerate(layer)}
    return {**dict(bottleneck.quantiser.named_buffers()), **penalties, **gradients}


WAVE = Signal("waveform", (600,), 0.5, 0.2, {})


def discriminators(signal: Signal, *types: str) -> Results:
    torch.manual_seed(0)
    adversarial = {"weight": 0.1, "types": types, "width": 4, "feature_matching": 1.0}
    objective = Objective(LossConfig(adversarial=adversarial), signal)
    y, x = 0.5 + 0.1 * normal(8, 1, *signal.shape), 0.5 + 0.3 * normal(8, 1, *signal.shape, seed=1)
    none = torch.zeros(8 // distributed.world_size(), 2)
    net = objective.adversary.discriminators
    for step in range(5):
        terms = objective.discriminator_step(share(y), share(x), Code(none, none), 0.0)
        if step == 0:  # later gradients are rounding errors, which Adam amplifies
            gradients = {name: p.grad.clone() for name, p in net.named_parameters()}
    weights = nn.utils.parameters_to_vector(net.parameters()).detach()
    assert all(torch.equal(weights, other) for other in distributed.all_gather_object(weights))
    return {**gradients, **{name: distributed.all_reduce_mean(term.detach().mean()) for name, term in terms.items()}}


def step_of_a_model() -> Results:
    """Under DistributedDataParallel, whose reductions mix with those of the norms."""
    description = {
        "kind": "mel",
        "shape": (16, 20),
        "stats": {"mean": [0.2] * 16, "std": [0.3] * 16},
        "representation": {"kind": "mel"},
        "network": {"type": "conv2d", "channels": [8, 16]},
        "bottleneck": {"type": "gaussian", "latent": 6, "batch_norm": True},
    }
    torch.manual_seed(0)
    model = VAE(description)
    wrapped = model
    if distributed.world_size() > 1:
        wrapped = DistributedDataParallel(model, broadcast_buffers=False, bucket_cap_mb=0.001)
    objective = Objective(
        LossConfig(kl=KLConfig(free_nats=0.5, schedule="constant")), Signal.from_description(description)
    )
    x, noise = share(0.2 + 0.3 * normal(8, 1, 16, 20)), share(normal(8, 6, seed=1))
    y, code = wrapped(x, noise)
    nats = objective.nll(objective.combine(objective.distances(y, x, code))).mean()
    total = nats + objective.regulariser(objective.divergence(code), code, 1.0)
    total.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return {"total": distributed.all_reduce_mean(total.detach()), **gradients, **dict(model.named_buffers())}


CHECKS: dict[str, Callable[[], Results]] = {
    "batch norm 2d": lambda: norm(BatchNorm2d(3), 6, 3, 4, 5),
    "batch norm 1d": lambda: norm(BatchNorm1d(3), 6, 3, 4),
    "batch norm in 16 bits": batch_norm_in_16_bits,
    "unit variance": lambda: norm(UnitVariance(3), 6, 3, 4),
    "unit variance, one vector per rank": lambda: norm(UnitVariance(3), 2, 3, 1),
    "kl": cost,
    "free nats per dimension": lambda: cost(free_nats=1.0),
    "free nats per level": lambda: cost(free_nats=23.0, free_nats_per="level"),  # above one rank's upper level
    "free nats per window": lambda: cost(free_nats=14.0, free_nats_per="window"),
    "capacity": lambda: cost(capacity=35.0),  # 23 nats at this point of the warm-up: more than those of one rank
    "balance": lambda: cost(balance=True),
    "optimal sigma": optimal_sigma,
    "codebook": codebook,
    "patch discriminator": lambda: discriminators(SIGNAL, "patch"),
    "waveform discriminators": lambda: discriminators(WAVE, "multi_scale_stft", "multi_period"),
    "step of a model": step_of_a_model,
}


GAUSSIAN = {"type": "gaussian", "latent": 6}
NO_NORM = {"norm": "none"}
TRAININGS = {  # network, bottleneck, loss, tolerance
    "plain": (NO_NORM, GAUSSIAN, {"kl": {"free_nats": 0.1}}, 1e-5),
    "batch statistics": ({}, GAUSSIAN | {"batch_norm": True}, {}, 1e-3),
    "codebook": ({}, {"type": "vq", "codes": 8, "dim": 2, "prior_width": 8}, {"codebook": {}}, 1e-4),
    "adversary": (NO_NORM, GAUSSIAN, {"adversarial": {"weight": 0.1, "feature_matching": 1.0, "start": 0.5}}, 5e-3),
    "components": (NO_NORM | {"components": 8}, GAUSSIAN, {}, 1e-3),
    "crops": (
        ISTFT,
        SEQUENCE,
        {"adversarial": {"types": ["patch", "multi_period"], "weight": 0.1, "start": 0.5}},
        5e-3,
    ),
    "vocoder": (
        None,
        None,
        VOCODER_LOSS | {"adversarial": {"types": ["patch", "multi_period"], "weight": 0.1, "start": 0.5}},
        5e-3,
    ),
}
BATCH_STATISTICS = ("valid_usage", "valid_encoding_variance")  # in validation, batches of a rank are smaller


def train_kind(kind):
    network, bottleneck, loss, _ = TRAININGS[kind]
    if kind == "vocoder":
        model = new_vocoder(iterations=0)
    elif kind == "crops":
        model = new_wave_model(network=network, bottleneck=bottleneck)
    else:
        model = new_model(network={"type": "conv2d", "channels": [8, 16]} | network, bottleneck=bottleneck)
    # 7 batches of 14, the last one filled up; the last one of validation is smaller than a rank's share.
    settings = {"epochs": 3, "batch_size": 14, "snapshots": 2, "learning_rate": 1e-3}
    if kind == "plain":
        settings["augment"] = {"gain_db": 3.0, "flip_polarity": True}
    if kind in ("crops", "vocoder"):
        settings["crop_seconds"] = SECONDS
    if kind == "vocoder":
        settings["learning_rate"] = 1e-4  # else phases amplify rounding more
    return train(model, new_objective(**loss), **settings)[0], model.state_dict()


def evaluate_more_on_rank_0() -> None:
    """In evaluation mode, ranks do not wait for each other."""
    bottleneck = VQ(VQConfig(type="vq", codes=8, dim=4, prior_width=8), (6, 3, 5)).eval()
    for _ in range(2 - distributed.rank()):
        bottleneck.encode(normal(4, 6, 3, 5))
        UnitVariance(3).eval()(normal(4, 3, 1))


def call_all() -> dict[str, object]:
    """Results of each function of `distributed`."""
    rank = distributed.rank()
    x = torch.tensor([1.0 + rank, 2.0], requires_grad=True)
    averaged = distributed.all_reduce_mean(x)
    ((1 + rank) * averaged).sum().backward()
    number = torch.tensor([float(rank)])
    distributed.broadcast_(number)
    return {
        "rank": (rank, distributed.world_size()),
        "mean": averaged.tolist(),
        "gradient": x.grad.tolist(),
        "sum": distributed.all_reduce_sum(x).tolist(),
        "batch": distributed.global_batch(torch.tensor([rank, 10 + rank])).tolist(),
        "gather": distributed.all_gather(torch.full((rank, 2), rank)).tolist(),
        "objects": distributed.all_gather_object(f"of {rank}"),
        "object": distributed.broadcast_object(f"of {rank}"),
        "broadcast_": number.tolist(),
    }


def run(folder: str) -> None:
    """As a rank: run all checks."""
    with distributed.process_group(torch.device("cpu")) as device:
        assert device.type == "cpu"
        evaluate_more_on_rank_0()
        results = {name: check() for name, check in CHECKS.items()} | {"functions": call_all()}
        results["trainings"] = {kind: train_kind(kind) for kind in TRAININGS}
        torch.save(results, Path(folder) / f"{distributed.rank()}.pt")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("ranks")
    launch(run, [str(folder)], RANKS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(RANKS)]


@pytest.mark.parametrize("check", CHECKS)
def test_two_ranks_give_the_results_of_one(results, check):
    for name, value in CHECKS[check]().items():
        first, second = (results[rank][check][name] for rank in range(RANKS))
        assert torch.equal(first, second), f"{name} differs between the ranks"
        torch.testing.assert_close(first, value.detach(), rtol=1e-4, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize("kind", TRAININGS)
def test_two_ranks_train_like_one(results, kind):
    """The curves agree except for rounding, and both ranks have the same weights."""
    tolerance, ignored = TRAININGS[kind][-1], BATCH_STATISTICS
    if kind == "vocoder":
        ignored += ("grad_norm",)  # a phase has a large gradient where its magnitude is near 0
    expected, _ = train_kind(kind)
    (history, weights), (_, other_weights) = (results[rank]["trainings"][kind] for rank in range(RANKS))
    assert all(torch.equal(value, other_weights[name]) for name, value in weights.items())
    assert len(expected) == len(history) == 3
    for expected_row, row in zip(expected, history, strict=True):
        assert expected_row.keys() == row.keys()
        for name, value in expected_row.items():
            if name not in ignored:
                assert row[name] == pytest.approx(value, rel=tolerance, abs=tolerance), (row["epoch"], name)


@pytest.mark.parametrize(
    ("ours", "torchs", "shape"), [(BatchNorm1d, nn.BatchNorm1d, (4, 3, 5)), (BatchNorm2d, nn.BatchNorm2d, (4, 3, 5, 6))]
)
def test_on_one_rank_a_norm_equals_that_of_torch(ours, torchs, shape):
    ours, theirs, x = ours(3), torchs(3), normal(*shape)
    assert torch.equal(ours(x), theirs(x)) and torch.equal(ours.eval()(x), theirs.eval()(x))
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_functions_on_one_rank_and_on_two(results):
    expected = {
        "rank": [(0, 1), (0, 2), (1, 2)],
        "mean": [[1.0, 2.0], [1.5, 2.0], [1.5, 2.0]],
        "gradient": [[1.0, 1.0], [1.5, 1.5], [1.5, 1.5]],
        "sum": [[1.0, 2.0], [3.0, 4.0], [3.0, 4.0]],
        "batch": [[0, 10], [0, 1, 10, 11], [0, 1, 10, 11]],
        "gather": [[], [[1, 1]], [[1, 1]]],
        "objects": [["of 0"], ["of 0", "of 1"], ["of 0", "of 1"]],
        "object": ["of 0", "of 0", "of 0"],
        "broadcast_": [[0.0], [0.0], [0.0]],
    }
    with distributed.process_group(torch.device("cpu")):
        columns = [call_all(), *(results[rank]["functions"] for rank in range(RANKS))]
    assert {name: [column[name] for column in columns] for name in columns[0]} == expected
