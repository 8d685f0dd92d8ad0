"""params.yaml and its errors: each names the key and says what to do."""

import copy
import math
import re
from typing import Literal, get_args, get_origin

import pytest
import yaml
from pydantic import ValidationError

from pipeline.core import params
from pipeline.core.errors import ParamsError
from pipeline.schema import explain, schema
from pipeline.training.config import read_variant

RAW = params.read_params()
CONV2D = {"type": "conv2d", "channels": [16, 32, 64]}
COMPONENTS = {"components": 128}
VAMP = {"type": "gaussian", "prior": {"type": "vamp"}}
VAMP_FREE_NATS = RAW["models"]["mel_conv"] | {
    "network": CONV2D,
    "bottleneck": VAMP,
    "loss": {"kl": {"estimator": "monte_carlo", "free_nats": 1.0}},
}
NORMAL_FREE_NATS = RAW["models"]["mel_conv"] | {
    "bottleneck": {"type": "gaussian", "prior": {"type": "normal"}},
    "loss": {"kl": {"free_nats": 0.5}},
}
LEVEL_FREE_NATS = {"free_nats": 1, "free_nats_per": "level"}


def changed(key: str, value: object) -> dict:
    """The committed params with one key set."""
    raw = copy.deepcopy(RAW)
    *path, last = key.split(".")
    section = raw
    for step in path:
        section = section[step]
    section[last] = value
    return raw


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("windws", {}, "unknown key 'windws'; did you mean 'windows'?"),
        ("windows.second", 5, "windows: unknown key 'second'; did you mean 'seconds'?"),
        ("windows.seconds", "five", "windows.seconds: .*number.*'five'"),
        ("windows.splits.train", 0.9, r"windows.splits: train \+ valid \+ test must be 1"),
        ("source.name", "gtzn", "source.name: .*'folder', 'gtzan' or 'musicnet'"),
        ("source.synth.styles", 13, "source.synth.styles: .*12"),
        ("representations.mel128.band", 64, "representations.mel128: unknown key 'band'; did you mean 'bands'?"),
        ("representations.mel128.kind", "mell", "representations.mel128: .*'mel'"),
        ("representations.mel128.bands", 1500, "representations.mel128: .*n_fft of at least 3000"),
        ("models.mel_conv.network.chanels", [1], "models.mel_conv.network: unknown key 'chanels'"),
        ("models.mel_conv.network.type", "resnet1d", "models.mel_conv.network: unknown key 'blocks'"),
        ("models.mel_conv.bottleneck.latent", 0, "models.mel_conv.bottleneck.latent: .*(it is 0)"),
        ("models.mel_conv.representation", "mel12", "models.mel_conv.representation: .*did you mean 'mel128'"),
        ("models.mel_conv.representation", "wave3k", "models.mel_conv.network.type: conv2d takes a mel"),
        ("models.mel_conv.loss.reconstruction.type", "bce", "bce needs network.head sigmoid, not linear"),
        ("models.mel_fsq.bottleneck.levels", [8, 2], r"models.mel_fsq.bottleneck.levels.1: .*3"),
        ("models.mel_vqvae.bottleneck.latent", 64, "models.mel_vqvae.bottleneck: unknown key 'latent'"),
        ("models.mel_conv.loss.codebook", {}, "loss.codebook: .*gaussian has no learned codebook; .*use vq"),
        ("models.mel_vqvae.loss.kl.estimator", "monte_carlo", "loss.kl.estimator: the KL of codes is computed exactly"),
        ("models.mel_conv.loss.reconstruction.type", "log_magnitude", "never negative: .*not a mel and linear"),
        ("models.mel_conv.loss.reconstruction.type", "multi_mel", "type: multi_mel is not for a mel; use gaussian"),
        ("models.mel_conv.loss.reconstruction.type", "mrstft", "type: mrstft is not for a mel; use gaussian"),
        ("models.wave_resnet.loss.reconstruction.weighting", "a_weighting", "weighting: .*for the bands of a mel"),
        ("models.mel_conv.loss.spectrl", 0.1, "models.mel_conv.loss: unknown key 'spectrl'; did you mean 'spectral'?"),
        ("models.mel_conv.loss.spectral", 0.1, "loss.spectral: Input should be a section with keys of its own"),
        ("models.mel_conv.loss.spectral", {"type": "mrstft"}, "spectral.type: mrstft is not for a mel; use fourier"),
        (
            "models.wave_fc.loss.spectral.type",
            "fourier",
            "fourier is not for a waveform; use band_levels or mrstft or multi_mel",
        ),
        (
            "models.mel_conv.loss.adversarial",
            {"weight": 1, "types": ["patch", "multi_period"]},
            "multi_period is for wave",
        ),
        ("models.mel_conv.loss.adversarial", {"feature_matching": 1}, "adversarial.feature_matching: .*; set weight"),
        ("models.mel_conv.loss.adversarial", {"types": []}, "loss.adversarial.types: .*at least 1"),
        ("models.mel_conv.loss.adversarial", {"betas": [0.5]}, "loss.adversarial.betas: .*at least 2"),
        (
            "models.mel_conv",
            RAW["models"]["mel_conv"] | {"loss": {"adversarial": {"weight": 1}}, "train": {"patience": 3}},
            "models.mel_conv.train.patience: the validation loss has no adversarial term",
        ),
        (
            "models.mel_conv",
            RAW["models"]["mel_conv"] | {"loss": {"adversarial": {"weight": 1}}, "train": {"schedule": "plateau"}},
            "models.mel_conv.train.schedule: the validation loss has no adversarial term",
        ),
        ("train.betas", [0.9, 1.0], r"train\.betas\.1: .*less than 1 \(it is 1\.0\)"),
        (
            "train.augment",
            {"gain_db": 3.0},
            r"models\.mel_elbo\.train\.augment: only waveforms are augmented, not a mel",
        ),
        (
            "models.mel_vqvae.network.encoder",
            "inverse",
            "mel_vqvae.network.encoder: codes decide",
        ),
        ("models.mel_conv.loss.kl.free_bits", 48, "loss.kl: unknown key 'free_bits'; did you mean 'free_nats'?"),
        ("models.mel_conv.scaling", "rms", "models.mel_conv.scaling: only a waveform is scaled"),
        ("models.mel_conv.loss.reconstruction.sigma", -1, "models.mel_conv.loss.reconstruction.sigma"),
        ("models.mel_conv.bottleneck.prior", {"type": "mixture"}, "loss.kl.estimator: .*use monte_carlo"),
        ("models.mel_conv.bottleneck.prior", {"type": "vamp", "inputs": 3}, "bottleneck.prior: unknown key 'inputs'"),
        ("models.mel_conv.bottleneck", VAMP | {"batch_norm": True}, "mel_conv.bottleneck.batch_norm: .*pseudo-inputs"),
        ("models.mel_conv", VAMP_FREE_NATS, "models.mel_conv.loss.kl.free_nats_per: .*use window"),
        ("models.mel_conv", NORMAL_FREE_NATS, "loss.kl.free_nats_per: the KL from a learned prior .*use window"),
        ("models.mel_hvae.loss.kl.free_nats", 0.5, "loss.kl.free_nats_per: the KL from a learned prior .*use window"),
        ("models.mel_conv.loss.kl", LEVEL_FREE_NATS, "kl.free_nats_per: only a hierarchical bottleneck has levels"),
        ("models.mel_hvae.loss.kl.estimator", "monte_carlo", "loss.kl.estimator: the KL from a learned normal prior"),
        ("models.mel_mse.loss.reconstruction", {"type": "mse", "sigma": 0.1}, "sigma: only a gaussian likelihood"),
        (
            "models.mel_elbo.network",
            CONV2D | {"head": "sigmoid"},
            "loss.range: network.head sigmoid never leaves the range",
        ),
        ("models.mel_vqvae.network", {"type": "identity"}, "vqvae.network.type: identity has one position per value"),
        ("models.wave_vqvae.train.crop_seconds", 0.01, "wave_vqvae.train.crop_seconds: 0.01 has 30 samples, fewer"),
        (
            "models.wave_conv.train",
            {"crop_seconds": 0.3},
            "crop_seconds: a crop has one patch .* more than 1000 samples",
        ),
        ("models.mel_vqvae.train.crop_seconds", 1, "mel_vqvae.train.crop_seconds: a crop of a mel has another peak"),
        (
            "models.wave_transformer",
            {"representation": "wave3k", "network": {"type": "transformer"}, "bottleneck": {"type": "gaussian"}}
            | {"train": {"crop_seconds": 1}},
            "wave_transformer.train.crop_seconds: a transformer has as many tokens",
        ),
        ("models.mel_vqvae.loss.kl.free_nats", 1.0, "loss.kl.free_nats: the KL of codes trains only their prior"),
        ("models.mel_conv.loss.kl.balance", True, "models.mel_conv.loss.kl.balance: only a hierarchical bottleneck"),
        ("models.mel_conv.loss.kl", {"free_nats": 1, "capacity": 9}, "loss.kl.capacity: free_nats is set too"),
        ("models.mel_cvae.network.head", "sigmoid", "models.mel_cvae.condition: .*head linear, not sigmoid"),
        ("models.mel_cvae.condition.dropout", 1.0, "models.mel_cvae.condition.dropout: .*less than 1"),
        ("models.mel_conv.train", {"epoch": 3}, "models.mel_conv.train: unknown key 'epoch'; did you mean 'epochs'?"),
        (
            "models.mel_conv.network",
            CONV2D | {"strides": [16, 8, 8]},
            r"mel_conv.network.strides: \[16, 8, 8\] leave one position",
        ),
        ("models.mel_conv.network", CONV2D | {"strides": [4, 2]}, "models.mel_conv.network.strides: 3 channels need"),
        ("models.mel_conv.bottleneck", VAMP, "bottleneck.prior.type: with components, the posteriors of vamp"),
        ("models.mel_conv.bottleneck.batch_norm", True, "bottleneck.batch_norm: components have variance 1"),
        ("models.mel_conv.network", COMPONENTS | {"type": "identity"}, "network.components: identity has no weights"),
        ("models.mel_conv.network", CONV2D | COMPONENTS | {"head": "sigmoid"}, "components: .* by sums, .*not sigmoid"),
        ("models.mel_conv.network.skip", True, "network.skip: with components, .*; set skip to false"),
        ("models.mel_hvae.bottleneck.layout", "sequence", "bottleneck.layout: z1 is a vector .*; use vector"),
        ("models.mel_conv.network.components", 127, "network.components: 127 are fewer .* 128 of bottleneck.latent;"),
        ("models.mel_hvae.network.components", 127, "127 are fewer .* 128 of bottleneck.latent_z1 and latent_z2; use"),
        ("models.wave_fc.network.layers", 16, "models.wave_fc.network.layers: .*15"),
        ("models.wave_fc.network.frame", 15001, "models.wave_fc.network.frame: 15001 is longer than the 15000"),
        ("models.wave_transformer.network.patch", 15001, "models.wave_transformer.network.patch: 15001 samples"),
        ("models.wave_transformer.network.heads", 3, "models.wave_transformer.network.width: 128 is not a multiple"),
        ("models.wave_conv.network", {"type": "istft", "hop": 300}, "network.hop: .*n_fft .2048. divided by 2, 3"),
        ("models.wave_conv.network", {"type": "istft", "hop": 2048}, "network.hop: .*overlap evenly"),
        ("models.wave_conv.network", {"type": "istft", "n_fft": 2049}, "network.n_fft: .*multiple of 2"),
        ("models.wave_conv.network", {"type": "istft", "components": 64}, "components: .*needs head linear, not polar"),
        ("models.pca.loss", {"kl": {"beta": 2.0}}, "models.pca: .*closed form, which has no loss; leave loss out"),
        ("models.pca.scaling", "rms", "models.pca: .*closed form, which has no scaling"),
        ("models.mel_conv.bottleneck", {"type": "linear", "latent": 8}, "mel_conv: .*needs network.type identity"),
        ("models", {"mel.conv": RAW["models"]["mel_conv"]}, "models.mel.conv"),
        ("models", {}, "models: .*at least 1"),
        ("representations.mel128.bands", 1500, "representations.mel128: .*n_fft of at least 3000"),
        ("evaluate.mel", "mel12", "evaluate.mel: there is no 'mel12'; did you mean 'mel128'?"),
        ("evaluate.mel", "wave3k", "evaluate.mel: wave3k is a waveform; name a representation of kind mel"),
        ("evaluate.audio_windows", 3, "evaluate.audio_windows: 3 windows cannot hold the 4 examples; raise it"),
        ("seeds", [0, 0], "seeds: a seed occurs twice in"),
        ("seeds", [], "seeds"),
        ("seeds", [0, -1], r"seeds\.1: .*greater than or equal to 0 \(it is -1\)"),
        ("seeds", [2**32], r"seeds\.0: .*less than 4294967296"),
        ("seeds", [1e20], r"seeds\.0: .*too large \(it is 1e\+20\)"),
        ("seeds", [True], r"seeds: Input should not be true or false"),
        ("train.epochs", True, r"train\.epochs: Input should not be true or false"),
        ("train", 3, "train: Input should be a section with keys"),
        ("models.mel_conv.train", {"epochs": math.inf}, r"models\.mel_conv\.train\.epochs: .*finite number"),
        ("models.mel_conv.network", {}, "models.mel_conv.network: the key 'type' is missing"),
        ("models.mel_conv.network.strides", "4,2,2", r"network\.strides: Input should be a number, or a list"),
        ("models.mel_conv.network.strides", [4, "x", 2], r"network\.strides\.1: .*valid integer.*\(it is 'x'\)"),
        ("models.mel_conv.network.strides", [4, 2, 1], r"network\.strides\.2: .*equal to 2 \(it is 1\)"),
        ("models.mel_conv.loss.reconstruction.sigma", "x", r"reconstruction\.sigma: .*\(it is 'x'\)"),
        ("models.mel_fsq.bottleneck.levels", [256, 256, 3], r"levels: they make 196608 codes, more than 65536"),
        ("tracking.experiment", " ", "tracking.experiment: Input should be a name"),
        ("tracking.experiment", "a\nb", "tracking.experiment: Input should be a name, without line breaks"),
        ("tracking.experiment", "x" * 201, "tracking.experiment: .*at most 200"),
        ("runtime.device", "gpu", "runtime.device"),
    ],
)
def test_errors_name_the_key(key, value, message):
    with pytest.raises(ParamsError) as caught:
        schema.load(changed(key, value))
    assert re.search(message, str(caught.value)), str(caught.value)
    assert str(caught.value).startswith("params.yaml: ") and "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("é".encode("latin-1"), "not UTF-8"),
        ("a: [1", r"line \d: not valid YAML.*correct it"),
        ("a:\n  b: 1\n  c: {b: 2}\n  b: 3\n", "params.yaml line 4: .*the key 'b' occurs twice .* first in line 2"),
        ("- 1\n", "sections such as 'source:'"),
        (None, "No such file"),
    ],
)
def test_unreadable_file(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "params.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ParamsError, match=message):
        params.read_params()


def fields(model, seen):
    """Every section below `model`, with the kinds of numbers that each of its fields takes."""
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        leaves = {*leaf_types(field.annotation)}
        yield model, name, leaves & {int, float}, get_origin(field.annotation) is list
        for leaf in leaves:
            if isinstance(leaf, type) and issubclass(leaf, params.Section):
                yield from fields(leaf, seen)


def leaf_types(annotation):
    parts = get_args(annotation) if get_origin(annotation) is not Literal else ()
    yield from (leaf for part in parts for leaf in leaf_types(part)) if parts else (annotation,)


NUMBERS = [
    pytest.param(model, name, kinds, is_list, id=f"{model.__name__}.{name}")
    for model, name, kinds, is_list in sorted(fields(schema.Params, set()), key=lambda field: (str(field[0]), field[1]))
    if kinds
]  # sorted, since the processes of xdist must agree on the order


@pytest.mark.parametrize(("model", "name", "kinds", "is_list"), NUMBERS)
def test_every_number_has_bounds(model, name, kinds, is_list):
    """Else it fails, or fills the memory, hours later."""
    wrong = [2**32, 2**63, 10**400, 1e20, math.nan, math.inf, -math.inf, True, "1e309"]
    wrong += [-1, 0.5] if kinds == {int} else [1e300, "nan"]
    for value in wrong:
        with pytest.raises(ValidationError) as caught:
            model.model_validate({name: [value] if is_list else value})
        errors = caught.value.errors()
        assert any(error["loc"][:1] == (name,) or f"{name}: " in error["msg"] for error in errors), value


@pytest.mark.parametrize("name", ["", "..", "a/b", "a.b", "a@b", "a b", "é", "x" * 101, 1, None, True, "a\n"])
@pytest.mark.parametrize("section", ["models", "representations"])
def test_names_of_variants_and_representations(section, name):
    with pytest.raises(ParamsError, match=rf"^params.yaml: {section}\..*(only letters|valid string)"):
        schema.load(changed(section, {name: next(iter(RAW[section].values()))}))


def test_whole_numbers_may_be_written_as_floats_and_back():
    loaded = schema.load(changed("windows.seconds", 5))
    assert loaded.windows.seconds == 5.0 and isinstance(loaded.windows.seconds, float)
    assert schema.load(changed("train.epochs", 30.0)).train.epochs == 30


def test_a_variant_overrides_training_settings():
    raw = changed("models.mel_conv.train", {"epochs": 3})
    _, training = read_variant(raw, "mel_conv")
    assert training.epochs == 3 and training.batch_size == RAW["train"]["batch_size"]
    with pytest.raises(ParamsError, match=r"models\.mel_con: no such entry; did you mean 'mel_conv'"):
        read_variant(raw, "mel_con")


@pytest.mark.parametrize("bottleneck", [{"type": "vq"}, {"type": "fsq"}])
@pytest.mark.parametrize("name", ["mel_conv", "mel_vqvae"])
def test_bottlenecks_are_interchangeable(name, bottleneck):
    raw = changed(f"models.{name}.bottleneck", bottleneck)
    raw["models"][name]["network"]["encoder"] = "network"
    raw["models"][name]["loss"].pop("codebook", None)
    model = schema.load(raw).models[name]
    assert model.bottleneck.type == bottleneck["type"]
    # Without a commitment nothing would hold the encodings near their codes.
    assert (model.loss.codebook is None) == (bottleneck["type"] == "fsq")


def test_only_a_baseline_has_no_loss():
    raw = changed("models.mel_conv.loss", None)
    assert read_variant(raw, "mel_conv")[0].loss is not None
    del raw["models"]["wave_resnet"]["loss"]
    assert read_variant(raw, "wave_resnet")[0].loss is not None
    assert read_variant(raw, "pca")[0].loss is None


def test_no_anchors_or_aliases():
    """`dvc exp run -S` would lose an override there, or change other keys too."""
    tokens = [type(token) for token in yaml.scan(params.PARAMS_FILE.read_text(encoding="utf-8"))]
    assert not {yaml.AnchorToken, yaml.AliasToken} & set(tokens)


def test_the_file_states_every_default():
    """Outside `models`, and except for download addresses and keys that are off by default."""

    def missing(values: object, raw: object, prefix: str = "") -> list[str]:
        if not isinstance(values, dict) or not isinstance(raw, dict):
            return []
        own = [
            f"{prefix}{key}" for key, value in values.items() if key not in raw and value not in (None, False, "none")
        ]
        return own + [name for key in raw for name in missing(values.get(key), raw[key], f"{prefix}{key}.")]

    sections = {name: value for name, value in schema.load(RAW).model_dump().items() if name != "models"}
    rare = re.compile("mirrors|checksum|adversarial|vocoders.*train")
    assert [name for name in missing(sections, RAW) if not rare.search(name)] == []


def test_every_key_has_a_meaning():
    keys, problem = explain.read_keys()
    assert not problem and [key.name for key in keys if not key.meaning] == []
    sections = {key.name.rpartition(".")[0] for key in keys}
    assert [key.name for key in keys if key.name not in sections and not key.takes] == []
    takes = {key.name: key.takes for key in keys}
    assert takes["train.betas"] == "list of 2, each: number, at least 0 and below 1"
    assert takes["seeds"].startswith("list, not empty, each: whole number")
    assert len({key.name.partition(".")[2] for key in keys if key.name.startswith("models.mel_conv.")}) > 80


@pytest.mark.parametrize("name", [name for name, block in RAW["models"].items() if "loss" in block])
def test_a_variant_states_the_keys_that_people_change(name):
    """`dvc exp run -S` without ++ refuses a key that is not in the file."""
    loss = RAW["models"][name]["loss"]
    assert "type" in loss["reconstruction"] and "beta" in loss["kl"]


def test_settings_that_fit_each_other():
    raw = changed("models.mel_conv.loss.reconstruction", {"type": "log_magnitude", "weighting": "musical"})
    raw["models"]["mel_conv"]["network"] |= {"head": "softplus", "components": None}
    raw["models"]["wave_resnet"] |= {"scaling": "peak"}
    raw["models"]["wave_resnet"]["loss"]["reconstruction"] = {"type": "bce"}
    raw["models"]["wave_resnet"]["network"] |= {"head": "sigmoid", "components": None}
    schema.load(raw)
    raw["models"]["wave_resnet"]["scaling"] = "rms"
    with pytest.raises(ParamsError, match=r"models\.wave_resnet\.scaling: rms brings peaks above 1"):
        schema.load(raw)
    raw = changed("models.wave_resnet.loss.reconstruction.type", "log_magnitude")
    raw["models"]["wave_resnet"]["network"] |= {"head": "sigmoid", "components": None}
    with pytest.raises(ParamsError, match=r"log_magnitude needs values that are never negative: .*not a waveform"):
        schema.load(raw)
