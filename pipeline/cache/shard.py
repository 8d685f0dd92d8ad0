"""One shard of the cache, from audio files to Parquet: the unit of work of a worker, here or on a cluster."""

import hashlib
import os
import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.audio.cut import cut_windows, pad
from pipeline.audio.files import Recording, UndecodableError, limit
from pipeline.audio.mel import LogMel
from pipeline.audio.representation import MelConfig, RepresentationConfig, sample_count
from pipeline.audio.resample import resample_blocks
from pipeline.audio.scale import FLOOR_DB, INT16_PEAK, below_peak, to_unit
from pipeline.cache.plan import Piece, Row, Shard
from pipeline.cache.statistics import Statistics
from pipeline.core import arrays
from pipeline.core.errors import DataError, MelismaError
from pipeline.core.imports import source_files

STATISTICS = "statistics"
NOTHING_DB = -200.0  # in a mel span: digital silence, and what lies after the end of a recording
LIBRARIES = ("librosa", "numpy", "pyarrow", "soundfile", "soxr", "torch")
SILENCE_DB = -99.9  # the mel's own lowest level is -100


def write(
    shard: Shard, config: RepresentationConfig, seconds: float, recordings: Path, folder: Path, code: str
) -> None:
    """Make `folder / shard.name`; it appears whole or not at all.

    Its columns: window_id, track_id, label and the array; for mel also peak_db; for spans also `length`, the frames or
    samples of the array that are filled, and `windows`, the number of windows that these are.

    Args:
        shard: what stands in it.
        config: the representation.
        seconds: of a window.
        recordings: folder of the audio files.
        folder: where finished shards lie.
        code: `code_version()` of the process that asks for it.

    Raises:
        DataError: a file is not what stages download and windows saw.
        MelismaError: this process has other code.
    """
    if code != code_version():
        raise MelismaError(f"a worker on {platform.node()} has other code of Melisma, or libraries: start it again")
    torch.set_num_threads(1)  # there is a process for each core
    rows = Rows(shard, config, seconds)
    partial = folder / f".{shard.name}.{platform.node()}.{os.getpid()}"
    partial.touch()  # so that one sees what is being worked on
    try:
        with arrays.Writer(partial) as writer:
            for piece in shard.pieces:
                for row, audio in zip(piece.rows, heard(piece, config.sample_rate, recordings), strict=True):
                    writer.add(rows.represent(piece, row, audio))
            if shard.split == "train":
                writer.set_metadata(STATISTICS, rows.statistics.dump())
        partial.rename(folder / shard.name)
    finally:
        partial.unlink(missing_ok=True)


def heard(piece: Piece, rate: int, recordings: Path) -> Iterator[np.ndarray]:
    """The audio of each row at `rate`: (samples,) finite float32, with zeros where the recording has ended.

    It lies in [-1, 1], but for what resampling overshoots.

    Raises:
        DataError: the file is not what stage windows saw.
    """
    again = "it changed since stage windows; run `dvc repro` again, or `dvc repro -f download` for a published data set"
    starts = [sample_count(row.start, rate) for row in piece.rows]
    lengths = [sample_count(row.seconds, rate) for row in piece.rows]
    given = 0
    try:
        with Recording(recordings / piece.path) as recording:
            if piece.frames is not None and piece.frames != recording.frames:
                raise DataError(f"{recordings / piece.path}: {recording.frames} samples, not {piece.frames}; {again}")
            blocks = resample_blocks(map(limit, recording.blocks()), recording.rate, rate)
            for length, audio in zip(lengths, cut_windows(blocks, starts, max(lengths)), strict=False):
                given += 1
                yield pad(audio[:length], length)
    except UndecodableError as error:
        raise DataError(f"{recordings / piece.path}: {error}; {again}") from error
    if given < len(starts):
        raise DataError(f"{recordings / piece.path}: ends before {piece.rows[given].start:g} s; {again}")


class Rows:
    """Audio to rows of the table; `statistics` gathers what a shard of the train split says of the windows in it."""

    def __init__(self, shard: Shard, config: RepresentationConfig, seconds: float) -> None:
        self.config = config
        self.train = shard.split == "train"
        self.spans = self.train and config.train_span_seconds is not None
        self.room = config.shape(shard.seconds)[-1]
        self.window = config.shape(seconds)[-1]
        self.statistics = Statistics(config.bands if config.kind == "mel" else 1)

    def represent(self, piece: Piece, row: Row, audio: np.ndarray) -> dict[str, Any]:
        """A row of the table.

        Returns:
            "mel": (bands, frames) float16, dB below the window's peak, not below -80, and "peak_db" (a span: below
            the span's peak, without that limit, since a crop has a peak of its own); or "waveform": (samples,) int16.
        """
        result: dict[str, Any] = {"window_id": row.window_id, "track_id": piece.track_id, "label": piece.label}
        nothing = 0.0
        if self.config.kind == "mel":
            db = _log_mel(self.config)(audio)
            result["peak_db"] = db.numpy().max()
            nothing = NOTHING_DB
            if self.spans:
                db.masked_fill_(db <= SILENCE_DB, nothing)  # so that it stays silent beside the peak of any window
            db -= float(result["peak_db"])
            values = db.clamp_min_(nothing if self.spans else -FLOOR_DB).half().contiguous()
        else:  # resampling may overshoot
            values = torch.from_numpy(np.rint(limit(audio) * INT16_PEAK).astype(np.int16))
        if self.train:
            self._count(values, row.windows)
        if self.spans:
            result |= {"length": np.int32(values.shape[-1]), "windows": np.int32(row.windows)}
            values = torch.nn.functional.pad(values, (0, self.room - values.shape[-1]), value=nothing)
        return result | {self.config.kind: values.numpy()}

    def _count(self, values: torch.Tensor, windows: int) -> None:
        """Take a row's windows into the statistics; those of a span are spread evenly over it."""
        room = values.shape[-1] - self.window
        for number in range(windows):
            start = round(number * room / max(1, windows - 1))
            part = values[..., start : start + self.window].float()
            part = below_peak(part, lowest=-FLOOR_DB) if self.spans and self.config.kind == "mel" else part
            self.statistics.add(to_unit(part, self.config.kind))


@cache
def _log_mel(config: MelConfig) -> LogMel:
    return LogMel(config.sample_rate, config.n_fft, config.hop_length, config.bands)


@cache
def code_version() -> str:
    """Digest of the code and libraries that decide a shard's bytes, as they were when this process first asked."""
    digest = hashlib.sha256(" ".join(f"{name}={version(name)}" for name in LIBRARIES).encode())
    for file in source_files(__name__):
        digest.update(file.read_bytes())
    return digest.hexdigest()
