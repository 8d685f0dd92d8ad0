"""Shards hold what the recordings say, whoever computed them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
import soundfile

from pipeline.audio.scale import to_unit
from pipeline.cache import build as module
from pipeline.cache.build import build, recordings
from pipeline.cache.config import MelConfig, WaveformConfig
from pipeline.cache.reader import read_split, read_stats
from pipeline.errors import DataError
from pipeline.runtime import pool
from tests.recordings import make_folder

SECONDS = 1.0
MEL = MelConfig(sample_rate=11025, n_fft=512, hop_length=256, bands=32)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    root = make_folder(tmp_path_factory.mktemp("music"), tracks=3, seconds=3.0)
    files = sorted(root.rglob("*.wav"))
    ids = [f.relative_to(root).with_suffix("").as_posix() for f in files]
    tracks = pd.DataFrame({"track_id": ids, "path": [f"{i}.wav" for i in ids]})
    rows = [(i, s) for i in ids for s in (0.0, 1.0, 2.0)]
    windows = pd.DataFrame(rows, columns=["track_id", "start_seconds"])
    windows["window_id"] = range(len(windows))
    windows["label"] = windows["track_id"].str.split("/").str[0]
    windows["split"] = windows["track_id"].map(dict(zip(ids, ["train", "test", "valid"] * 2, strict=True)))
    return root, recordings(windows, tracks, root), windows


def cache(chosen, config, out: Path, workers: int = 0):
    out.mkdir()
    with pool(workers) if workers else ThreadPoolExecutor(1) as executor:
        return build(chosen, config, SECONDS, out, executor)


def test_windows_come_from_their_place_in_the_recording(chosen, tmp_path):
    root, tracks, windows = chosen
    cache(tracks, WaveformConfig(sample_rate=11025), tmp_path / "wave")
    cache(tracks, MEL, tmp_path / "mel")
    seen = []
    for name in ("train", "valid", "test"):
        wave, mel = read_split(tmp_path / "wave", name), read_split(tmp_path / "mel", name)
        np.testing.assert_array_equal(wave.window_ids, mel.window_ids)
        seen += wave.window_ids.tolist()
        for i, window_id in enumerate(wave.window_ids):
            row = windows.set_index("window_id").loc[window_id]
            assert (row.track_id, row.label, row.split) == (wave.track_ids[i], wave.labels[i], name)
            audio, rate = soundfile.read(root / f"{row.track_id}.wav", dtype="float32")
            expected = audio[int(row.start_seconds * rate) :][:rate]
            np.testing.assert_allclose(to_unit(wave.values[i].astype(np.float64), "waveform"), expected, atol=4e-5)
            power = librosa.feature.melspectrogram(y=expected, sr=rate, n_fft=512, hop_length=256, n_mels=32)
            db = librosa.power_to_db(power, ref=np.max, top_db=80)
            np.testing.assert_allclose(mel.values[i].astype(np.float32), db, atol=0.04)
            assert mel.peak_db[i] == pytest.approx(10 * np.log10(power.max()), abs=1e-3)
    assert sorted(seen) == list(range(18))


@pytest.mark.parametrize("config", [MEL, WaveformConfig(sample_rate=3000)])
def test_bytes_do_not_depend_on_the_number_of_workers(chosen, tmp_path, config, monkeypatch):
    monkeypatch.setattr(module, "SHARD_BYTES", 2 * 2 * int(np.prod(config.shape(SECONDS))))  # two windows
    _, tracks, _ = chosen
    one = cache(tracks, config, tmp_path / "one")
    two = cache(tracks, config, tmp_path / "two", workers=2)
    assert one == two
    assert len(one["shards"]) > 3
    for name in one["shards"]:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_statistics_are_of_the_train_split_alone(chosen, tmp_path):
    _, tracks, _ = chosen
    cache(tracks, MEL, tmp_path / "mel")
    stats = read_stats(tmp_path / "mel")
    train = to_unit(read_split(tmp_path / "mel", "train").values.astype(np.float64), "mel")
    np.testing.assert_allclose(stats["mean"], train.mean(axis=(0, 2)))
    np.testing.assert_allclose(stats["std"], train.std(axis=(0, 2)))
    assert stats["windows"] == {"train": 6, "valid": 6, "test": 6}


def test_a_recording_that_vanished_says_so(tmp_path):
    gone = [module.Recording(tmp_path / "gone.wav", "gone", "a", "train", (0,), (0.0,))]
    with pytest.raises(DataError, match=r"gone\.wav.*changed since"):
        cache(gone, MEL, tmp_path / "mel")
