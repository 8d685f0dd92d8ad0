"""Evaluation and use of trained variants on the GPU: the results of the CPU, and no library for experiments."""

import json
import sys

import numpy as np
import pytest
import soundfile
import torch
import yaml

from pipeline.apply import convert, generate
from pipeline.apply.encode import encode
from pipeline.apply.variant import load
from pipeline.core import arrays
from pipeline.core.device import pick_device
from pipeline.core.params import read_params
from stages import cache, download, evaluate, reference, train, vocoder, windows
from tests.e2e.conftest import TINY, merged
from tests.gpu.cases import DEVICE
from tests.recordings import chord

pytestmark = pytest.mark.gpu
VARIANTS = {
    "mel_cvae": {"network": {"channels": [8], "components": 16}, "bottleneck": {"latent": 8}},
    "mel_vqvae": {"bottleneck": {"codes": 16}, "train": {"epochs": 2}},
    "wave_full": {"train": {"crop_seconds": 0.5}},
}
NOT_NEEDED = ("dvc", "mlflow", "optuna")
METRICS = ("mse", "mse_draw", "kl", "elbo", "cosine_similarity", "mel_mse", "variance_ratio", "frechet_reconstructions")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The folder of a small project whose variants are trained, and the working directory."""
    folder = tmp_path_factory.mktemp("project")
    raw = merged(read_params(), TINY | {"models": VARIANTS, "reference": {"codecs": {"opus": [], "mp3": []}}})
    raw["models"] = {name: raw["models"][name] for name in VARIANTS}
    raw["runtime"]["device"] = "auto"
    del raw["representations"]["wave3k"]
    with pytest.MonkeyPatch.context() as patch:
        for name in NOT_NEEDED:
            patch.setitem(sys.modules, name, None)  # an import fails
        patch.delenv("DVC_ROOT", raising=False)
        patch.chdir(folder)
        (folder / "params.yaml").write_text(yaml.safe_dump(raw))
        (folder / "dvc.yaml").write_text("stages: {}\n")
        download.main()
        windows.main()
        for representation in raw["representations"]:
            cache.main(representation)
        for representation in raw["representations"]:
            vocoder.main(representation)
        reference.main()
        for name in VARIANTS:
            train.main(name)
        yield folder


@pytest.mark.parametrize("name", VARIANTS)
def test_scores_are_those_of_the_cpu(project, name):
    params, scores = project / "params.yaml", {}
    for device in ("auto", "cpu"):
        params.write_text(yaml.safe_dump(merged(yaml.safe_load(params.read_text()), {"runtime": {"device": device}})))
        evaluate.main(name)
        metrics = json.loads((project / "data" / "evaluation" / name / "metrics.json").read_text())
        scores[device] = {metric: metrics[metric] for metric in METRICS}
    assert scores["auto"] == pytest.approx(scores["cpu"], rel=0.01)


@pytest.mark.parametrize("name", VARIANTS)
def test_commands_give_the_audio_and_latents_of_the_cpu(project, name):
    songs = [project / f"{number}.wav" for number in range(2)]
    for number, song in enumerate(songs):
        soundfile.write(song, chord(number, 3.0, 8000), 8000)
    results = []
    for device in (DEVICE.type, "cpu"):
        variant, out = load(project / "data" / "models" / name / "seed-0", device), project / f"{name}-{device}"
        assert variant.device.type == device
        out.mkdir(exist_ok=True)
        generate.sample(out, variant, 2)
        generate.interpolate(songs, out / "interpolation.wav", variant, 3, "slerp")
        transforms = {"reconstruction": convert.reconstruct(variant), "perturbation": convert.perturb(variant, 1.0, 0)}
        if variant.model.labels:
            transforms["transfer"] = convert.transfer(variant, None, variant.model.labels[0])
        for title, transform in transforms.items():
            convert.convert(songs[0], out / f"{title}.wav", variant, transform)
        encode(songs, out / "latents.parquet", variant)
        audio = {path.name: soundfile.read(path)[0] for path in out.glob("*.wav")}
        results.append(audio | {"latents": arrays.unpack(arrays.read(out / "latents.parquet"), "latent")})
    ours, expected = results
    assert ours.keys() == expected.keys() and len(ours) >= 6
    errors = {key: np.abs(ours[key] - expected[key]).mean() / np.abs(expected[key]).mean() for key in ours}
    assert max(errors.values()) < 0.01, errors


def test_outside_of_a_training_convolutions_keep_32_bits():
    device = pick_device("auto")
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(shape, generator=generator) for shape in ((4, 64, 32, 32), (64, 64, 3, 3)))
    expected = torch.nn.functional.conv2d(x.double(), weight.double())
    error = torch.nn.functional.conv2d(x.to(device), weight.to(device)).cpu() - expected
    assert error.abs().max() < 1e-5 * expected.abs().max()
    assert device.type != "cuda" or not torch.backends.cudnn.allow_tf32
