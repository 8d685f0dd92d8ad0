"""Params of a training that do not fit the variant."""

import pytest

from pipeline.core.errors import ParamsError
from pipeline.schema import schema
from tests.schema.test_params import changed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"network": {"type": "resnet1d", "channels": [8, 8], "strides": [60, 60]}},
            "with crops, network.strides: .*60",
        ),
        ({"bottleneck": {"type": "gaussian"}, "loss": {}}, "the latent has a vector for the whole window"),
        ({"network": {"type": "fc"}}, "the network has weights for the whole window"),
        ({"network": {"type": "conv1d", "pooling": "global"}}, "the network has weights for the whole window"),
        (
            {"bottleneck": {"type": "gaussian", "layout": "sequence"}, "loss": {"kl": {"capacity": 9}}},
            "loss.kl.capacity and free_nats count nats of a whole",
        ),
    ],
)
def test_crops_need_weights_and_terms_that_mean_the_same_for_a_window(changes, message):
    raw = changed("models.wave_vqvae.train", {"crop_seconds": 1})
    schema.load(raw)
    raw["models"]["wave_vqvae"] |= changes
    with pytest.raises(ParamsError, match=rf"models\.wave_vqvae\.train\.crop_seconds: {message}"):
        schema.load(raw)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": {"type": "conv1d", "causal": True, "components": 64}}, "components are computed from whole"),
        ({"network": {"type": "conv1d", "causal": True, "pooling": "global"}}, "pooling global averages over"),
        ({"scaling": "peak"}, "scaling peak needs the gain of the whole window"),
        ({"bottleneck": {"type": "gaussian"}}, "a part of the latent is computed from the whole window"),
        ({"bottleneck": {"type": "hierarchical"}}, "a part of the latent is computed from the whole window"),
        (
            {"bottleneck": {"type": "gaussian", "layout": "sequence", "covariance": "isotropic"}},
            "a part of the latent is computed from the whole window",
        ),
    ],
    ids=str,
)
def test_a_causal_variant_has_nothing_that_is_computed_from_the_whole_window(changes, message):
    network = {"type": "istft", "causal": True}
    bottleneck = {"type": "gaussian", "layout": "sequence"}
    raw = changed("models.wave_conv", {"representation": "wave3k", "network": network, "bottleneck": bottleneck})
    schema.load(raw)
    raw["models"]["wave_conv"] |= changes
    with pytest.raises(ParamsError, match=rf"models\.wave_conv\.network\.causal: {message}"):
        schema.load(raw)


def test_a_random_gain_needs_a_model_that_sees_the_gain():
    raw = changed("models.wave_vqvae.train.augment", {"gain_db": 6})
    schema.load(raw)
    raw["models"]["wave_vqvae"]["scaling"] = "rms"
    with pytest.raises(ParamsError, match=r"augment\.gain_db: scaling rms divides each window by its gain"):
        schema.load(raw)
