"""studies/: each holds, and a slip in one is named."""

import pytest
import yaml
from typer.testing import CliRunner

from pipeline import params, schema, studies
from pipeline.cli import app
from pipeline.errors import ParamsError


@pytest.mark.parametrize("name", studies.names())
def test_every_study_passes_the_schema_and_changes_the_base(name):
    raw = studies.load(name)
    assert schema.load(raw) != schema.load(params.read())


def test_the_full_study_has_the_sizes_of_the_originals():
    models = schema.load(studies.load("full")).models
    assert models["mel_conv"].bottleneck.latent >= 512 and models["pca"].bottleneck.latent is None


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a study into a project of its own."""
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((studies.FOLDER.parent / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    return lambda **study: (tmp_path / "studies" / "mine.yaml").write_text(yaml.safe_dump(study))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"train.epoch": 3}, "train: unknown key 'epoch'; did you mean 'epochs'?"),
        ({"trian.epochs": 3}, "unknown key 'trian'; did you mean 'train'?"),
        ({"models.mel_con.train.epochs": 3}, "models.mel_con: no such entry; did you mean 'mel_conv'?"),
        ({"models.mel_conv.bottleneck.latnt": 3}, "models.mel_conv.bottleneck: unknown key 'latnt'"),
        ({"train.epochs.most": 3}, "train.epochs.most: train.epochs holds no keys"),
        ({}, "overrides: .*at least 1"),
    ],
)
def test_a_wrong_override_is_named_with_its_file(written, overrides, message):
    written(base="params.yaml", overrides=overrides)
    with pytest.raises(ParamsError, match=f"^studies/mine.yaml: {message}"):
        studies.load("mine")


def test_a_study_may_add_a_variant_and_a_key_that_the_base_leaves_out(written):
    block = {"representation": "wave3k", "network": {"type": "identity"}, "bottleneck": {"type": "linear", "latent": 8}}
    written(overrides={"models.wave_pca": block, "models.mel_conv.train.epochs": 7})
    models = schema.load(studies.load("mine")).models
    assert models["mel_conv"].train == {"epochs": 7} and models["wave_pca"].loss is None


def test_a_study_that_is_not_there_is_named(written):
    written(overrides={"train.epochs": 2})
    with pytest.raises(ParamsError, match="there is no study 'mien'; did you mean 'mine'"):
        studies.load("mien")


def test_the_command_puts_a_study_in_the_place_of_the_params(written):
    written(overrides={"train.epochs": 2})
    assert yaml.safe_load(CliRunner().invoke(app, ["params", "--study", "mine"]).stdout)["train"]["epochs"] == 2
    assert params.read()["train"]["epochs"] != 2
    result = CliRunner().invoke(app, ["params", "--study", "mine", "--output", "params.yaml"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert schema.load().train.epochs == 2
