"""GIF animations and epoch images: one for each kept epoch; they differ where the arrays differ, and nowhere else."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from pipeline.audio.representation import WaveformConfig
from pipeline.figures import training_progress
from pipeline.figures.variant_data import Window, read_variant_data


def read_frames(path: Path) -> list[np.ndarray]:
    with Image.open(path) as file:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(file)]


@pytest.mark.parametrize("variant", ["mel_fake", "wave_fake"])
@pytest.mark.parametrize("name", ["progress.gif", "generation.gif"])
def test_each_kept_epoch_has_its_own_frame(data: Path, variant: str, name: str) -> None:
    snapshots = read_variant_data(variant, data).snapshots
    epochs = {w.epoch for w in snapshots if w.kind == "reconstruction"}
    path = data / "figures" / variant / name
    frames = read_frames(path)
    assert len(frames) == len(epochs) == 3
    for frame, following in itertools.pairwise(frames):
        changed = (frame != following).any(axis=2)
        assert 0.02 < changed.mean() < 0.7
    with Image.open(path) as file:
        assert file.info["loop"] == 0  # for ever


def test_the_last_frame_is_longest(data: Path) -> None:
    with Image.open(data / "figures" / "mel_fake" / "progress.gif") as file:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(file)]
    assert durations == [training_progress.FRAME_MS] * 2 + [training_progress.LAST_FRAME_MS]


def test_frame_shows_its_own_epoch(tmp_path: Path) -> None:
    silent = np.zeros(300, np.float32)
    loud = np.sin(np.arange(300, dtype=np.float32))
    snapshots = [
        Window("sample", n, loud if epoch == 5 and n == 8 else silent, epoch) for epoch in (1, 5) for n in range(9)
    ]
    training_progress.write_samples_gif(snapshots, WaveformConfig(), tmp_path / "a.gif", 60)
    before, after = read_frames(tmp_path / "a.gif")
    rows, columns = np.nonzero((before != after).any(axis=2))
    height, width = before.shape[:2]
    below_title = rows > 0.2 * height
    assert below_title.any()
    assert (columns[below_title] > 0.55 * width).all() and (rows[below_title] > 0.5 * height).all()  # the ninth


@pytest.mark.parametrize("variant", ["mel_fake", "wave_fake"])
def test_epoch_images_differ_in_title_and_reconstructions(data: Path, tmp_path: Path, variant: str) -> None:
    variant_data = read_variant_data(variant, data)
    number = training_progress.draw_epoch_images(variant_data.snapshots, variant_data.representation, tmp_path, 60)
    files = sorted(tmp_path.glob("*.png"), key=lambda file: int(file.stem))
    assert [int(file.stem) for file in files] == sorted({w.epoch for w in variant_data.snapshots})
    assert len(files) == number == 4
    *_, before, last = (np.asarray(Image.open(file).convert("RGB")) for file in files)
    changed = (before != last).any(axis=2)
    height = len(changed)
    assert changed[: height // 8].any() and 0.02 < changed.mean() < 0.6
    equal_rows = "".join("." if row.any() else "=" for row in changed[height // 8 :])
    assert equal_rows.count("=" * (height // 8)) >= 2  # each row of originals


def test_model_without_epochs_has_no_epoch_images(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"train": null}')
    assert training_progress.write_epoch_images(tmp_path, tmp_path, 60) == 0 and not list(tmp_path.glob("*.png"))
