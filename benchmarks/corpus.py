"""Synthetic recordings to measure with."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.audio.wav import write_wav
from pipeline.sources import synth, tracks
from pipeline.sources.config import SynthConfig
from pipeline.sources.tracks import AudioFile
from pipeline.windows import table
from pipeline.windows.config import WindowsConfig
from pipeline.windows.inspection import inspect_recording

RATE = 22050


def corpus(folder: Path, clips: int, seconds: float = 30.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write 16-bit WAV files to `folder`: synthetic clips, each rotated so that no two are equal.

    Returns:
        windows.parquet and tracks.parquet, as the stages write them.
    """
    config = SynthConfig(clips=1, clips_per_group=1)
    audio = [synth.render(clip, config) for clip in synth.plan(config)]
    files = []
    for number in range(clips):
        clip = np.roll(audio[number % len(audio)], 1000 * number)
        repeated = np.tile(clip, int(np.ceil(seconds * RATE / len(clip))))[: round(seconds * RATE)]
        write_wav(folder / f"{number}.wav", repeated, RATE)
        files.append(AudioFile(f"{number}.wav", f"label{number % 2}", str(number)))
    rows = tracks.tracks_table(tracks.read_track(file, folder) for file in files)
    inspected = [*map(partial(inspect_recording, root=folder, config=WindowsConfig()), rows["path"])]
    return table.build_tables(rows, inspected, WindowsConfig())[0], rows
