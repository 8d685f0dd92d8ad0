"""Params of a training that do not fit the variant, and params of a vocoder."""

import pytest

from pipeline.core.errors import ParamsError
from pipeline.schema import schema
from pipeline.vocoder.config import read_vocoder
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


VOCODER = {"type": "trained", "waveforms": "wave22k"}
GAN = {"types": ["multi_period"], "weight": 0.1}


@pytest.mark.parametrize(
    ("name", "vocoder", "message"),
    [
        ("mel12", VOCODER, "mel12: there is no 'mel12'; did you mean 'mel128'"),
        ("wave22k", {}, "wave22k: only a mel needs a vocoder, and this representation is a waveform; leave it out"),
        ("mel128", {"typ": "trained"}, "mel128: unknown key 'typ'; did you mean 'type'"),
        ("mel128", {"type": "exported", "path": "../a.pt2"}, r"mel128\.path: exported needs the name of a file"),
        ("mel128", {"type": "exported"}, r"mel128\.path: exported needs the name of a file in data/pretrained; set it"),
        ("mel128", {"type": "trained"}, r"mel128\.waveforms: it learns from waveforms; name such a"),
        (
            "mel128",
            VOCODER | {"waveforms": "wave22"},
            r"mel128\.waveforms: there is no 'wave22'; did you mean",
        ),
        (
            "mel128",
            VOCODER | {"waveforms": "wave3k"},
            r"mel128\.waveforms: wave3k is a waveform at 3000 Hz; .* 22050 Hz",
        ),
        (
            "mel128",
            VOCODER | {"waveforms": "mel128"},
            r"mel128\.waveforms: mel128 is a mel at 22050 Hz; name a",
        ),
        (
            "mel128",
            {"type": "exported", "path": "a.pt2", "waveforms": "wave3k"},
            r"mel128\.waveforms: wave3k is a waveform at 3000 Hz; .* 22050 Hz",
        ),
        ("mel128", VOCODER | {"network": {"widht": 8}}, r"mel128\.network: unknown key 'widht'; did you mean 'width'"),
        ("mel128", VOCODER | {"train": {"epoch": 8}}, r"mel128\.train: unknown key 'epoch'; did you mean 'epochs'"),
        (
            "mel128",
            VOCODER | {"train": {"crop_seconds": 0.09}},
            r"mel128\.train\.crop_seconds: 0\.09 s is shorter than 2048 samples",
        ),
        ("mel128", VOCODER | {"train": {"devices": 5}}, r"mel128\.train: batch_size 12 is no multiple of devices 5"),
        (
            "odd",
            VOCODER,
            r"odd\.type: for trained, the mel.s n_fft must be even .* not 1000 and \d+; use griffin_lim",
        ),
        ("single", VOCODER, r"single\.type: for trained, the mel.s n_fft must be even .* not 1024 and \d+"),
        (
            "mel128",
            VOCODER | {"adversarial": {"feature_matching": 1.0}},
            r"mel128\.adversarial\.feature_matching: .*set",
        ),
        (
            "mel128",
            VOCODER | {"adversarial": GAN, "train": {"patience": 3}},
            r"mel128\.train\.patience: the validation loss has no adversarial term",
        ),
        (
            "mel128",
            VOCODER | {"adversarial": GAN, "train": {"schedule": "plateau"}},
            r"mel128\.train\.schedule: the validation loss has no adversarial term",
        ),
    ],
)
def test_an_error_of_a_vocoder_names_the_key(name, vocoder, message):
    raw = changed("vocoders", {name: vocoder})
    mel = raw["representations"]["mel128"]
    raw["representations"] |= {
        "odd": mel | {"n_fft": 1000, "hop_length": 300},
        "single": mel | {"n_fft": 1024, "hop_length": 1024},
    }
    with pytest.raises(ParamsError, match=rf"^params\.yaml: vocoders\.{message}") as caught:
        schema.load(raw)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "vocoders",
    [
        {},
        {"mel128": {}},
        {"mel128": VOCODER},
        {"mel128": VOCODER | {"train": {"crop_seconds": 0.093}, "adversarial": GAN}},
        {"mel128": VOCODER | {"train": {"crop_seconds": None}}},
        {"mel128": {"type": "exported", "path": "a.pt2"}},
        {"mel128": {"type": "griffin_lim", "griffin_lim_iterations": 64, "train": {"crop_seconds": 0.01}}},
    ],
    ids=str,
)
def test_vocoders_that_are_valid(vocoders):
    loaded = schema.load(changed("vocoders", vocoders))
    assert set(loaded.vocoders) == set(vocoders)


def test_without_the_section_every_mel_becomes_audio_by_griffin_lim():
    raw = changed("seeds", [0])
    del raw["vocoders"]
    assert schema.load(raw).vocoders == {}
    for vocoders in ({}, {"vocoders": {}}, {"vocoders": {"other": VOCODER}}):
        config = read_vocoder(vocoders, "mel128")
        assert (config.type, config.griffin_lim_iterations) == ("griffin_lim", 32)


def test_a_vocoder_has_its_own_training_settings():
    raw = changed("train.epochs", 99)
    raw["vocoders"]["mel128"]["train"] = {"batch_size": 6}
    settings = read_vocoder(raw, "mel128").train
    assert (settings.batch_size, settings.epochs, settings.crop_seconds) == (6, 8, 1.0)
