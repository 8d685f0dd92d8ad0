"""One shard of the cache, from audio files to Parquet: a worker's task, here or on a cluster."""

import json
import os
import platform
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.audio.cut import cut_windows, pad
from pipeline.audio.mel import log_mel
from pipeline.audio.recording import Recording, UndecodableError
from pipeline.audio.representation import RepresentationConfig, sample_count
from pipeline.audio.resample import resample_blocks
from pipeline.audio.scale import FLOOR_DB, INT16_PEAK, below_peak, limit, to_unit
from pipeline.cache.plan import Row, Shard, TrackRows
from pipeline.core import arrays, workspace
from pipeline.core.errors import DataError, MelismaError
from pipeline.core.imports import deciding_files

STATISTICS_KEY = "statistics"  # key in the metadata of a train shard
LIBRARIES = ("av", "numpy", "pyarrow", "soundfile", "soxr", "torch")
SILENCE_DB = -99.9  # the mel's own floor is -100 dB
SPAN_SILENCE_DB = -200.0  # dB of digital silence in a mel span, and after its end


def write_shard(
    shard: Shard, config: RepresentationConfig, seconds: float, recordings: Path, folder: Path, code: str
) -> None:
    """Write `folder / shard.name`; the file appears only when it is complete.

    Columns: window_id, track_id, label and the array; for mel also peak_db; for spans also `length` (filled frames or
    samples of the array) and `windows` (their number in the span).

    Raises:
        DataError: a recording differs from the file that the stages `download` and `windows` read.
        MelismaError: `code` is not the `code_fingerprint()` of this process.
    """
    if code != code_fingerprint():
        raise MelismaError(f"a worker on {platform.node()} has other code of Melisma, or libraries: start it again")
    torch.set_num_threads(1)  # there is a process for each core
    encoder = RowEncoder(shard, config, seconds)
    partial = folder / f".{shard.name}.{platform.node()}.{os.getpid()}"
    partial.touch()  # shows which shards are in work
    try:
        with arrays.Writer(partial) as writer:
            for track in shard.tracks:
                for row, audio in zip(track.rows, decode_rows(track, config.sample_rate, recordings), strict=True):
                    writer.add(encoder.encode(track, row, audio))
            if shard.split == "train":
                writer.set_metadata(STATISTICS_KEY, encoder.statistics.to_json())
        partial.rename(folder / shard.name)
    finally:
        partial.unlink(missing_ok=True)


def decode_rows(track: TrackRows, rate: int, recordings: Path) -> Iterator[np.ndarray]:
    """The audio of each row at `rate`: (samples,) finite float32, with zeros after the end of the recording.

    Values lie in [-1, 1], except where resampling overshoots.

    Raises:
        DataError: the file differs from the one that stage `windows` read.
    """
    path = recordings / track.path
    hint = "it changed since stage windows; run `dvc repro` again, or `dvc repro -f download` for a published data set"
    starts = [sample_count(row.start, rate) for row in track.rows]
    lengths = [sample_count(row.seconds, rate) for row in track.rows]
    count = 0
    try:
        with Recording(path) as recording:
            if track.bytes is not None and track.bytes != path.stat().st_size:
                raise DataError(f"{path}: {path.stat().st_size:,} bytes, not {track.bytes:,}; {hint}")
            blocks = resample_blocks(map(limit, recording.blocks()), recording.rate, rate)
            for length, audio in zip(lengths, cut_windows(blocks, starts, max(lengths)), strict=False):
                count += 1
                yield pad(audio[:length], length)
    except UndecodableError as error:
        raise DataError(f"{path}: {error}; {hint}") from error
    if count < len(starts):
        raise DataError(f"{path}: ends before {track.rows[count].start:g} s; {hint}")


class RowEncoder:
    """Turns audio into rows of a shard. `statistics` sums over the windows of a train shard."""

    def __init__(self, shard: Shard, config: RepresentationConfig, seconds: float) -> None:
        self.config = config
        self.is_train = shard.split == "train"
        self.has_spans = self.is_train and config.train_span_seconds is not None
        self.row_length = config.shape(shard.row_seconds)[-1]
        self.window_length = config.shape(seconds)[-1]
        self.statistics = Statistics(config.bands if config.kind == "mel" else 1)

    def encode(self, track: TrackRows, row: Row, audio: np.ndarray) -> dict[str, Any]:
        """A row of the table, with "waveform", (samples,) int16, or "mel" and "peak_db".

        A mel is (bands, frames) float16, dB below the window's peak, in [-80, 0]. A span is relative to the span's peak
        and has no floor at -80, since each crop has its own peak.
        """
        columns: dict[str, Any] = {"window_id": row.window_id, "track_id": track.track_id, "label": track.label}
        silence = 0.0
        if self.config.kind == "mel":
            db = log_mel(self.config)(audio)
            columns["peak_db"] = db.numpy().max()
            if self.has_spans:
                silence = SPAN_SILENCE_DB  # stays silent beside the peak of any window
                db.masked_fill_(db <= SILENCE_DB, silence)
            db -= float(columns["peak_db"])
            values = db.clamp_min_(silence if self.has_spans else -FLOOR_DB).half().contiguous()
        else:  # limit: resampling may overshoot
            values = torch.from_numpy(np.rint(limit(audio) * INT16_PEAK).astype(np.int16))
        if self.is_train:
            self._add_statistics(values, row.windows)
        if self.has_spans:
            columns |= {"length": np.int32(values.shape[-1]), "windows": np.int32(row.windows)}
            values = torch.nn.functional.pad(values, (0, self.row_length - values.shape[-1]), value=silence)
        return columns | {self.config.kind: values.numpy()}

    def _add_statistics(self, values: torch.Tensor, windows: int) -> None:
        """Add the windows of a row; a span has evenly spaced windows."""
        last_start = values.shape[-1] - self.window_length
        for number in range(windows):
            start = round(number * last_start / max(1, windows - 1))
            window = values[..., start : start + self.window_length].float()
            if self.has_spans and self.config.kind == "mel":
                window = below_peak(window, min_peak_db=-FLOOR_DB)
            self.statistics.add(to_unit(window, self.config.kind))


class Statistics:
    """Sums over windows in [0, 1] or [-1, 1]: per mel band, or over all samples of a waveform."""

    def __init__(self, bands: int) -> None:
        self.count = 0  # values per band
        self.total, self.square = np.zeros(bands), np.zeros(bands)

    def add(self, window: torch.Tensor) -> None:
        """Add a window, (bands, frames) or (samples,) float32."""
        values = window.reshape(len(self.total), -1).double()
        self.count += values.shape[1]
        self.total += values.sum(1).numpy()
        self.square += values.square().sum(1).numpy()

    def to_json(self) -> str:
        """The unrounded sums."""
        return json.dumps({"count": self.count, "total": self.total.tolist(), "square": self.square.tolist()})


def combine_statistics(parts: Iterable[str | bytes]) -> dict[str, Any]:
    """`mean` and `std` of several `Statistics.to_json`: lists over bands, or numbers."""
    sums = [json.loads(part) for part in parts]
    count = sum(part["count"] for part in sums)
    mean = np.sum([part["total"] for part in sums], axis=0) / count
    variance = np.sum([part["square"] for part in sums], axis=0) / count - np.square(mean)
    std = np.sqrt(np.maximum(variance, 0))
    return {name: v.tolist() if len(v) > 1 else float(v[0]) for name, v in (("mean", mean), ("std", std))}


@cache
def code_fingerprint() -> str:
    """Digest of the code and the libraries that decide a shard's bytes, at the first call in this process."""
    return workspace.fingerprint([version(name) for name in LIBRARIES], deciding_files(__name__))
