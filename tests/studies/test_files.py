"""The files of studies/: the project's own are valid, and errors name file and key."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.core import params
from pipeline.core.errors import ParamsError
from pipeline.schema import schema
from pipeline.studies import study as studies


@pytest.mark.parametrize("name", studies.study_names())
def test_every_experiment_passes_the_schema_and_is_unlike_the_base_and_the_others(name):
    loaded = [schema.load(params.read_params())]
    loaded += [schema.load(experiment.raw) for experiment in studies.load_experiments(name)]
    assert all(one != other for i, one in enumerate(loaded) for other in loaded[:i])


def test_the_full_study_has_the_sizes_of_the_originals():
    models = schema.load(studies.study_params("full")).models
    assert models["mel_conv"].bottleneck.latent >= 512
    vectors = [m.bottleneck for m in models.values() if getattr(m.bottleneck, "layout", None) == "vector"]
    sizes = {getattr(b, "latent", 0) + getattr(b, "latent_z1", 0) + getattr(b, "latent_z2", 0) for b in vectors}
    assert models["pca"].bottleneck.latent >= max(sizes)  # else a variant has no PCA of its size
    assert [name for name, m in models.items() if m.network.components] == ["wave_full"]  # no system had it
    strides = {name: set(m.network.stage_strides) for name, m in models.items() if hasattr(m.network, "stage_strides")}
    mel, wave = {name for name in strides if name.startswith("mel")}, {"wave_vqvae": {4}, "wave_conv": {5}}
    assert strides == {name: {2} for name in mel} | wave | {"wave_resnet": {2}}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes studies/mine.yaml of a new project."""
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((studies.FOLDER.parent / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    return lambda **study: (tmp_path / "studies" / "mine.yaml").write_text(yaml.safe_dump(study, sort_keys=False))


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({}, "a study needs `overrides`, `models`, `experiments`, `grid` or `search`"),
        ({"overrides": {"train.epoch": 3}}, "train: unknown key 'epoch'; did you mean 'epochs'?"),
        ({"overrides": {"trian.epochs": 3}}, "unknown key 'trian'; did you mean 'train'?"),
        ({"overrides": {"models.mel_con.network": 3}}, "models.mel_con: no such entry; did you mean 'mel_conv'?"),
        ({"overrides": {"models.mel_conv.bottleneck.latnt": 3}}, "models.mel_conv.bottleneck: unknown key 'latnt'"),
        ({"overrides": {"train.epochs.most": 3}}, "train.epochs.most: train.epochs is no section"),
        ({"models": {"long": {"from": "mel_con"}}}, "models.long.from: no such entry; did you mean 'mel_conv'?"),
        ({"models": {"long": {}}}, "models.long.from: no such entry"),
        ({"models": {"a.b": {"from": "mel_conv"}}}, "models.a.b"),
        ({"models": {"long": {"from": "mel_conv", "los.kl.beta": 1}}}, "models.long: unknown key 'los'"),
        ({"models": {"mel_conv": {"representation.kind": 1}}}, "models.mel_conv.representation.kind: .*is no section"),
        ({"models": ["mel_con"]}, "models.mel_con.from: no such entry; did you mean 'mel_conv'?"),
        ({"experiments": {"a": {"train.epoch": 1}}}, "a: train: unknown key 'epoch'"),
        ({"experiments": {"a b": {"train.epochs": 1}}}, "experiments.a b"),
        ({"grid": {"train.epochs": [3, 0]}}, "epochs-0: train.epochs"),
        ({"grid": {"train.epochs": []}}, "grid.train.epochs"),
        ({"grid": {"train.epochs": [3, 3]}}, "two experiments are called 'epochs-3'"),
    ],
)
def test_an_error_names_file_and_key(write, study, message):
    write(**study)
    with pytest.raises(ParamsError, match=f"^studies/mine.yaml: {message}"):
        studies.load_experiments("mine")


def test_a_study_may_add_a_variant_and_a_key(write):
    variant = {"representation": "wave3k", "network": {"type": "identity"}}
    variant |= {"bottleneck": {"type": "linear", "latent": 8}}
    write(overrides={"models.wave_pca": variant, "models.mel_conv.train.epochs": 7})
    models = schema.load(studies.study_params("mine")).models
    assert models["mel_conv"].train == {"epochs": 7} and models["wave_pca"].loss is None


def test_a_study_may_derive_its_variants_from_those_of_the_base(write):
    write(models={"pca": {}, "long": {"from": "mel_conv", "train.epochs": 50, "loss.kl.beta": 0.5}})
    models, base = (schema.load(raw).models for raw in (studies.study_params("mine"), params.read_params()))
    assert set(models) == {"pca", "long"} and models["pca"] == base["pca"]
    assert models["long"].train["epochs"] == 50 and models["long"].loss.kl.beta == 0.5
    assert models["long"].network == base["mel_conv"].network and base["mel_conv"].loss.kl.beta == 1.0


def test_the_variants_of_the_losses_study_differ_only_in_their_loss():
    models = {n: m for n, m in schema.load(studies.study_params("losses")).models.items() if m.loss}
    losses = [model.loss.model_dump_json() for model in models.values()]
    assert len(set(losses)) == len(losses) == 7
    assert len({model.model_copy(update={"loss": None}).model_dump_json() for model in models.values()}) == 1


def test_an_unknown_study_gets_a_suggestion(write):
    write(overrides={"train.epochs": 2})
    with pytest.raises(ParamsError, match="there is no study 'mien'; did you mean 'mine'"):
        studies.study_params("mien")


def test_the_command_params_writes_the_params_of_a_study(write):
    write(overrides={"train.epochs": 2})
    assert yaml.safe_load(CliRunner().invoke(app, ["params", "--study", "mine"]).stdout)["train"]["epochs"] == 2
    assert params.read_params()["train"]["epochs"] != 2
    result = CliRunner().invoke(app, ["params", "--study", "mine", "--output", "params.yaml"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert schema.load().train.epochs == 2


def test_experiments_are_crossed_with_the_grid(write):
    write(
        models=["pca", "mel_conv", "mel_fc"],
        overrides={"models.*.train.patience": 3},
        experiments={"plain": {}, "spectral": {"models.mel_conv.loss.spectral.weight": 0.3}},
        grid={"models.*.train.epochs": [5, 9]},
    )
    experiments = studies.load_experiments("mine")
    variants = {one.name: schema.load(one.raw).models for one in experiments}
    assert list(variants) == ["plain-5", "plain-9", "spectral-5", "spectral-9"]
    assert experiments[0].full_name == "mine-plain-5"
    assert [one.compared_with for one in experiments] == [None, None, "plain-5", "plain-9"]
    for name, models in variants.items():
        assert set(models) == {"pca", "mel_conv", "mel_fc"} and models["pca"].train == {}  # a baseline
        assert {models[v].train["epochs"] for v in ("mel_conv", "mel_fc")} == {int(name[-1])}
        assert {models[v].train["patience"] for v in ("mel_conv", "mel_fc")} == {3}
        assert models["mel_conv"].loss.spectral.weight == (0.3 if name.startswith("spectral") else 0.0)
        assert models["mel_fc"].loss.spectral.weight == 0.0


def test_all_values_of_a_single_grid_are_compared_with_the_first(write):
    write(models=["mel_conv"], grid={"models.mel_conv.train.epochs": [5, 9, 12]})
    assert [one.compared_with for one in studies.load_experiments("mine")] == [None, "epochs-5", "epochs-5"]


def test_names_contain_the_keys_if_the_grid_has_several(write):
    write(grid={"train.clip_norm": [0.5, 1.0], "models.mel_conv.network.channels": [[8]]})
    names = [one.name for one in studies.load_experiments("mine")]
    assert names == ["clip_norm-0.5-channels-8", "clip_norm-1.0-channels-8"]
    assert studies.study_params(f"mine/{names[0]}")["train"]["clip_norm"] == 0.5


@pytest.mark.parametrize("name", ["my study", "größe", "a,b"])
def test_a_name_that_dvc_would_refuse_is_an_error(write, name):
    write(overrides={"train.epochs": 2})
    (studies.FOLDER / "mine.yaml").rename(studies.FOLDER / f"{name}.yaml")
    with pytest.raises(ParamsError, match=f"^studies/{name}.yaml: .*letters, digits"):
        studies.load_study(name)


def test_hidden_files_are_no_studies(write):
    write(overrides={"train.epochs": 2})
    (studies.FOLDER / ".#mine.yaml").symlink_to("me@here")
    assert studies.study_names() == ["mine"]


def test_the_params_of_a_study_need_the_name_of_an_experiment(write):
    write(grid={"train.epochs": [2, 3]})
    with pytest.raises(ParamsError, match="mine has 2 experiments; take one, as in mine/epochs-2"):
        studies.study_params("mine")
    with pytest.raises(ParamsError, match="no experiment 'epochs-4'; did you mean 'epochs-"):
        studies.study_params("mine/epochs-4")


def test_the_list_has_a_sentence_on_each_study_or_its_error(write):
    write(grid={"train.epochs": [2, 3]})
    file = studies.FOLDER / "mine.yaml"
    file.write_text(f"# Two lengths of\n# training. More of it.\n{file.read_text()}")
    (studies.FOLDER / "wrong.yaml").write_text("overrides: {trian.epochs: 3}\n")
    result = CliRunner().invoke(app, ["study", "list", "--json"])
    assert json.loads(result.stdout)[0] == {"study": "mine", "experiments": 2, "about": "Two lengths of training"}
    assert json.loads(result.stdout)[1]["about"].startswith("error: studies/wrong.yaml: unknown key 'trian'")
    lines = CliRunner().invoke(app, ["study", "list"]).stdout.splitlines()
    assert lines[0].split() == ["mine", "2", "experiments", "Two", "lengths", "of", "training"]
