"""Mel cache of recordings: one core against librosa, and two worker processes against one."""

import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from benchmarks.measure import Row, compare
from pipeline.audio.representation import MelConfig
from pipeline.audio.wav import write_wav
from pipeline.cache import shard
from pipeline.cache.plan import plan_shards
from pipeline.cache.shard import code_fingerprint
from pipeline.core.process import worker_pool
from pipeline.sources import synth
from pipeline.sources.config import SynthConfig
from pipeline.sources.tracks import AudioFile, read_track, tracks_table
from pipeline.windows.config import WindowsConfig
from pipeline.windows.inspection import inspect_recording
from pipeline.windows.table import build_tables

CLIPS, RATE = 200, 22050


def write_clips(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write synthetic clips of 30 s to `folder`, each rotated so that no two are equal.

    Returns:
        windows.parquet and tracks.parquet, as the stages write them.
    """
    config = SynthConfig(clips=1, clips_per_group=1, sample_rate=RATE)
    audio = [synth.render(clip, config) for clip in synth.plan(config)]
    files = [AudioFile(f"{number}.wav", "label", str(number)) for number in range(CLIPS)]
    for number, file in enumerate(files):
        write_wav(folder / file.path, np.roll(audio[number % len(audio)], 1000 * number), RATE)
    tracks = tracks_table(read_track(file, folder) for file in files)
    inspections = [inspect_recording(path, folder, WindowsConfig()) for path in tracks["path"]]
    return build_tables(tracks, inspections, WindowsConfig())[0], tracks


def librosa_loop(folder: Path) -> None:
    """Load each clip, and compute each of its six windows with librosa."""
    for path in folder.glob("*.wav"):
        audio, _ = librosa.load(path, sr=RATE)
        for window in audio.reshape(6, -1):
            librosa.power_to_db(librosa.feature.melspectrogram(y=window, sr=RATE), ref=np.max)


def rows() -> list[Row]:
    """200 clips of 30 s. Ours also writes the shards; the reference saves nothing."""
    with tempfile.TemporaryDirectory() as name:
        audio = Path(name) / "audio"
        audio.mkdir()
        shards = plan_shards(*write_clips(audio), MelConfig())

        def cache(run: Callable[..., Iterable[None]] = map) -> None:
            out = Path(tempfile.mkdtemp(dir=name))  # a new folder: replacing files makes the system flush them
            fixed = {"config": MelConfig(), "seconds": 5.0, "code": code_fingerprint()}
            task = partial(shard.write_shard, recordings=audio, folder=out, **fixed)
            deque(run(task, shards), 0)

        torch.set_num_threads(1)
        with threadpool_limits(1):
            single = compare(
                f"mel cache of {CLIPS} clips of 30 s, one core, decoding and writing included",
                cache,
                "librosa.load, melspectrogram and power_to_db per window",
                partial(librosa_loop, audio),
            )
        with worker_pool(1) as one, worker_pool(2) as two:
            double = compare(
                "the same by two worker processes that are already running",
                partial(cache, two.map),
                "by one",
                partial(cache, one.map),
            )
    return [single, double]
