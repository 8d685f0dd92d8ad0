"""A trained variant belongs to the settings that it was trained with."""

import json
from pathlib import Path

import pytest

from pipeline.core.errors import DataError
from pipeline.core.params import read_params
from pipeline.training.config import check_trained, decisive, variant

FOLDER = Path("data/models/mel_cvae/seed-0")


@pytest.fixture(scope="module")
def raw():
    return read_params()


def kept(raw, name):
    """What config.json gives back of a variant as it is in `raw`."""
    return json.loads(json.dumps({"variant": name, "seed": 0, **decisive(*variant(raw, name))}))


def test_every_variant_is_as_it_was_trained(raw):
    for name in raw["models"]:
        assert check_trained(FOLDER, kept(raw, name), decisive(*variant(raw, name))) is None
    fitted = kept(raw, "pca")
    fitted["bottleneck"]["latent"] = 11  # null in params: as many as the data allow
    assert check_trained(FOLDER, fitted, decisive(*variant(raw, "pca"))) is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train": {"epochs": 99}}, r"mel_cvae/seed-0: trained with train.epochs \d+, where params.yaml has 99; run "),
        ({"bottleneck": {"type": "gaussian", "latent": 5}}, "trained with bottleneck.latent "),
        ({"condition": None}, "trained with condition"),
        ({"loss": {"kl": {"beta": 0.5}}}, "with loss.kl.beta 1.0, where params.yaml has 0.5; .*train@mel_cvae"),
        ({"representation": "mel256"}, "with input mel128, where params.yaml has mel256"),
    ],
)
def test_another_setting_is_named(raw, changed, message):
    now = {**raw, "models": {"mel_cvae": {**raw["models"]["mel_cvae"], **changed}}}
    with pytest.raises(DataError, match=message):
        check_trained(FOLDER, kept(raw, "mel_cvae"), decisive(*variant(now, "mel_cvae")))
