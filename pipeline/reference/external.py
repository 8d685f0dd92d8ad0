"""Rows of models from elsewhere: the test windows as WAV files for them, and the score of what they made of these."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch

from pipeline.audio.cut import pad
from pipeline.audio.representation import WaveformConfig, sample_count
from pipeline.audio.resample import resample
from pipeline.audio.wav import write_wav
from pipeline.core.errors import DataError
from pipeline.metrics.config import EvaluateConfig
from pipeline.reference.common_scores import CommonScorer
from pipeline.reference.read import Reference
from pipeline.reference.row import write_clips, write_row
from pipeline.reference.write import decode_windows

BATCH_SIZE = 64
MAX_DIFFERENCE = 0.1  # seconds by which a file may be longer or shorter than a window


def export_windows(out: Path, windows: pd.DataFrame, tracks: pd.DataFrame, audio_folder: Path, rate: int) -> int:
    """Write each test window as <window_id>.wav, 16-bit mono at `rate` Hz, into the folder `out`; their number.

    Raises:
        DataError: a track differs from the file that stage `windows` read.
    """
    test = windows[windows["split"] == "test"]
    for track, decoded in decode_windows(test, tracks, WaveformConfig(sample_rate=rate), audio_folder):
        for row, audio in zip(track.rows, decoded, strict=True):
            write_wav(out / f"{row.window_id}.wav", audio, rate)
    return len(test)


def write_external(
    out: Path, folder: Path, reference: Reference, seconds: float, settings: EvaluateConfig, kbps: float | None
) -> None:
    """Score the reconstructions in `folder`, a <window_id>.wav for each test window of `seconds`.

    The files may have any sample rate; channels are averaged. Write the files of `write_row`, bands.parquet and clips
    into the new folder `out`. `kbps` is the bit rate that their model needs.

    Raises:
        DataError: a file is missing, of no test window, unreadable, not finite, or not as long as a window.
    """
    rate = reference.mel_config.sample_rate
    config = WaveformConfig(sample_rate=rate)
    scorer = CommonScorer(reference, config, seconds, None, settings)
    for batch in _batches(folder, reference.windows["window_id"].tolist(), rate, seconds):
        scorer.add(torch.from_numpy(batch), None)
    scores = scorer.finish()
    write_row(out, reference, scores.windows, scores.audio, settings, kbps=kbps)
    scores.bands.to_parquet(out / "bands.parquet", index=False)
    write_clips(out, reference, scores.audio)


def _batches(folder: Path, window_ids: list[int], rate: int, seconds: float) -> Iterator[np.ndarray]:
    """(B, samples) float32 at `rate`, in the order of `window_ids`."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; reference.external in params.yaml names it")
    paths = [folder / f"{window_id}.wav" for window_id in window_ids]
    if missing := [path for path in paths if not path.is_file()]:
        number = f"{len(missing)} of {len(paths)} test windows have no file"
        raise DataError(f"{missing[0]}: missing; {number}; `melisma export-test` writes originals with the right names")
    if unknown := {path.name for path in folder.glob("*.wav")} - {path.name for path in paths}:
        raise DataError(f"{folder / min(unknown)}: no such test window; after a change of the data, export them again")
    length = sample_count(seconds, rate)
    for start in range(0, len(paths), BATCH_SIZE):
        yield np.stack([_read(path, rate, seconds, length) for path in paths[start : start + BATCH_SIZE]])


def _read(path: Path, rate: int, seconds: float, length: int) -> np.ndarray:
    try:
        samples, file_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{path}: unreadable ({error.error_string})") from error
    if abs(len(samples) / file_rate - seconds) > MAX_DIFFERENCE:
        found = f"{len(samples) / file_rate:.2f} s, but a window has {seconds:g} s"
        raise DataError(f"{path}: {found}; it may differ by {MAX_DIFFERENCE} s")
    mono = samples.mean(1)
    if not np.isfinite(mono).all():
        raise DataError(f"{path}: it has values that are not finite")
    return pad(resample(mono, file_rate, rate)[:length], length)
