"""Figures of a variant: every file is there, can be seen and heard, and is the same when drawn again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from pipeline.core import arrays
from pipeline.core.errors import DataError
from tests import artefacts
from tests.figures.conftest import drawn

IMAGES = {
    *("reconstructions.png", "extremes.png", "training_curves.png", "progress.png", "latent_pca.png"),
    *("genre_distances.png", "latent_use.png", "walks.png", "perturbations.png", "samples.png"),
}
ANIMATIONS = {"progress.gif", "generation.gif"}
MORE: dict[str, set[str]] = {
    "mel_fake": {"waveforms.png"},
    "wave_fake": {"transfer.png"},
    "mel_codes": {"waveforms.png"},
    "wave_levels": set(),
}


def listed(data: Path, variant: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((data / "figures" / variant / "figures.json").read_text())
    return found


@pytest.mark.parametrize("variant", MORE)
def test_every_picture_is_there_and_shows_something(data: Path, variant: str) -> None:
    entries = listed(data, variant)
    assert {e["file"] for e in entries if e["kind"] == "image"} == IMAGES | MORE[variant]
    assert {e["file"] for e in entries if e["kind"] == "animation"} == ANIMATIONS
    for name in IMAGES | MORE[variant]:
        pixels = matplotlib.image.imread(data / "figures" / variant / name)[..., :3]
        assert pixels.std() > 0.02 and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20, name


@pytest.mark.parametrize("variant", MORE)
def test_the_list_names_just_the_files_that_are_there(data: Path, variant: str) -> None:
    folder, entries = data / "figures" / variant, listed(data, variant)
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.*")} - {"figures.json"}
    assert {entry["file"] for entry in entries} == there and len(entries) == len(there)
    assert all(entry["title"] and entry["caption"] for entry in entries)


@pytest.mark.parametrize("variant", ["mel_fake", "wave_fake"])
def test_drawing_again_gives_the_same_bytes(data: Path, tmp_path: Path, variant: str) -> None:
    drawn(data, variant, tmp_path)
    for path in sorted(tmp_path.rglob("*.*")):
        assert path.read_bytes() == (data / "figures" / variant / path.relative_to(tmp_path)).read_bytes(), path.name


def test_pictures_and_audio_are_of_the_first_seed(data: Path) -> None:
    captions = {e["file"]: e["caption"] for e in listed(data, "mel_fake")}
    assert "Shown is seed 3, one of 2." in captions["reconstructions.png"]
    assert "2 seeds" in captions["training_curves.png"]


def test_the_caption_of_the_latent_space_has_the_probes_accuracy_where_there_is_one(data: Path) -> None:
    captions = {v: {e["file"]: e["caption"] for e in listed(data, v)} for v in ("mel_fake", "wave_fake")}
    said = "A linear probe names the label of 54 % of the windows; chance is 10 %."
    assert said in captions["mel_fake"]["latent_pca.png"]
    assert "probe" not in captions["wave_fake"]["latent_pca.png"]


@pytest.mark.parametrize("kind", ["mel", "waveform"])
@pytest.mark.parametrize("components", [0, 1, 9])
def test_a_baseline_shows_its_components_and_no_training(tmp_path: Path, kind: str, components: int) -> None:
    artefacts.make_variant(tmp_path, "base", kind, labels=["march", "waltz"], components=components)
    entries = drawn(tmp_path, "base")
    wanted = {"reconstructions.png", "extremes.png"} | ({"waveforms.png"} if kind == "mel" else set())
    if components:
        wanted |= {"latent_pca.png", "genre_distances.png", "walks.png", "perturbations.png", "samples.png"}
    if components > 1:
        wanted.add("components.png")
    assert {e["file"] for e in entries if e["kind"] != "audio"} == wanted
    text = f"{components} principal components" if components else "mean of the training windows"
    assert text in entries[0]["caption"]


@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_one_label_one_example_and_one_epoch_are_enough(tmp_path: Path, kind: str) -> None:
    artefacts.make_variant(tmp_path, "small", kind, labels=["waltz"], epochs=1, conditional=True)
    files = {entry["file"] for entry in drawn(tmp_path, "small")}
    assert IMAGES - {"genre_distances.png"} | ANIMATIONS <= files
    assert "genre_distances.png" not in files


def _copy(data: Path, tmp_path: Path, variant: str) -> Path:
    for part in ("models", "evaluation"):
        shutil.copytree(data / part / variant, tmp_path / part / variant)
    shutil.copytree(data / "reference", tmp_path / "reference")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "evaluation/wave_fake/examples.parquet",
        "evaluation/wave_fake/audio.parquet",
        "evaluation/wave_fake/dimensions.parquet",
        "evaluation/wave_fake/config.json",
        "models/wave_fake/seed-0/history.csv",
        "reference/reference.json",
        "reference/ceiling/wave3k/examples.parquet",
    ],
)
def test_a_missing_or_damaged_input_is_named(data: Path, tmp_path: Path, name: str) -> None:
    root = _copy(data, tmp_path, "wave_fake")
    (root / name).write_bytes(b"")
    with pytest.raises(DataError, match=Path(name).name):
        drawn(root, "wave_fake")
    (root / name).unlink()
    if "dimensions" not in name:  # which not all variants have
        with pytest.raises(DataError, match=Path(name).name):
            drawn(root, "wave_fake")


def test_values_that_are_not_finite_are_refused(data: Path, tmp_path: Path) -> None:
    root = _copy(data, tmp_path, "wave_fake")
    path = root / "evaluation" / "wave_fake" / "examples.parquet"
    table = arrays.read(path)
    values = arrays.unpack(table, "array").copy()
    values[1, 5] = np.nan
    arrays.write(path, table.drop_columns(["array"]).to_pydict(), {"array": values})
    with pytest.raises(DataError, match="not finite"):
        drawn(root, "wave_fake")


def test_the_stages_need_neither_torch_nor_mlflow() -> None:
    code = "import sys, stages.figures, stages.report; print({'torch', 'mlflow'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_a_waveform_is_drawn_without_the_libraries_of_the_mel_inversion(data: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pipeline.figures import config, draw;"
        "root, out = map(Path, sys.argv[1:]); places = [root / n for n in ('models', 'evaluation', 'reference')];"
        "draw.draw('wave_levels', *places, out, config.FiguresConfig(dpi=50), 1);"
        "print({'sklearn', 'numba', 'librosa.core', 'torch'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(data), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
