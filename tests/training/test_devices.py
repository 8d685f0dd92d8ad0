"""Two processes train like one: same batches, noise and statistics, so the same curves except for rounding."""

import pickle
from pathlib import Path

import pytest
import torch

from pipeline.core import distributed
from pipeline.dataset.split import Split
from pipeline.training.launch import launch
from tests.training.small import CPU, TRAIN, new_model, new_objective, train

GAUSSIAN = {"type": "gaussian", "latent": 6}
KINDS = {  # norm of the network, bottleneck, loss, tolerance
    "plain": ("none", GAUSSIAN, {"kl": {"free_bits": 0.1}}, 1e-5),
    "batch statistics": ("batch", GAUSSIAN | {"batch_norm": True}, {}, 1e-3),
    "codebook": ("batch", {"type": "vq", "codes": 8, "dim": 2, "prior_width": 8}, {"codebook": {}}, 1e-4),
    "adversary": ("none", GAUSSIAN, {"adversarial": 0.1}, 5e-3),
}
BATCH_STATISTICS = ("valid_usage", "valid_encoding_variance")  # in validation, batches of a rank are smaller


def train_kind(kind):
    norm, bottleneck, loss, _ = KINDS[kind]
    network = {"type": "conv2d", "channels": [8, 16], "norm": norm}
    model = new_model(network=network, bottleneck=bottleneck)
    # 7 batches of 14, the last one filled up; the last one of validation is smaller than a rank's share.
    settings = {"epochs": 3, "batch_size": 14, "snapshots": 2, "learning_rate": 1e-3}
    return train(model, new_objective(**loss), **settings)[0], model.state_dict()


def train_all_kinds(out):
    """As one of two ranks."""
    with distributed.process_group(CPU):
        assert distributed.world_size() == 2 and isinstance(TRAIN, Split)
        results = {kind: train_kind(kind) for kind in KINDS}
        is_equal = all(
            torch.equal(weights, first)
            for _, state in results.values()
            for weights in state.values()
            for first in [distributed.broadcast_object(weights)]
        )
        all_equal = all(distributed.all_gather_object(is_equal))
        if distributed.rank() == 0:
            Path(out).write_bytes(pickle.dumps((results, all_equal)))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    out = tmp_path_factory.mktemp("ranks") / "results"
    launch(train_all_kinds, (str(out),), 2)
    return pickle.loads(out.read_bytes())


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_give_the_curves_of_one(ranks, kind):
    tolerance = KINDS[kind][-1]
    (expected, _), (history, _) = train_kind(kind), ranks[0][kind]
    assert len(expected) == len(history) == 3
    for expected_row, row in zip(expected, history, strict=True):
        assert expected_row.keys() == row.keys()
        for name, value in expected_row.items():
            if "second" not in name and name not in BATCH_STATISTICS:
                assert row[name] == pytest.approx(value, rel=tolerance, abs=tolerance), (row["epoch"], name)


def test_all_ranks_have_the_same_weights(ranks):
    assert ranks[1]
