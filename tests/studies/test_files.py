"""studies/: each holds, and a slip in one is named."""

import pytest
import yaml
from typer.testing import CliRunner

from pipeline import params, schema
from pipeline.cli import app
from pipeline.errors import ParamsError
from pipeline.studies import study as studies


@pytest.mark.parametrize("name", studies.names())
def test_every_study_passes_the_schema_and_changes_the_base(name):
    found = [schema.load(one.raw) for one in studies.experiments(name)]
    assert all(one != schema.load(params.read()) for one in found)
    assert all(one != other for i, one in enumerate(found) for other in found[:i])


def test_the_full_study_has_the_sizes_of_the_originals():
    models = schema.load(studies.params("full")).models
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
        ({}, "a study has `overrides`, `models`, `experiments` or `grid`"),
    ],
)
def test_a_wrong_override_is_named_with_its_file(written, overrides, message):
    written(base="params.yaml", overrides=overrides)
    with pytest.raises(ParamsError, match=f"^studies/mine.yaml: {message}"):
        studies.params("mine")


def test_a_study_may_add_a_variant_and_a_key_that_the_base_leaves_out(written):
    block = {"representation": "wave3k", "network": {"type": "identity"}, "bottleneck": {"type": "linear", "latent": 8}}
    written(overrides={"models.wave_pca": block, "models.mel_conv.train.epochs": 7})
    models = schema.load(studies.params("mine")).models
    assert models["mel_conv"].train == {"epochs": 7} and models["wave_pca"].loss is None


def test_a_study_may_make_its_variants_of_those_of_the_base(written):
    written(models={"pca": {}, "long": {"from": "mel_conv", "train.epochs": 50, "loss.kl.beta": 0.5}})
    models, base = (schema.load(raw).models for raw in (studies.params("mine"), params.read()))
    assert set(models) == {"pca", "long"} and models["pca"] == base["pca"]
    assert models["long"].train["epochs"] == 50 and models["long"].loss.kl.beta == 0.5
    assert models["long"].network == base["mel_conv"].network and base["mel_conv"].loss.kl.beta == 1.0


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"long": {"from": "mel_con"}}, "models.long.from: no such entry; did you mean 'mel_conv'?"),
        ({"long": {}}, "models.long.from: no such entry"),
        ({"a.b": {"from": "mel_conv"}}, "models.a.b"),
        ({"long": {"from": "mel_conv", "los.kl.beta": 1}}, "models.long: unknown key 'los'"),
        ({"long": {"from": "mel_conv", "representation.kind": 1}}, "models.long.representation.kind: .*holds no keys"),
    ],
)
def test_a_wrong_variant_of_a_study_is_named(written, models, message):
    written(models=models)
    with pytest.raises(ParamsError, match=f"^studies/mine.yaml: {message}"):
        studies.params("mine")


def test_each_variant_of_the_losses_study_differs_in_its_loss_alone():
    models = {n: m for n, m in schema.load(studies.params("losses")).models.items() if m.loss}
    losses = [model.loss.model_dump_json() for model in models.values()]
    assert len(set(losses)) == len(losses) == 7
    assert len({model.model_copy(update={"loss": None}).model_dump_json() for model in models.values()}) == 1


def test_a_study_that_is_not_there_is_named(written):
    written(overrides={"train.epochs": 2})
    with pytest.raises(ParamsError, match="there is no study 'mien'; did you mean 'mine'"):
        studies.params("mien")


def test_the_command_puts_a_study_in_the_place_of_the_params(written):
    written(overrides={"train.epochs": 2})
    assert yaml.safe_load(CliRunner().invoke(app, ["params", "--study", "mine"]).stdout)["train"]["epochs"] == 2
    assert params.read()["train"]["epochs"] != 2
    result = CliRunner().invoke(app, ["params", "--study", "mine", "--output", "params.yaml"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert schema.load().train.epochs == 2
