"""data/vocoders/<representation>: what the stage trains, compares, chooses and copies."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import RuntimeConfig
from pipeline.core.workspace import CHOICE_FILE, EXPORTED_FILE
from pipeline.dataset.split import read_split
from pipeline.training.seed import SeedSetup
from pipeline.vocoder import make
from pipeline.vocoder.choice import is_better
from pipeline.vocoder.read import read_inversion
from tests.audio.test_inversion import Loudness, export
from tests.cache.make import make_cache, make_tables, read_files
from tests.recordings import make_folder

MEL = MelConfig(sample_rate=8000, n_fft=256, hop_length=64, bands=20)
WAVE = WaveformConfig(sample_rate=8000, train_span_seconds=2.0)
TRAINED: dict[str, Any] = {
    "type": "trained",
    "griffin_lim_iterations": 2,
    "waveforms": "wave",
    "network": {"width": 8, "layers": 1, "iterations": 0},
    "train": {"epochs": 1, "batch_size": 4, "crop_seconds": 0.25},
}
EXPORTED = {"type": "exported", "path": "mine.pt2", "griffin_lim_iterations": 2}


class Runs:
    """The identities of the trainings that were recorded, and the epochs of each."""

    def __init__(self) -> None:
        self.identities: list[dict[str, Any]] = []
        self.epochs = 0

    @contextmanager
    def __call__(self, identity: dict[str, Any], setup: SeedSetup) -> Iterator["Runs"]:
        self.identities.append(identity)
        yield self

    def log_epoch(self, row: dict[str, float]) -> None:
        self.epochs += 1

    def log_steps(self, first: int, rows: list[dict[str, float]]) -> None:
        pass


def make_vocoder(vocoder: dict[str, Any] | None, mel: MelConfig | WaveformConfig = MEL) -> tuple[Path, Runs]:
    """Make the vocoder of `mel` in the current project; its folder, and the trainings."""
    raw = {"representations": {"mel": mel.model_dump(), "wave": WAVE.model_dump()}}
    raw |= {"vocoders": {} if vocoder is None else {"mel": vocoder}}
    runs = Runs()
    make.make_vocoder("mel", raw, RuntimeConfig(device="cpu"), runs)
    return Path("data/vocoders/mel"), runs


def read_choice(folder: Path) -> dict[str, Any]:
    choice: dict[str, Any] = json.loads((folder / CHOICE_FILE).read_text())
    return choice


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Runs]:
    """A project with a cache of waveforms and a trained vocoder, which was better; and its runs."""
    root = tmp_path_factory.mktemp("vocoder")
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).touch()
    windows, tracks = make_tables(make_folder(root / "music", tracks=5, seconds=2.5))
    cache, pretrained = root / "data" / "cache", root / "data" / "pretrained"
    cache.mkdir(parents=True)
    make_cache(root / "music", windows, tracks, WAVE, cache / "wave")
    pretrained.mkdir()
    (export(root, Loudness(MEL.hop_length)) / EXPORTED_FILE).rename(pretrained / "mine.pt2")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("DVC_ROOT", raising=False)
        patch.setattr(make, "is_better", lambda *_: True)
        return root, make_vocoder(TRAINED)[1]


@pytest.fixture
def project(trained: tuple[Path, Runs], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, as the current folder."""
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """The scores that are compared; the vocoder is worse."""
    scores: list[dict[str, float]] = []
    monkeypatch.setattr(make, "is_better", lambda *both: scores.extend(both))
    return scores


def test_a_trained_vocoder_has_its_network_its_scores_and_its_training(trained, project):
    folder = project / "data/vocoders/mel"
    runs = trained[1]
    assert [(run["variant"], run["seed"]) for run in runs.identities] == [("vocoder-mel", 0)] and runs.epochs == 1
    assert {path.name for path in folder.iterdir()} == {CHOICE_FILE, "training"}
    assert {"config.json", "network.safetensors", "history.csv"} <= {p.name for p in (folder / "training").iterdir()}
    choice = read_choice(folder)
    assert (choice["uses"], choice["iterations"]) == ("vocoder", 2)
    names = {"audio_mel_distance", "audio_stft_distance"}
    assert {way: set(scores) for way, scores in choice["scores"].items()} == {"vocoder": names, "griffin_lim": names}
    assert all(0.01 < value < 100 for scores in choice["scores"].values() for value in scores.values())
    inversion = read_inversion(folder, MEL)
    assert inversion is not None and inversion.name == "a vocoder"


def test_a_finished_training_is_restored_and_a_worse_vocoder_is_not_used(project, compared, capsys):
    before = read_choice(project / "data/vocoders/mel"), read_files(project / "data/vocoders/mel/training")
    shutil.rmtree(project / "data/vocoders")  # as DVC does before it runs a stage
    folder, runs = make_vocoder(TRAINED)
    printed = capsys.readouterr().out
    assert "vocoder-mel seed 0: finished before" in printed and "mel: griffin_lim is used" in printed
    assert not runs.identities and read_files(folder / "training") == before[1]
    choice = read_choice(folder)
    assert choice == before[0] | {"uses": "griffin_lim"}
    assert compared == [choice["scores"]["vocoder"], choice["scores"]["griffin_lim"]]
    inversion = read_inversion(folder, MEL)
    assert inversion is not None and inversion.name == "Griffin-Lim with 2 iterations"


def network_with(**settings: Any) -> dict[str, Any]:
    return TRAINED | {"network": TRAINED["network"] | settings}


@pytest.mark.parametrize(
    ("vocoder", "mel", "trainings"),
    [
        (network_with(width=4), MEL, 1),
        (network_with(iterations=1), MEL, 1),
        (TRAINED, MEL.model_copy(update={"bands": 16}), 1),
        (TRAINED | {"train": TRAINED["train"] | {"batch_size": 6}}, MEL, 1),
        (TRAINED | {"griffin_lim_iterations": 9}, MEL, 0),
    ],
    ids=["width", "iterations", "bands", "batch_size", "griffin_lim_iterations"],
)
def test_a_setting_that_decides_the_weights_trains_again(project, monkeypatch, vocoder, mel, trainings):
    monkeypatch.setattr(make, "choose", lambda *_: {})
    _, runs = make_vocoder(vocoder, mel)
    assert len(runs.identities) == trainings


def test_validation_windows_are_few_and_evenly_spaced(project, monkeypatch):
    folder = project / "data/cache/wave"
    valid = read_split(folder, "valid")
    assert make.VALID_WINDOWS > len(valid) > 2 and np.array_equal(make.read_valid(folder).values, valid.values)
    monkeypatch.setattr(make, "VALID_WINDOWS", 2)
    assert np.array_equal(make.read_valid(folder).window_ids, valid.window_ids[[0, -1]])


@pytest.mark.parametrize("waveforms", [None, "wave"])
def test_the_users_own_network_is_copied_and_used_even_if_it_is_worse(project, compared, waveforms):
    folder, runs = make_vocoder(EXPORTED | {"waveforms": waveforms})
    choice = read_choice(folder)
    assert (choice["uses"], choice["iterations"]) == ("vocoder", 2) and not runs.identities and not compared
    assert list(choice["scores"]) == ([] if waveforms is None else ["griffin_lim", "vocoder"])
    assert not waveforms or not is_better(choice["scores"]["vocoder"], choice["scores"]["griffin_lim"])
    assert read_files(folder).keys() == {CHOICE_FILE, EXPORTED_FILE}
    assert read_files(folder)[EXPORTED_FILE] == (project / "data/pretrained/mine.pt2").read_bytes()


def test_a_missing_or_damaged_network_is_an_error_and_keeps_the_last_folder(project):
    before = read_files(project / "data/vocoders/mel/training")
    with pytest.raises(ParamsError, match=r"^params.yaml: vocoders\.mel\.path: no file data/pretrained/other\.pt2;"):
        make_vocoder(EXPORTED | {"path": "other.pt2"})
    (project / "data/pretrained/other.pt2").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"data/pretrained/other\.pt2: not a file of torch.export.save"):
        make_vocoder(EXPORTED | {"path": "other.pt2"})
    assert [path.name for path in (project / "data/vocoders").iterdir()] == ["mel"]
    assert read_files(project / "data/vocoders/mel/training") == before


@pytest.mark.parametrize(
    ("vocoder", "mel", "choice"),
    [
        ({"type": "griffin_lim", "griffin_lim_iterations": 7}, MEL, {"uses": "griffin_lim", "iterations": 7}),
        (None, MEL, {"uses": "griffin_lim", "iterations": 32}),
        (None, WAVE, {}),
    ],
    ids=["griffin_lim", "no entry", "waveform"],
)
def test_without_a_network_there_is_only_the_choice(project, vocoder, mel, choice):
    folder, runs = make_vocoder(vocoder, mel)
    assert [path.name for path in folder.iterdir()] == [CHOICE_FILE] and not runs.identities
    assert read_choice(folder) == choice
    inversion = read_inversion(folder, mel)
    assert (inversion and inversion.iterations) == choice.get("iterations")
