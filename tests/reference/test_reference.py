"""The test windows as they were recorded, and what a representation loses of them."""

import json

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.core import arrays
from pipeline.core.errors import DataError
from pipeline.dataset.loader import window_loader
from pipeline.dataset.split import read_split
from pipeline.metrics.config import EvaluateConfig
from pipeline.reference import ceiling, write
from pipeline.reference.examples import select_examples
from pipeline.reference.read import load
from tests.cache.dataset import cache, tables
from tests.recordings import make_folder

MEL = MelConfig(sample_rate=8000, n_fft=512, hop_length=256, bands=32)
REPRESENTATIONS = {
    "same": MelConfig(**MEL.model_dump() | {"train_span_seconds": 2.0}),
    "other": MelConfig(sample_rate=8000, n_fft=256, hop_length=64, bands=60),
    "low": WaveformConfig(sample_rate=3000),
    "full": WaveformConfig(sample_rate=8000),
}
SETTINGS = EvaluateConfig(mel=MEL, examples=2, heard=4, griffin_lim_iterations=32, bootstrap=50)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Recordings, their tables, caches, and the reference with its ceilings."""
    root = tmp_path_factory.mktemp("reference")
    music = make_folder(root / "music", labels=3, tracks=4, seconds=3.3)
    windows, tracks = tables(music, splits={"train": 0.4, "valid": 0.2, "test": 0.4})
    for name, config in REPRESENTATIONS.items():
        cache(music, windows, tracks, config, root / name)
    out = root / "out"
    out.mkdir()
    mean = write.mean_predictor(MEL, REPRESENTATIONS, root, 64)
    said = write.write(out, windows, tracks, music, MEL, SETTINGS.examples, SETTINGS.heard, mean)
    for name, config in REPRESENTATIONS.items():
        ceiling.write(out, out / "ceiling" / name, root / name, config, SETTINGS)
    return root, windows, said


def metrics(made, name: str) -> dict:
    return json.loads((made[0] / "out" / "ceiling" / name / "metrics.json").read_text())


def test_windows_hold_the_mel_that_librosa_makes_of_the_recording(made):
    root, windows, said = made
    reference = load(root / "out", read_split(root / "low", "test"))
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
    assert said["seconds"] == 1.0 and said["mel"] == {"sample_rate": 8000, "n_fft": 512, "hop_length": 256, "bands": 32}
    assert said["labels"] == sorted(set(test["label"]))


def test_what_is_heard_is_the_recording(made):
    root, windows, said = made
    table = arrays.read(root / "out" / "examples.parquet")
    frame, audio = table.drop_columns(["audio"]).to_pandas(), arrays.unpack(table, "audio")
    assert frame["window_id"].tolist() == said["heard"] and len(said["heard"]) == 4
    assert frame.loc[frame["example"] >= 0].sort_values("example")["window_id"].tolist() == said["examples"]
    assert frame["track_id"].nunique() == min(4, windows.loc[windows["split"] == "test", "track_id"].nunique())
    waveforms = read_split(root / "full", "test")
    rows = np.searchsorted(waveforms.window_ids, frame["window_id"])
    np.testing.assert_allclose(audio, waveforms.values[rows] / 32767, atol=2e-5)


def test_the_mean_predictor_is_the_train_splits(made):
    root, *_ = made
    reference = load(root / "out", read_split(root / "low", "test"))
    train = window_loader(read_split(root / "same", "train"), torch.device("cpu"))
    mean = torch.cat([x for x, _ in train.batches(len(train))]).double().mean(0)[0].numpy()
    unit = reference.mel.astype(float) / 80 + 1
    np.testing.assert_allclose(reference.mean_error, np.square(unit - mean).mean(2), rtol=1e-4)
    assert np.isnan(write.mean_predictor(MEL, {"low": REPRESENTATIONS["low"]}, root, 64)).all()


def test_ceilings_say_what_each_representation_loses(made):
    same, other, low, full = (metrics(made, name) for name in REPRESENTATIONS)
    assert same["mel_mse"] == 0 and same["mel_cosine_similarity"] == 1  # it is the common log-mel
    assert full["mel_mse"] < 1e-6  # 16 bits
    assert 0 < other["mel_mse"] < 0.01  # inverted, and made again
    assert low["mel_mse_bass"] < 1e-4 < 0.01 < low["mel_mse"] and low["reach_hz"] == 1500
    assert low["mel_mse_reach"] < 0.1 * low["mel_mse"]
    assert same["reach_hz"] is full["reach_hz"] is None and full["mel_mse_reach"] == full["mel_mse"]
    assert full["audio_stft_distance"] < 0.05 < same["audio_stft_distance"]
    for found in (same, other, low, full):
        assert found["ceiling"] and found["mse"] is found["kl"] is found["mel_mse_treble"] is None
        assert found["mel_mse_low"] <= found["mel_mse"] <= found["mel_mse_high"] and found["mel_mse_mean"] > 0.001


def test_ceilings_are_heard(made):
    root, _, said = made
    for name in REPRESENTATIONS:
        table = arrays.read(root / "out" / "ceiling" / name / "examples.parquet")
        assert table["window_id"].to_pylist() == said["examples"] and table["example"].to_pylist() == [0, 1]
        assert arrays.unpack(table, "audio").shape == (2, 8000)
    windows = pd.read_parquet(root / "out" / "ceiling" / "low" / "windows.parquet")
    assert windows["audio_stft_distance"].notna().sum() == 4 and windows["mel_mse"].notna().all()


def test_a_recording_that_is_gone_is_named(made, tmp_path):
    _, windows, _ = made
    test = windows[windows["split"] == "test"]
    music = make_folder(tmp_path / "music", labels=3, tracks=4, seconds=3.3)
    _, tracks = tables(music)
    gone = music / f"{test['track_id'].iloc[-1]}.wav"
    gone.unlink()
    mean = np.zeros(MEL.bands)
    with pytest.raises(DataError, match=rf"{gone}: unreadable.*run `dvc repro` again"):
        write.write(tmp_path, windows, tracks, music, MEL, 2, 4, mean)
    with pytest.raises(DataError, match="no window is in the split test"):
        write.write(tmp_path, windows[windows["split"] == "train"], tracks, music, MEL, 2, 4, mean)


def test_a_reference_of_other_windows_is_refused(made):
    root, *_ = made
    with pytest.raises(DataError, match=r"other test windows than the cache; run `dvc repro reference`"):
        load(root / "out", read_split(root / "low", "valid"))


LABELS = np.repeat(["a", "b", "c"], [10, 2, 20])


def test_windows_that_are_shown_are_of_different_labels():
    assert LABELS[select_examples(LABELS, 3)].tolist() == ["a", "b", "c"]
    assert len(set(LABELS[select_examples(LABELS, 2)])) == 2
    assert len(set(select_examples(LABELS, 6))) == 6
    assert select_examples(LABELS, 100).tolist() == list(range(32))


def test_those_that_are_taken_are_among_the_chosen_and_others_of_other_recordings():
    recordings = np.repeat(np.arange(8), 4)
    found = select_examples(recordings, 6, [1, 2])
    assert {1, 2} <= set(found.tolist()) and len(set(recordings[found])) == 5
    assert len(select_examples(recordings, 12, [1, 2])) == 12
