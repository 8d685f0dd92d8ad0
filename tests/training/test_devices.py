"""Two processes train as one does: the same batches, noise and statistics, so the same curves but for rounding."""

import pickle
from pathlib import Path

import pytest
import torch

from pipeline.core import distributed
from pipeline.dataset.split import Split
from pipeline.losses.config import LossConfig
from pipeline.losses.objective import Objective
from pipeline.models.signal import Signal
from pipeline.models.vae import build
from pipeline.training.config import TrainConfig
from pipeline.training.launch import launch
from pipeline.training.loop import fit
from tests.training.recording import Recording
from tests.training.test_loop import CPU, DESCRIPTION, TRAIN, VALID

GAUSSIAN = {"type": "gaussian", "latent": 6}
KINDS = {  # network's norm, bottleneck, loss, and how close the curves are
    "plain": ("none", GAUSSIAN, {"kl": {"free_bits": 0.1}}, 1e-5),
    "batch statistics": ("batch", GAUSSIAN | {"batch_norm": True}, {}, 1e-3),
    "codebook": ("batch", {"type": "vq", "codes": 8, "dim": 2, "prior_width": 8}, {"codebook": {}}, 1e-4),
    "adversary": ("none", GAUSSIAN, {"adversarial": 0.1}, 5e-3),
}
OF_A_BATCH = ("valid_usage", "valid_encoding_variance")  # statistics of a batch: in validation a rank has smaller ones


def train(kind):
    norm, bottleneck, loss, _ = KINDS[kind]
    torch.manual_seed(0)
    network = {"type": "conv2d", "channels": [8, 16], "norm": norm}
    model = build(DESCRIPTION | {"network": network, "bottleneck": bottleneck})
    objective = Objective(LossConfig(**loss), Signal.from_description(DESCRIPTION))
    # 7 batches of 14, of which the last is filled up; the validation's last one is smaller than a rank's share.
    config = TrainConfig(epochs=3, batch_size=14, warmup_steps=4, snapshots=2, learning_rate=1e-3)
    return fit(model, TRAIN, VALID, config, objective, 0, CPU, Recording())[0], model.state_dict()


def as_ranks(out):
    """What each of two ranks does."""
    with distributed.process_group(CPU):
        assert distributed.world_size() == 2 and isinstance(TRAIN, Split)
        found = {kind: train(kind) for kind in KINDS}
        same = all(
            torch.equal(mine, other)
            for _, state in found.values()
            for name, mine in state.items()
            for other in [distributed.broadcast_object(mine)]
        )
        agreed = distributed.all_gather_object(same)
        if distributed.rank() == 0:
            Path(out).write_bytes(pickle.dumps((found, all(agreed))))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    out = tmp_path_factory.mktemp("ranks") / "found"
    launch(as_ranks, (str(out),), 2)
    return pickle.loads(out.read_bytes())


@pytest.mark.parametrize("kind", KINDS)
def test_the_curves_are_those_of_one_process(ranks, kind):
    close = KINDS[kind][-1]
    (alone, _), (together, _) = train(kind), ranks[0][kind]
    assert len(alone) == len(together) == 3
    for one, two in zip(alone, together, strict=True):
        assert one.keys() == two.keys()
        for name in one:
            if "second" not in name and name not in OF_A_BATCH:
                assert two[name] == pytest.approx(one[name], rel=close, abs=close), (one["epoch"], name)


def test_all_ranks_hold_the_same_weights(ranks):
    assert ranks[1]
