"""The settings that a variant was trained with are compared with params.yaml; the schema has the same defaults."""

import json
from pathlib import Path

import pytest

from pipeline.core.errors import DataError
from pipeline.core.params import read_params
from pipeline.training.config import TrainConfig, check_trained, read_variant, settings_that_decide_weights

FOLDER = Path("data/models/mel_cvae/seed-0")


@pytest.fixture(scope="module")
def raw():
    return read_params()


def saved(raw, name):
    """The settings of a trained variant as config.json gives them back."""
    settings = settings_that_decide_weights(*read_variant(raw, name))
    return json.loads(json.dumps({"variant": name, "seed": 0, **settings}))


def test_the_schema_has_the_defaults_of_params_yaml(raw):
    assert TrainConfig() == TrainConfig(**raw["train"])


def test_every_variant_matches_its_own_settings(raw):
    for name in raw["models"]:
        assert check_trained(FOLDER, saved(raw, name), settings_that_decide_weights(*read_variant(raw, name))) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"epochs": 99}}, r"mel_cvae/seed-0: trained with train.epochs \d+, where params.yaml has 99; run "),
        ({"bottleneck": {"type": "gaussian", "latent": 5}}, "trained with bottleneck.latent "),
        ({"condition": None}, "trained with condition"),
        ({"loss": {"kl": {"beta": 0.5}}}, "with loss.kl.beta 1.0, where params.yaml has 0.5; .*train@mel_cvae"),
        ({"representation": "mel256"}, "with input mel128, where params.yaml has mel256"),
    ],
)
def test_a_changed_setting_is_named(raw, changes, message):
    changed = {**raw, "models": {"mel_cvae": {**raw["models"]["mel_cvae"], **changes}}}
    with pytest.raises(DataError, match=message):
        check_trained(FOLDER, saved(raw, "mel_cvae"), settings_that_decide_weights(*read_variant(changed, "mel_cvae")))
