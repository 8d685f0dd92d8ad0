"""Figures of a variant: every file exists, shows something, and has the same bytes when drawn again."""

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
from tests.figures.conftest import draw

IMAGES = {
    *("reconstructions.png", "extremes.png", "training_curves.png", "latent_pca.png"),
    *("genre_distances.png", "latent_use.png", "walks.png", "perturbations.png", "samples.png"),
}
ANIMATIONS = {"progress.gif", "generation.gif"}
SPECIFIC_IMAGES: dict[str, set[str]] = {
    "mel_fake": {"waveforms.png"},
    "wave_fake": {"transfer.png"},
    "mel_codes": {"waveforms.png"},
    "wave_levels": set(),
}


def read_entries(data: Path, variant: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((data / "figures" / variant / "figures.json").read_text())
    return entries


def read_captions(data: Path, variant: str) -> dict[str, str]:
    return {entry["file"]: entry["caption"] for entry in read_entries(data, variant)}


@pytest.mark.parametrize("variant", SPECIFIC_IMAGES)
def test_figures_json_lists_every_file_and_every_image_shows_something(data: Path, variant: str) -> None:
    folder, entries, images = data / "figures" / variant, read_entries(data, variant), IMAGES | SPECIFIC_IMAGES[variant]
    assert {e["file"] for e in entries if e["kind"] == "image"} == images
    assert {e["file"] for e in entries if e["kind"] == "animation"} == ANIMATIONS
    for name in images:
        pixels = matplotlib.image.imread(folder / name)[..., :3]
        assert pixels.std() > 0.02 and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20, name
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.*")} - {"figures.json"}
    assert {entry["file"] for entry in entries} == files and len(entries) == len(files)
    assert all(entry["title"] and entry["caption"] for entry in entries)


@pytest.mark.parametrize("variant", ["mel_fake", "wave_fake"])
def test_drawing_again_gives_the_same_bytes(data: Path, tmp_path: Path, variant: str) -> None:
    draw(data, variant, tmp_path)
    for path in sorted(tmp_path.rglob("*.*")):
        assert path.read_bytes() == (data / "figures" / variant / path.relative_to(tmp_path)).read_bytes(), path.name


def test_pictures_and_audio_show_the_first_seed(data: Path) -> None:
    captions = read_captions(data, "mel_fake")
    assert "Shown is seed 3, one of 2." in captions["reconstructions.png"]
    assert "2 seeds" in captions["training_curves.png"]


def test_caption_of_the_latent_space_has_the_probe_accuracy_if_defined(data: Path) -> None:
    sentence = "A linear probe names the label of 54 % of the windows; chance is 10 %."
    assert sentence in read_captions(data, "mel_fake")["latent_pca.png"]
    assert "probe" not in read_captions(data, "wave_fake")["latent_pca.png"]


@pytest.mark.parametrize(("kind", "components"), [("mel", 0), ("mel", 9), ("waveform", 0), ("waveform", 1)])
def test_baseline_has_components_and_no_training(tmp_path: Path, kind: str, components: int) -> None:
    artefacts.make_variant(tmp_path, "base", kind, labels=["march", "waltz"], components=components)
    entries = draw(tmp_path, "base")
    files = {"reconstructions.png", "extremes.png"} | ({"waveforms.png"} if kind == "mel" else set())
    if components:
        files |= {"latent_pca.png", "genre_distances.png", "walks.png", "perturbations.png", "samples.png"}
    assert {e["file"] for e in entries if e["kind"] != "audio"} == files
    text = f"{components} principal components" if components else "mean of the training windows"
    assert text in entries[0]["caption"]


@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_one_label_one_example_and_one_epoch_are_enough(tmp_path: Path, kind: str) -> None:
    artefacts.make_variant(tmp_path, "small", kind, labels=["waltz"], epochs=1, conditional=True)
    files = {entry["file"] for entry in draw(tmp_path, "small")}
    assert IMAGES - {"genre_distances.png"} | ANIMATIONS <= files
    assert "genre_distances.png" not in files


def copy_variant(data: Path, root: Path, variant: str) -> Path:
    for part in ("models", "evaluation"):
        shutil.copytree(data / part / variant, root / part / variant)
    shutil.copytree(data / "reference", root / "reference")
    return root


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
def test_error_names_a_missing_or_damaged_artefact(data: Path, tmp_path: Path, name: str) -> None:
    root = copy_variant(data, tmp_path, "wave_fake")
    (root / name).write_bytes(b"")
    with pytest.raises(DataError, match=Path(name).name):
        draw(root, "wave_fake")
    (root / name).unlink()
    if "dimensions" not in name:  # an optional table
        with pytest.raises(DataError, match=Path(name).name):
            draw(root, "wave_fake")


def test_values_that_are_not_finite_are_an_error(data: Path, tmp_path: Path) -> None:
    root = copy_variant(data, tmp_path, "wave_fake")
    path = root / "evaluation" / "wave_fake" / "examples.parquet"
    table = arrays.read(path)
    values = arrays.unpack(table, "array").copy()
    values[1, 5] = np.nan
    arrays.write(path, table.drop_columns(["array"]).to_pydict(), {"array": values})
    with pytest.raises(DataError, match="not finite"):
        draw(root, "wave_fake")


def run_python(code: str, *arguments: Path) -> str:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_stages_import_neither_torch_nor_mlflow() -> None:
    code = "import sys, stages.figures, stages.report; print({'torch', 'mlflow'} & set(sys.modules))"
    assert run_python(code) == "set()"


def test_waveform_needs_no_library_of_the_mel_inversion(data: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pipeline.figures import config, draw;"
        "data, out = map(Path, sys.argv[1:]);"
        "draw.draw_variant('wave_levels', data, out, config.FiguresConfig(dpi=50));"
        "print({'sklearn', 'numba', 'librosa.core', 'torch'} & set(sys.modules))"
    )
    assert run_python(code, data, tmp_path) == "set()"
