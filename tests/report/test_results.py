"""results.json: what it holds, and which differences of two builds it shows."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.core.workspace import write_json
from pipeline.report.results import Results, write_results
from pipeline.report.table import Row
from tests import artefacts
from tests.report.inputs import make_params

MEL = {"sample_rate": 22050, "n_fft": 2048, "hop_length": 512, "bands": 128}
PARAMS = make_params("mel_a", "mel_absent") | {"source": {"name": "folder"}, "seeds": [0, 1]}
WINDOWS, TRACKS, EXAMPLES = "windows/windows.parquet", "raw/tracks.parquet", "reference/examples.parquet"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Tracks, windows and the reference; the window 18 is an example."""
    artefacts.make_data(tmp_path, [], ["jig", "waltz"])
    (tmp_path / "reference").mkdir()
    pd.DataFrame({"window_id": [18, 42], "example": [0, -1]}).to_parquet(tmp_path / EXAMPLES)
    write_json(tmp_path / "reference" / "reference.json", {"mel": MEL, "seconds": 5.0})
    return tmp_path


def written(data: Path, **params: Any) -> Results:
    rows = [
        Row("mel_a", "mel", True, kind="mel", input="128 × 216", seeds=[0, 1], numbers={"mel_mse": 0.1, "kl": None}),
        Row("mel_absent", "mel", False),
        Row("true mel", "mel", True, role="ceiling"),
    ]
    write_results(rows, data, PARAMS | params, "0123abc", "0.1.0", data / "results.json")
    return Results.model_validate_json((data / "results.json").read_bytes())


def edit(data: Path, file: str, rows: int | slice, column: str, value: object) -> None:
    table = pd.read_parquet(data / file)
    table.loc[rows, column] = value
    table.to_parquet(data / file)


def test_rows_with_their_settings_and_numbers(data: Path) -> None:
    results = written(data)
    assert [(row.variant, row.role, row.numbers) for row in results.rows] == [
        ("mel_a", "variant", {"mel_mse": 0.1}),
        ("true mel", "ceiling", {}),
    ]
    settings = {"network.type": "conv2d", "bottleneck.latent": "64", "loss.spectral.weight": "0.1"}
    assert settings.items() <= results.rows[0].settings.items() and results.rows[1].settings == {}
    assert (results.source, results.seeds, results.commit) == ("folder", [0, 1], "0123abc")
    assert (results.test.windows, results.test.recordings) == (12, 2)
    assert (results.training.windows, results.training.recordings) == (36, 6)
    assert results.representations["wave"] == {"kind": "waveform", "sample_rate": 3000}


def test_without_a_reference_there_is_no_file(data: Path) -> None:
    (data / "reference" / "reference.json").unlink()
    write_results([], data, PARAMS, None, "0.1.0", data / "results.json")
    assert not (data / "results.json").exists()


def test_the_protocol_leaves_out_speed_and_pictures(data: Path) -> None:
    protocol = written(data).protocol
    assert (
        protocol.items() >= {"windows.seconds": 5.0, "common log-mel.bands": 128, "evaluate.audio_windows": 12}.items()
    )
    assert written(data, evaluate={"batch_size": 7, "walks": 0, "perturbations": [1.0]}).protocol == protocol
    assert written(data, evaluate={"bootstrap": 100}).protocol == protocol | {"evaluate.bootstrap": 100}


def test_an_embedding_is_known_by_its_content(data: Path) -> None:
    protocols = []
    for name, digest in (("a.pt2", "1"), ("b.pt2", "1"), ("b.pt2", "2")):
        write_json(data / "reference" / "reference.json", {"mel": MEL, "seconds": 5.0, "embedding": digest})
        protocols.append(written(data, evaluate={"embedding": {"path": name}}).protocol)
    assert protocols[0] == protocols[1] != protocols[2]


@pytest.mark.parametrize(
    ("file", "rows", "column", "value"),
    [
        (TRACKS, 3, "sha256", "another recording"),
        (WINDOWS, 18, "start_seconds", 0.5),
        (WINDOWS, 18, "label", "waltz"),
        (WINDOWS, 18, "group", "jig/1"),
        (WINDOWS, slice(0, 5), "split", "test"),
        (WINDOWS, 18, "split", "valid"),
        (EXAMPLES, 1, "window_id", 43),
        (EXAMPLES, 1, "example", 1),
    ],
)
def test_another_test_window_is_another_test(data: Path, file: str, rows: int, column: str, value: object) -> None:
    before = written(data).test.fingerprint
    edit(data, file, rows, column, value)
    assert written(data).test.fingerprint != before


def test_a_train_recording_changes_the_training_alone(data: Path) -> None:
    before = written(data)
    edit(data, TRACKS, 0, "sha256", "another recording")
    after = written(data)
    assert after.test == before.test and after.training.fingerprint != before.training.fingerprint
    edit(data, WINDOWS, slice(0, 0), "split", "valid")
    assert written(data).training.fingerprint != after.training.fingerprint


def test_ids_and_paths_do_not_matter(data: Path) -> None:
    """Further train recordings change the ids of windows; another place of the files changes those of tracks."""
    before = written(data).test
    for file in (WINDOWS, EXAMPLES):
        table = pd.read_parquet(data / file)
        table.assign(window_id=table["window_id"] + 100).to_parquet(data / file)
    for file in (WINDOWS, TRACKS):
        table = pd.read_parquet(data / file)
        table.assign(track_id="music/" + table["track_id"]).to_parquet(data / file)
    assert written(data).test == before


def test_music_made_here_is_known_by_its_settings(data: Path) -> None:
    before = written(data, source={"name": "synth"}).test
    edit(data, TRACKS, 3, "sha256", "other last bits")
    assert written(data, source={"name": "synth"}).test == before
    assert written(data, source={"name": "synth", "synth": {"seed": 1}}).test.fingerprint != before.fingerprint
