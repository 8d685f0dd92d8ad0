"""Shards hold the windows of the recordings, for any number of workers and after a worker was killed."""

import dataclasses
import os
import signal
import time
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import soundfile

from pipeline.audio.representation import MelConfig, WaveformConfig
from pipeline.audio.scale import to_unit
from pipeline.cache import plan as planning
from pipeline.cache.build import MAX_FAILED_POOLS
from pipeline.cache.plan import Row, TrackRows, plan_shards
from pipeline.cache.shard import decode_rows, write_shard
from pipeline.core.errors import DataError, MelismaError
from pipeline.core.process import WorkerDiedError, worker_pool
from pipeline.dataset.split import read_split, read_stats
from tests.cache.make import make_cache, make_tables, read_files
from tests.recordings import make_folder

MEL = MelConfig(sample_rate=11025, n_fft=512, hop_length=256, bands=32)
WAVE = WaveformConfig(sample_rate=11025)
LOW = WaveformConfig(sample_rate=3000)


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    root = make_folder(tmp_path_factory.mktemp("music"), tracks=5, seconds=3.0)
    return root, *make_tables(root)


@pytest.fixture
def small_shards(monkeypatch):
    """One recording per shard."""
    monkeypatch.setattr(planning, "MIN_SHARD_BYTES", 1)
    monkeypatch.setattr(planning, "MIN_SHARDS", 1000)


def test_windows_hold_their_part_of_the_recording(music, tmp_path):
    root, windows, _ = music
    make_cache(*music, WAVE, tmp_path / "wave")
    make_cache(*music, MEL, tmp_path / "mel")
    window_ids = []
    for name in ("train", "valid", "test"):
        wave, mel = read_split(tmp_path / "wave", name), read_split(tmp_path / "mel", name)
        assert (wave.kind, wave.shape, mel.kind, mel.shape) == ("waveform", (11025,), "mel", (32, 44))
        assert len(wave) == len(mel) == len(wave.values)
        np.testing.assert_array_equal(wave.window_ids, mel.window_ids)
        window_ids += wave.window_ids.tolist()
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
    assert sorted(window_ids) == list(range(30))
    names = {tuple(pq.read_schema(path).names) for path in (tmp_path / "mel").glob("*.parquet")}
    assert names == {("window_id", "track_id", "label", "peak_db", "mel")}


def test_the_first_sample_of_a_window_is_in_no_other_window(tmp_path):
    root = make_folder(tmp_path / "music", labels=1, tracks=3, seconds=1.0)
    quiet = np.zeros(10 * 11025, np.float32)
    quiet[::50] = 1e-3  # above the limit of silence
    for k in range(10):
        audio = quiet.copy()
        audio[k * 11025] = 1.0
        soundfile.write(root / "label0" / f"click{k}.wav", audio, 11025, subtype="FLOAT")
    windows, tracks = make_tables(root, silence_db=-100.0)
    make_cache(root, windows, tracks, WAVE, tmp_path / "wave")
    clicks = {}
    for name in ("train", "valid", "test"):
        split = read_split(tmp_path / "wave", name)
        for track, window_id, values in zip(split.track_ids, split.window_ids, split.values, strict=True):
            if "click" in track:
                start = windows.set_index("window_id").loc[window_id, "start_seconds"]
                clicks[track[-1], int(start)] = np.flatnonzero(values > 1000).tolist()
    assert clicks == {(str(k), w): [0] if w == k else [] for k in range(10) for w in range(10)}


def test_a_recording_is_resampled_before_it_is_cut(tmp_path):
    """A window that is resampled alone would ring at its ends."""
    root = make_folder(tmp_path / "music", labels=1, tracks=4, seconds=6.0, rate=22050)
    windows, tracks = make_tables(root)
    make_cache(root, windows, tracks, LOW, tmp_path / "wave")
    split = read_split(tmp_path / "wave", "test")
    audio = soundfile.read(root / f"{split.track_ids[0]}.wav", dtype="float32")[0]
    expected = librosa.resample(audio, orig_sr=22050, target_sr=3000, res_type="soxr_hq")
    windows = split.values[split.track_ids == split.track_ids[0]]
    np.testing.assert_allclose(to_unit(np.concatenate(windows).astype(np.float64), "waveform"), expected, atol=2e-5)


def test_bytes_do_not_depend_on_the_number_of_workers(music, tmp_path, small_shards):
    configs = {"mel": MEL, "wave": LOW, "spans": MEL.model_copy(update={"train_span_seconds": 2.0})}
    with worker_pool(3) as executor:
        for name, config in configs.items():
            assert len(make_cache(*music, config, tmp_path / name)["shards"]) == 10
            out = tmp_path / f"{name}-workers"
            make_cache(*music, config, out, open_executor=partial(nullcontext, executor))
            assert read_files(out) == read_files(tmp_path / name)


def test_the_shard_of_a_killed_worker_is_computed_again(music, tmp_path, small_shards, capsys):
    pools = []

    @contextmanager
    def open_deadly_pool():
        """The first pool loses a worker when a shard is finished."""
        with worker_pool(2) as executor:
            pools.append(executor)
            if len(pools) == 1:
                folder = tmp_path / "killed.kept"
                executor.submit(_kill_the_other_worker, str(folder))
                while not (folder / "ready").exists():
                    time.sleep(0.01)
                (folder / "ready").unlink()
            yield executor

    killed = make_cache(*music, MEL, tmp_path / "killed", open_executor=open_deadly_pool)
    assert len(pools) == 2
    assert "a worker died; " in capsys.readouterr().out
    assert killed == make_cache(*music, MEL, tmp_path / "whole")
    assert read_files(tmp_path / "killed") == read_files(tmp_path / "whole")


def _kill_the_other_worker(folder: str) -> None:
    """Kill it after its first shard, and compute nothing."""
    processes = psutil.Process(os.getppid()).children()
    others = [p.pid for p in processes if "spawn_main" in " ".join(p.cmdline()) and p.pid != os.getpid()]
    Path(folder, "ready").touch()
    while not list(Path(folder).glob("*.parquet")):
        pass
    for other in others:
        os.kill(other, signal.SIGKILL)
    time.sleep(60)


def test_workers_that_die_again_and_again_stop_the_stage(music, tmp_path, capsys):
    pools = []

    @contextmanager
    def open_hopeless_pool():
        with worker_pool(1) as executor:
            pools.append(executor)
            executor.submit(os._exit, 1)
            yield executor

    with pytest.raises(WorkerDiedError, match="a worker process died"):
        make_cache(*music, MEL, tmp_path / "mel", open_executor=open_hopeless_pool)
    assert len(pools) == MAX_FAILED_POOLS


def test_finished_shards_are_kept_and_a_truncated_one_is_computed_again(music, tmp_path, small_shards, capsys):
    stats = make_cache(*music, MEL, tmp_path / "whole")
    expected = read_files(tmp_path / "whole")
    finished = tmp_path / "whole.kept"
    first, second, *_ = sorted(finished.iterdir())
    truncated = first.read_bytes()[:-100]  # after a power failure
    first.unlink()  # `whole` has a link to it
    first.write_bytes(truncated)
    second.unlink()
    before = {path.name: path.stat().st_ino for path in finished.iterdir() if path != first}
    finished.rename(tmp_path / "again.kept")
    assert make_cache(*music, MEL, tmp_path / "again") == stats
    assert "8 of 10 shards were finished before" in capsys.readouterr().out
    after = {path.name: path.stat().st_ino for path in (tmp_path / "again").iterdir()}
    assert before.items() <= after.items()
    assert read_files(tmp_path / "again") == expected


@pytest.mark.parametrize("span", [None, 2.0])
@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_statistics_are_of_the_train_windows(music, tmp_path, kind, span, small_shards):
    config = (MEL if kind == "mel" else LOW).model_copy(update={"train_span_seconds": span})
    make_cache(*music, config, tmp_path / "cache")
    stats = read_stats(tmp_path / "cache")
    assert stats["windows"] == music[1]["split"].value_counts().to_dict()
    make_cache(*music, config.model_copy(update={"train_span_seconds": None}), tmp_path / "single")
    train = to_unit(read_split(tmp_path / "single", "train").values.astype(np.float64), kind)
    axis = (0, 2) if kind == "mel" else None
    # A crop of a mel span contains parts of its neighbours at the edges, and has its own peak.
    tolerance = {"rtol": 1e-6} if kind == "waveform" or not span else {"atol": 0.005}
    np.testing.assert_allclose(stats["mean"], train.mean(axis=axis), **tolerance)
    np.testing.assert_allclose(stats["std"], train.std(axis=axis), **tolerance)


def test_a_changed_recording_is_an_error(music, tmp_path):
    root, windows, tracks = music
    with pytest.raises(DataError, match=r"gone.*track0\.wav.*No such file.*it changed since stage windows"):
        make_cache(tmp_path / "gone", windows, tracks, MEL, tmp_path / "mel")
    assert list((tmp_path / "mel.kept").iterdir()) == []
    track = TrackRows("label0/track0.wav", "label0/track0", "label0", (Row(0, 2.0, 1.0, 1), Row(1, 3.0, 1.0, 1)))
    with pytest.raises(DataError, match=r"track0\.wav: ends before 3 s; it changed since"):
        list(decode_rows(track, 11025, root))
    changed = dataclasses.replace(track, rows=track.rows[:1], bytes=12345)
    with pytest.raises(DataError, match=r"track0\.wav: 66,194 bytes, not 12,345; it changed since"):
        list(decode_rows(changed, 11025, root))


def test_three_samples_are_no_padded_window(tmp_path):
    root = make_folder(tmp_path / "music", labels=1, tracks=3, seconds=2.0)
    for path in root.rglob("*.wav"):
        audio, rate = soundfile.read(path)
        soundfile.write(path, np.append(audio, [0.1] * 3), rate)
    windows, tracks = make_tables(root, partial="pad")
    assert len(windows) == 6
    make_cache(root, windows, tracks, LOW, tmp_path / "wave")


def test_other_code_is_refused(music, tmp_path):
    shard, *_ = plan_shards(*music[1:], WAVE)
    with pytest.raises(MelismaError, match="has other code of Melisma"):
        write_shard(shard, WAVE, 1.0, music[0], tmp_path, code="older")
