"""Files that appear whole or not at all, and WAV of any length."""

import os
import wave
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

import numpy as np

from pipeline.audio.scale import INT16_PEAK
from pipeline.core.errors import DataError, MelismaError, ParamsError

PEAK = 0.99  # to which what would clip is turned down
CHUNK = 2**20  # samples at a time
LONGEST = (2**32 - 100) // 2  # samples of 16 bits in a WAV file


def check(path: Path, suffix: str, inputs: Iterable[Path] = ()) -> None:
    """Refuse to write to `path`.

    Raises:
        ParamsError: another suffix, no such folder, a folder itself, or one of the inputs.
    """
    if path.suffix.lower() != suffix:
        raise ParamsError(f"-o {path}: the result is a {suffix} file; end its name so")
    if path.is_dir():
        raise ParamsError(f"-o {path}: a folder; name a file in it")
    if not path.absolute().parent.is_dir():
        raise ParamsError(f"-o {path}: there is no folder {path.parent}")
    for source in inputs:
        if source.exists() and path.exists() and source.samefile(path):
            raise ParamsError(f"-o {path}: that is the input, which would be lost; choose another name")


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A path beside `path` for a file that takes its place when the block ends well, and vanishes when it does not.

    Of a link, it is the file that it leads to.

    Raises:
        MelismaError: the system refuses to write there.
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
def folder(path: Path) -> Iterator[Path]:
    """A folder whose files move into `path` when the block ends well, and vanish when it does not.

    Raises:
        ParamsError: `path` is a file, or there is no folder for it to stand in.
        MelismaError: the system refuses to write there.
    """
    if path.exists() and not path.is_dir():
        raise ParamsError(f"-o {path}: a file; name a folder")
    resolved = path.resolve()
    if not resolved.parent.is_dir():
        raise ParamsError(f"-o {path}: there is no folder {resolved.parent}")
    try:
        with TemporaryDirectory(prefix=f".{resolved.name}.", dir=resolved.parent) as partial:
            yield Path(partial)
            resolved.mkdir(exist_ok=True)
            for file in sorted(Path(partial).iterdir()):
                file.replace(resolved / file.name)
    except OSError as error:
        raise MelismaError(f"{path}: cannot be written: {error.strerror or error}") from error


def write_wav(path: Path, blocks: Iterable[np.ndarray], rate: int, length: Callable[[], int]) -> float:
    """Write consecutive (n,) blocks as 16-bit mono, and return the gain, below 1 where they would have clipped.

    The gain is one for the whole file, so the samples wait in a nameless file until the loudest is known.

    Args:
        path: of the file.
        blocks: at `rate`; what goes beyond `length` is left out, what lacks is silent.
        rate: in Hz.
        length: called when the blocks have ended.

    Raises:
        DataError: it is longer than a WAV file can be.
    """
    with TemporaryFile(dir=path.parent) as waiting:
        for block in blocks:
            waiting.write(block.astype(np.float32, copy=False).tobytes())
        samples = length()
        if samples > LONGEST:
            raise DataError(f"{path.name}: {samples / rate / 3600:.1f} hours are more than a WAV file can hold")
        waiting.truncate(4 * samples)  # or lengthens it, by zeros
        loudest = max((float(np.abs(chunk).max()) for chunk in _chunks(waiting, samples)), default=0.0)
        gain = PEAK / loudest if loudest > 1 else 1.0
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            for chunk in _chunks(waiting, samples):
                file.writeframesraw(np.rint(chunk * np.float32(gain * INT16_PEAK)).astype("<i2").tobytes())
    return gain


def _chunks(file: IO[bytes], samples: int) -> Iterator[np.ndarray]:
    file.seek(0)
    for first in range(0, samples, CHUNK):
        yield np.frombuffer(file.read(4 * min(CHUNK, samples - first)), np.float32)
