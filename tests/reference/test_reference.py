"""The test windows as recorded, and the ceilings of representations."""

import json
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
import yaml

import stages.reference
from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.core import arrays
from pipeline.core.errors import DataError
from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import read_split
from pipeline.metrics.config import EvaluateConfig
from pipeline.reference.ceiling import write_ceiling
from pipeline.reference.read import read_reference
from pipeline.reference.write import select_rows, write_reference
from pipeline.vocoder.read import read_inversion
from tests.audio.test_inversion import Loudness, export
from tests.cache.make import make_cache, make_tables
from tests.recordings import make_folder

MEL = MelConfig(sample_rate=8000, n_fft=512, hop_length=256, bands=32, train_span_seconds=2.0)
REPRESENTATIONS = {
    "common": MEL,
    "fine": MelConfig(sample_rate=8000, n_fft=256, hop_length=64, bands=60),
    "low": WaveformConfig(sample_rate=3000),
    "full": WaveformConfig(sample_rate=8000),
}
SETTINGS = EvaluateConfig(mel="common", examples=2, audio_windows=4, bootstrap=50)


def make_inputs(root):
    """A folder of recordings, its windows.parquet and its tracks.parquet."""
    music = make_folder(root / "music", labels=3, tracks=4, seconds=3.3)
    return music, *make_tables(music, splits={"train": 0.4, "valid": 0.2, "test": 0.4})


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with recordings, caches, and the reference with its ceilings; windows.parquet; tracks.parquet."""
    root = tmp_path_factory.mktemp("reference")
    music, windows, tracks = make_inputs(root)
    for name, config in REPRESENTATIONS.items():
        make_cache(music, windows, tracks, config, root / name)
    out = root / "out"
    out.mkdir()
    write_reference(out, windows, tracks, music, root / "common", MEL, SETTINGS)
    for name, config in REPRESENTATIONS.items():
        inversion = read_inversion(Path("nowhere"), config)
        write_ceiling(out, out / "ceiling" / name, root / name, tracks, config, SETTINGS, inversion)
    return root, windows, tracks


def read_json(project, name: str) -> dict:
    return json.loads((project[0] / "out" / name).read_text())


def test_the_mel_of_a_test_window_equals_librosas(project):
    root, windows, _ = project
    reference = read_reference(root / "out", read_split(root / "low", "test").window_ids)
    test = windows[windows["split"] == "test"].sort_values("window_id").reset_index()
    assert reference.windows["window_id"].tolist() == test["window_id"].tolist()
    assert reference.windows["group"].tolist() == test["group"].tolist()
    row = len(test) - 1
    audio, rate = soundfile.read(root / "music" / f"{test['track_id'][row]}.wav", dtype="float32")
    audio = librosa.resample(audio, orig_sr=rate, target_sr=8000, res_type="soxr_hq")
    start = round(test["start_seconds"][row] * 8000)
    power = librosa.feature.melspectrogram(
        y=audio[start : start + 8000], sr=8000, n_fft=512, hop_length=256, n_mels=32, pad_mode="constant"
    )
    assert reference.windows["peak_db"][row] == pytest.approx(10 * np.log10(power.max()), abs=0.01)
    np.testing.assert_allclose(reference.mel[row], librosa.power_to_db(power, ref=np.max), atol=0.1)
    assert reference.mel_config == MEL.model_copy(update={"train_span_seconds": None})
    description = read_json(project, "reference.json")
    assert description["mel"] == {"sample_rate": 8000, "n_fft": 512, "hop_length": 256, "bands": 32}
    assert description["seconds"] == 1.0 and description["embedding"] is None


def test_the_audio_of_a_test_window_is_the_recording(project):
    root, windows, _ = project
    description = read_json(project, "reference.json")
    table = arrays.read(root / "out" / "examples.parquet")
    frame, audio = table.drop_columns(["audio"]).to_pandas(), arrays.unpack(table, "audio")
    assert frame["window_id"].tolist() == description["audio_windows"] and len(description["audio_windows"]) == 4
    examples = frame.loc[frame["example"] >= 0].sort_values("example")
    assert examples["window_id"].tolist() == description["examples"]
    assert frame["track_id"].nunique() == min(4, windows.loc[windows["split"] == "test", "track_id"].nunique())
    waveforms = read_split(root / "full", "test")
    rows = np.searchsorted(waveforms.window_ids, frame["window_id"])
    np.testing.assert_allclose(audio, waveforms.values[rows] / 32767, atol=2e-5)


def test_the_mean_predictor_is_the_mean_train_window(project):
    root, *_ = project
    reference = read_reference(root / "out", read_split(root / "low", "test").window_ids)
    train = window_loader(read_split(root / "common", "train"), torch.device("cpu"))
    mean = torch.cat([x for x, _ in train.batches(len(train))]).double().mean(0)[0].numpy()
    unit = reference.mel.astype(float) / 80 + 1
    np.testing.assert_allclose(reference.mean_error, np.square(unit - mean).mean(2), rtol=1e-4)


def test_ceilings_show_the_loss_of_each_representation(project):
    ceilings = [read_json(project, f"ceiling/{name}/metrics.json") for name in REPRESENTATIONS]
    common, fine, low, full = ceilings
    assert common["mel_mse"] == 0 and common["mel_cosine_similarity"] == 1  # it is the common log-mel
    assert full["mel_mse"] < 1e-6  # 16 bits
    assert 0 < fine["mel_mse"] < 0.01  # inverted to audio, then to the common log-mel
    assert low["mel_mse_bass"] < 1e-4 < 0.01 < low["mel_mse"] and low["bandwidth_hz"] == 1500
    assert low["mel_mse_bandwidth"] < 0.1 * low["mel_mse"]
    assert common["bandwidth_hz"] is full["bandwidth_hz"] is None and full["mel_mse_bandwidth"] == full["mel_mse"]
    assert full["audio_stft_distance"] < 0.05 < common["audio_stft_distance"]
    for metrics in ceilings:
        assert metrics["ceiling"] and metrics["mse"] is metrics["kl"] is metrics["mel_mse_treble"] is None
        assert metrics["mel_mse_low"] <= metrics["mel_mse"] <= metrics["mel_mse_high"]
        assert metrics["mel_mse_mean"] > 0.001


def test_beside_a_vocoder_the_same_mels_are_scored_by_griffin_lim(project, tmp_path, monkeypatch):
    root, windows, tracks = project
    raw = {
        "source": {"name": "folder", "path": str(root / "music")},
        "representations": {name: REPRESENTATIONS[name].model_dump() for name in ("common", "fine", "full")},
        "evaluate": SETTINGS.model_dump(),
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    (tmp_path / "dvc.yaml").touch()
    for folder in ("windows", "raw", "cache", "vocoders/common"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    for name in raw["representations"]:
        (tmp_path / "data/cache" / name).symlink_to(root / name)
    windows.to_parquet(tmp_path / "data/windows/windows.parquet")
    tracks.to_parquet(tmp_path / "data/raw/tracks.parquet")
    export(tmp_path / "data/vocoders/common", Loudness(MEL.hop_length), MEL.bands)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    stages.reference.main()
    reference = tmp_path / "data/reference"
    assert [path.name for path in (reference / "griffin_lim").iterdir()] == ["common"]
    assert {path.name for path in (reference / "ceiling").iterdir()} == {"common", "fine", "full"}
    vocoder, griffin_lim = (
        json.loads((reference / way / "common/metrics.json").read_text()) for way in ("ceiling", "griffin_lim")
    )
    assert griffin_lim["audio_stft_distance"] < 0.7 * vocoder["audio_stft_distance"]  # this vocoder makes no music
    assert griffin_lim["mel_mse"] == vocoder["mel_mse"] == 0
    inverted = read_json(project, "ceiling/common/metrics.json")["audio_stft_distance"]
    assert griffin_lim["audio_stft_distance"] != inverted  # 3 iterations, not 32


def test_probes_of_the_true_windows_are_in_the_ceilings(project):
    for name in REPRESENTATIONS:
        metrics = read_json(project, f"ceiling/{name}/metrics.json")
        assert 0 <= metrics["probe_accuracy"] <= 1 and metrics["chance"] == pytest.approx(1 / 3)
        assert metrics["probe_key_accuracy"] is metrics["chance_key"] is metrics["probe_tempo_r2"] is None
        windows = pd.read_parquet(project[0] / "out" / "ceiling" / name / "windows.parquet")
        assert set(windows["probe_accuracy"]) <= {0, 1} and windows["probe_tempo_r2"].isna().all()


def test_ceilings_have_audio_of_the_examples(project):
    root, *_ = project
    examples = read_json(project, "reference.json")["examples"]
    for name in REPRESENTATIONS:
        table = arrays.read(root / "out" / "ceiling" / name / "examples.parquet")
        assert table["window_id"].to_pylist() == examples and table["example"].to_pylist() == [0, 1]
        assert arrays.unpack(table, "audio").shape == (2, 8000)
    windows = pd.read_parquet(root / "out" / "ceiling" / "low" / "windows.parquet")
    assert windows["audio_stft_distance"].notna().sum() == 4 and windows["mel_mse"].notna().all()


def test_a_missing_recording_or_test_split_is_an_error(project, tmp_path):
    root, windows, tracks = project
    with pytest.raises(DataError, match=rf"{tmp_path}/label.*: unreadable.*run `dvc repro` again"):
        write_reference(tmp_path, windows, tracks, tmp_path, root / "common", MEL, SETTINGS)
    without_test = windows[windows["split"] == "train"]
    with pytest.raises(DataError, match="no window is in the split test"):
        write_reference(tmp_path, without_test, tracks, tmp_path, root / "common", MEL, SETTINGS)


def test_a_reference_or_a_cache_of_other_windows_is_refused(project, tmp_path):
    root, windows, tracks = project
    with pytest.raises(DataError, match=r"other test windows than the cache; run `dvc repro reference`"):
        read_reference(root / "out", read_split(root / "low", "valid").window_ids)
    with pytest.raises(DataError, match="common: it is of other test windows; run `dvc repro`"):
        shorter = windows.drop(index=windows.index[windows["split"] == "test"][0])
        write_reference(tmp_path, shorter, tracks, tmp_path, root / "common", MEL, SETTINGS)


LABELS = np.repeat(["a", "b", "c"], [10, 2, 20])


def test_selected_windows_come_from_many_groups():
    assert LABELS[select_rows(LABELS, 3)].tolist() == ["a", "b", "c"]
    assert len(set(LABELS[select_rows(LABELS, 2)])) == 2
    assert len(set(select_rows(LABELS, 6))) == 6
    assert select_rows(LABELS, 100).tolist() == list(range(32))


def test_selected_windows_include_given_ones():
    recordings = np.repeat(np.arange(8), 4)
    rows = select_rows(recordings, 6, [1, 2])
    assert {1, 2} <= set(rows.tolist()) and len(set(recordings[rows])) == 5
    assert len(select_rows(recordings, 12, [1, 2])) == 12
