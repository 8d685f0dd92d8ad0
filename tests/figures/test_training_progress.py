"""Animations: a frame for each kept epoch, that differ where the arrays do and nowhere else."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from pipeline.audio.representation import WaveformConfig
from pipeline.figures import epochs, style, training_progress
from pipeline.figures.variant_data import Window, load


def frames(path: Path) -> list[np.ndarray]:
    with Image.open(path) as file:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(file)]


@pytest.mark.parametrize("variant", ["mel_fake", "wave_fake"])
@pytest.mark.parametrize("name", ["progress.gif", "generation.gif"])
def test_there_is_a_frame_for_each_kept_epoch_and_they_differ(data: Path, variant: str, name: str) -> None:
    inputs = load(variant, data / "models", data / "evaluation", data / "reference")
    kept = {w.epoch for w in inputs.snapshots if w.kind == "reconstruction"}
    path = data / "figures" / variant / name
    found = frames(path)
    assert len(found) == len(kept) == 3
    for one, other in itertools.pairwise(found):
        changed = (one != other).any(axis=2)
        assert 0.02 < changed.mean() < 0.7
    with Image.open(path) as file:
        assert file.info["loop"] == 0  # for ever


def test_the_original_stands_still_and_the_last_frame_stands_longest(data: Path) -> None:
    path = data / "figures" / "mel_fake" / "progress.gif"
    found = frames(path)
    half = found[0].shape[1] // 2 - 30  # left of it only the original
    assert all((one[:, :half] == found[0][:, :half]).all() for one in found)
    with Image.open(path) as file:
        times = [frame.info["duration"] for frame in ImageSequence.Iterator(file)]
    assert times == [training_progress.FRAME_MS] * 2 + [training_progress.LAST_MS]


def test_a_frame_shows_its_own_epoch(tmp_path: Path) -> None:
    still = np.zeros(300, np.float32)
    loud = np.sin(np.arange(300, dtype=np.float32))
    snapshots = [
        Window("sample", n, loud if epoch == 5 and n == 8 else still, epoch) for epoch in (1, 5) for n in range(9)
    ]
    with style.look():
        assert training_progress.generation(snapshots, WaveformConfig(), tmp_path / "a.gif", 60) == 2
    before, after = frames(tmp_path / "a.gif")
    rows, columns = np.nonzero((before != after).any(axis=2))
    height, width = before.shape[:2]
    below = rows > 0.2 * height  # above it, the title
    assert below.any() and (columns[below] > 0.55 * width).all() and (rows[below] > 0.5 * height).all()  # the ninth


@pytest.mark.parametrize("variant", ["mel_fake", "wave_fake"])
def test_a_picture_of_an_epoch_differs_from_the_next_in_what_was_rebuilt_and_the_title(
    data: Path, tmp_path: Path, variant: str
) -> None:
    inputs = load(variant, data / "models", data / "evaluation", data / "reference")
    with style.look():
        number = epochs.draw(inputs.snapshots, inputs.representation, tmp_path, 60)
    files = sorted(tmp_path.glob("*.png"), key=lambda file: int(file.stem))
    assert [int(file.stem) for file in files] == sorted({w.epoch for w in inputs.snapshots})
    assert len(files) == number == 4
    *_, before, last = (np.asarray(Image.open(file).convert("RGB")) for file in files)
    changed = (before != last).any(axis=2)
    height = len(changed)
    assert changed[: height // 8].any() and 0.02 < changed.mean() < 0.6
    still = "".join("." if row.any() else "=" for row in changed[height // 8 :])
    assert still.count("=" * (height // 8)) >= 2  # each row of originals


def test_a_model_without_epochs_has_no_picture_of_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"train": null}')
    assert epochs.write(tmp_path, tmp_path, 60) == 0 and not list(tmp_path.glob("*.png"))
