"""Figures of a variant: every file is there, can be seen and heard, and is the same when drawn again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import soundfile

from pipeline.cache import arrays
from pipeline.errors import DataError
from pipeline.figures.draw import draw
from pipeline.figures.inputs import load
from tests import artefacts
from tests.figures.conftest import CONFIG

IMAGES = ["reconstructions.png", "training_curves.png", "progress.png", "latent_pca.png", "samples.png"]
VARIANTS = ["mel_fake", "wave_fake"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_picture_shows_something(data: Path, variant: str) -> None:
    for name in IMAGES:
        pixels = matplotlib.image.imread(data / "figures" / variant / name)[..., :3]
        assert pixels.std() > 0.02 and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_list_names_just_the_files_that_are_there(data: Path, variant: str) -> None:
    folder = data / "figures" / variant
    entries = json.loads((folder / "figures.json").read_text())
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.*")} - {"figures.json"}
    assert {entry["file"] for entry in entries} == there
    assert all(entry["title"] and entry["caption"] for entry in entries)
    assert {entry["role"] for entry in entries if entry["kind"] == "audio"} == {"original", "reconstruction", "sample"}
    assert sum(entry["kind"] == "audio" for entry in entries) == 3 * 4


@pytest.mark.parametrize(("variant", "rate"), [("mel_fake", 22050), ("wave_fake", 8000)])
def test_audio_is_16_bit_of_the_windows_length_and_not_clipped(data: Path, variant: str, rate: int) -> None:
    for path in (data / "figures" / variant / "audio").iterdir():
        info = soundfile.info(path)
        assert (info.samplerate, info.frames, info.channels, info.subtype) == (rate, rate, 1, "PCM_16"), path.name
        samples, _ = soundfile.read(path)
        assert 0.01 < np.abs(samples).max() < 0.999, path.name


def test_audio_of_a_waveform_keeps_its_level(data: Path) -> None:
    inputs = load("wave_fake", data / "models", data / "evaluation")
    levels = {(window.kind, window.number): window.array.std() for window in inputs.examples}
    for role in ("original", "reconstruction"):
        heard, _ = soundfile.read(data / "figures" / "wave_fake" / "audio" / f"example-1-{role}.wav")
        assert heard.std() == pytest.approx(levels[role, 1], rel=0.02)


def test_a_loud_pair_is_turned_down_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefacts, "blur", lambda array, amount: 3 * array)
    artefacts.make_variant(tmp_path, "loud", "waveform", labels=["waltz"])
    out = tmp_path / "out"
    out.mkdir()
    draw("loud", tmp_path / "models", tmp_path / "evaluation", out, CONFIG)
    original, rebuilt = (
        soundfile.read(out / "audio" / f"example-0-{k}.wav")[0] for k in ("original", "reconstruction")
    )
    assert np.abs(rebuilt).max() < 0.999
    assert rebuilt.std() / original.std() == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize("variant", VARIANTS)
def test_drawing_again_gives_the_same_bytes(data: Path, tmp_path: Path, variant: str) -> None:
    draw(variant, data / "models", data / "evaluation", tmp_path, CONFIG)
    for path in sorted(tmp_path.rglob("*.*")):
        assert path.read_bytes() == (data / "figures" / variant / path.relative_to(tmp_path)).read_bytes(), path.name


def test_pictures_and_audio_are_of_the_first_seed(data: Path) -> None:
    entries = json.loads((data / "figures" / "mel_fake" / "figures.json").read_text())
    assert "Shown is seed 3, one of 2." in entries[0]["caption"]
    assert "2 seeds" in next(e["caption"] for e in entries if e["file"] == "training_curves.png")


@pytest.mark.parametrize(
    ("components", "more"), [(0, set()), (1, {"latent_pca.png"}), (9, {"latent_pca.png", "components.png"})]
)
def test_a_baseline_shows_its_components_and_no_training(tmp_path: Path, components: int, more: set[str]) -> None:
    artefacts.make_variant(tmp_path, "base", "waveform", labels=["march", "waltz"], components=components)
    out = tmp_path / "out"
    out.mkdir()
    entries = draw("base", tmp_path / "models", tmp_path / "evaluation", out, CONFIG)
    assert {e["file"] for e in entries if e["kind"] == "image"} == {"reconstructions.png", "samples.png"} | more
    text = f"{components} principal components" if components else "mean of the training windows"
    assert text in entries[0]["caption"]


def _copy(data: Path, tmp_path: Path, variant: str) -> Path:
    for part in ("models", "evaluation"):
        shutil.copytree(data / part / variant, tmp_path / part / variant)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "evaluation/wave_fake/examples.parquet",
        "evaluation/wave_fake/config.json",
        "models/wave_fake/seed-0/history.csv",
    ],
)
def test_a_missing_or_damaged_input_is_named(data: Path, tmp_path: Path, name: str) -> None:
    root = _copy(data, tmp_path, "wave_fake")
    for damage in (lambda: (root / name).write_bytes(b""), (root / name).unlink):
        damage()
        with pytest.raises(DataError, match=Path(name).name):
            draw("wave_fake", root / "models", root / "evaluation", tmp_path, CONFIG)


def test_values_that_are_not_finite_are_refused(data: Path, tmp_path: Path) -> None:
    root = _copy(data, tmp_path, "wave_fake")
    path = root / "evaluation" / "wave_fake" / "examples.parquet"
    table = arrays.read(path)
    values = arrays.unpack(table, "array").copy()
    values[1, 5] = np.nan
    arrays.write(path, table.drop_columns(["array"]).to_pydict(), {"array": values})
    with pytest.raises(DataError, match="not finite"):
        draw("wave_fake", root / "models", root / "evaluation", tmp_path, CONFIG)


def test_the_stages_need_neither_torch_nor_mlflow() -> None:
    code = "import sys, stages.figures, stages.report; print({'torch', 'mlflow'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
