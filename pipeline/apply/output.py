"""Write results: a file or folder appears complete or not at all, and a WAV file may have any length."""

import os
import wave
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

import numpy as np

from pipeline.apply.variant import TrainedVariant
from pipeline.audio.resample import resample_blocks
from pipeline.audio.scale import INT16_PEAK
from pipeline.core.errors import DataError, MelismaError, ParamsError

PEAK = 0.99  # peak of a file that is turned down to avoid clipping
CHUNK_SAMPLES = 2**20
MAX_WAV_SAMPLES = (2**32 - 100) // 2  # 16-bit samples that fit a WAV file


@dataclass(frozen=True)
class WrittenFile:
    """A WAV file that was written."""

    path: str
    seconds: float
    rate: int  # Hz
    bandwidth_hz: float  # the highest frequency that it and the variant's representation can hold
    gain_db: float  # below 0 if it was turned down so that it does not clip
    notes: tuple[str, ...] = ()  # further messages for the user


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a path for a partial file; it replaces `path` if the block succeeds, and is removed if not.

    If `path` is a link, the file that it points to is replaced. MelismaError if the system refuses to write there.
    """
    resolved = path.resolve()
    partial = resolved.with_name(f".{resolved.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(resolved)
    except OSError as error:
        raise MelismaError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_files(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; its files move into `folder` if the block succeeds, and are removed if not.

    ParamsError if `folder` is a file or its parent is missing, MelismaError if the system refuses to write there.
    """
    if folder.exists() and not folder.is_dir():
        raise ParamsError(f"-o {folder}: a file; name a folder")
    resolved = folder.resolve()
    if not resolved.parent.is_dir():
        raise ParamsError(f"-o {folder}: there is no folder {resolved.parent}")
    try:
        with TemporaryDirectory(prefix=f".{resolved.name}.", dir=resolved.parent) as partial:
            yield Path(partial)
            resolved.mkdir(exist_ok=True)
            for file in sorted(Path(partial).iterdir()):
                file.replace(resolved / file.name)
    except OSError as error:
        raise MelismaError(f"{folder}: cannot be written: {error.strerror or error}") from error


def write_audio(
    partial: Path,
    target: Path,
    variant: TrainedVariant,
    blocks: Iterable[np.ndarray],
    rate: int,
    count_samples: Callable[[], int],
) -> WrittenFile:
    """Resample (n,) blocks from the variant's rate to `rate` and write them to `partial`, which becomes `target`.

    For `count_samples` and errors see `write_wav`.
    """
    gain = write_wav(partial, resample_blocks(blocks, variant.rate, rate), rate, count_samples)
    return WrittenFile(
        path=str(target),
        seconds=count_samples() / rate,
        rate=rate,
        bandwidth_hz=min(rate, variant.rate) / 2,
        gain_db=float(20 * np.log10(gain)),
    )


def write_wav(path: Path, blocks: Iterable[np.ndarray], rate: int, count_samples: Callable[[], int]) -> float:
    """Write (n,) blocks as 16-bit mono and return the gain, which is below 1 if they would have clipped.

    The whole file has one gain, so the samples wait in a temporary file until the peak is known. `count_samples` is
    called after the last block. It returns the file's length: further samples are cut off, missing ones are silent.
    DataError if that is longer than a WAV file can be.
    """
    with TemporaryFile(dir=path.parent) as temporary:
        for block in blocks:
            temporary.write(block.astype(np.float32, copy=False).tobytes())
        samples = count_samples()
        if samples > MAX_WAV_SAMPLES:
            raise DataError(f"{path.name}: {samples / rate / 3600:.1f} hours do not fit into a WAV file; cut the input")
        temporary.truncate(4 * samples)  # cuts off, or appends zeros
        peak = max((float(np.abs(chunk).max()) for chunk in _read_chunks(temporary, samples)), default=0.0)
        gain = PEAK / peak if peak > 1 else 1.0
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            for chunk in _read_chunks(temporary, samples):
                file.writeframesraw(np.rint(chunk * np.float32(gain * INT16_PEAK)).astype("<i2").tobytes())
    return gain


def _read_chunks(file: IO[bytes], samples: int) -> Iterator[np.ndarray]:
    file.seek(0)
    for start in range(0, samples, CHUNK_SAMPLES):
        yield np.frombuffer(file.read(4 * min(CHUNK_SAMPLES, samples - start)), np.float32)
