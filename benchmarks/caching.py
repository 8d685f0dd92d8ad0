"""Mel cache of recordings: one core against librosa, and two worker processes against one."""

import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.corpus import RATE, corpus
from benchmarks.measure import Row, compare
from pipeline.audio.representation import MelConfig
from pipeline.cache import shard
from pipeline.cache.plan import plan_shards
from pipeline.cache.shard import code_fingerprint
from pipeline.core.process import worker_pool

CLIPS = 200


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
        shards = plan_shards(*corpus(audio, CLIPS), MelConfig())

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
