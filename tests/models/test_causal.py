"""Causal networks: a change of the input at a sample changes no output before it, but for the stated latency."""

import math

import pytest
import torch

from pipeline.models.networks.pqmf import BLOCKS
from pipeline.models.networks.strided1d import same_conv
from tests.models.test_networks import CONV, ISTFT, make_model, waves

CHANGED = 700  # of 1,000 samples


def latency(network: dict) -> int:
    """Samples by which an output may look ahead: the formula of docs/blocks.md."""
    strides = network["strides"]
    positions = math.prod(strides) if isinstance(strides, list) else strides ** len(network["channels"])
    bands = network.get("pqmf", 1)
    length, hop = (network["n_fft"], network["hop"]) if network["type"] == "istft" else (bands, bands)
    length = BLOCKS * bands if "pqmf" in network else length
    return length + (positions - 1) * hop - 1


def look_ahead(network: dict, changes: range) -> int:
    """By how many samples an output precedes a change of the input that it sees: the maximum over the changes."""
    model, x = make_model(network).eval(), waves(1000, 1)
    furthest = 0
    with torch.no_grad():
        y = model.reconstruct(x)
        for changed in changes:
            other = torch.cat((x[..., :changed], -2 * x[..., changed:]), -1)
            first = int((model.reconstruct(other) != y)[0, 0].nonzero()[0])
            furthest = max(furthest, changed - first)
    return furthest


@pytest.mark.parametrize(
    "network",
    [
        CONV | {"strides": 3},
        CONV | {"strides": [5, 2], "skip": True},
        CONV | {"strides": [2, 5], "activation": "elu", "weight_norm": False},
        CONV | {"strides": [3, 2], "pqmf": 4},
        *(ISTFT | {"strides": strides} for strides in ([], [3], [2, 2])),
    ],
    ids=str,
)
def test_outputs_see_later_samples_only_within_the_latency(network):
    ahead = latency(network)
    changes = range(CHANGED, CHANGED + ahead + 1)
    assert ahead / 2 < look_ahead(network | {"causal": True}, changes) <= ahead
    assert look_ahead(network, range(CHANGED, CHANGED + 1)) > ahead


def test_a_causal_convolution_is_the_plain_one_delayed():
    causal, plain = same_conv(4, 3, True, dilation=9), same_conv(4, 3, False, dilation=9)
    plain.load_state_dict(causal.state_dict())
    x = torch.randn(2, 4, 50, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(causal(x)[..., 9:], plain(x)[..., :-9])
