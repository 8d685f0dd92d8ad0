"""Read the sound of any file as blocks of mono float32, so that memory does not grow with its length.

FFmpeg decodes (through PyAV), since it also reads what other programs leave behind: streams without a length, files
that were cut off or joined, and damaged ones. All sound that is there is read, whatever length the header gives.
"""

import math
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
import soundfile
from av.audio.frame import AudioFrame

from pipeline.audio.header import UNCOMPRESSED, has_audio_after, mp3_samples, read_header

BLOCK_SAMPLES = 2**20  # samples of all channels together: 4 MiB
MIN_RATE, MAX_RATE = 1000, 768_000  # Hz; another rate means a broken header
MAX_GAP_SECONDS = 0.05  # timestamps are rounded, and players skip a bad frame; a longer gap means that sound is lost
MIN_LOSS_SECONDS = 0.15  # an MP3 counts the samples that its encoder has added
FRAMES_PER_READ = 2**14
OGG_PAGE_BYTES = 65_307  # at most

# FFmpeg's readers of files with sound. Others read playlists, which name further files.
FORMATS = (
    *("wav", "w64", "aiff", "au", "caf", "flac", "ogg", "mp3", "aac", "mov", "matroska", "asf", "avi", "wv", "ape"),
    *("tta", "mpc", "mpc8", "ac3", "eac3", "dts", "amr", "voc", "rm", "dsf", "iff", "tak", "shn", "mpeg", "mpegts"),
    *("flv", "oma", "ircam", "nistsphere", "epaf", "avr", "xwma", "truehd", "mlp", "dtshd"),
)
# In these, the header's length is a promise: a file that holds less was cut off.
PROMISING = {"caf", "flac", "mov", "matroska", "wv", "ape", "tta", "mpc8", "dsf", "tak", "iff", "voc"}
# In these, no index follows the sound.
ENDS_WITH_SOUND = {"wav", "w64", "aiff", "au", "flac", "mp3", "ogg", "aac", "ac3", "eac3", "dts", "tta", "mpegts"}
OPTIONS = {
    "format_whitelist": ",".join(FORMATS),
    "protocol_whitelist": "file",
    "max_probe_packets": "1",  # else FFmpeg reads 2.5 MB of a WAV to see whether it hides another format
}


class UndecodableError(Exception):
    """A file without usable samples; `reason` is a rejection reason of stage windows."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Loss:
    """Sound that should follow the last sample: its seconds (NaN: unknown), and why it cannot be read."""

    seconds: float
    detail: str


class Recording:
    """An open file with sound: `rate` in Hz, `channels`, and `seconds`, its likely length (None: unknown).

    `samples` per channel were read so far. After all blocks, `loss` says whether sound is missing.

    UndecodableError with the reason "unreadable" (missing, no permission, not a regular file), "empty" (no bytes, or no
    samples) or "undecodable".
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.samples = 0
        self.loss: Loss | None = None
        self._break: tuple[str, float] | None = None  # why the sound ends early, and its full seconds if known, else 0
        self._end = 0  # bytes up to the last packet that was decoded
        self._bit_rate = 0
        self._error: Exception | None = None  # of the last packet that could not be decoded
        try:
            self._state = _state(path)
            if not self._state[0]:
                raise UndecodableError("empty", "the file has no bytes")
            self._kind, self._claimed = read_header(path)
            is_longer = self._claimed and has_audio_after(path, self._claimed)
        except OSError as error:
            raise _undecodable(error) from error
        with ExitStack() as stack:  # closes the file if it cannot be used
            try:
                self._arrays = self._open(stack, OPTIONS | ({"ignore_length": "1"} if is_longer else {}))
            except UndecodableError as error:
                self._arrays = self._open_with_libsndfile(stack, error)
            if not MIN_RATE <= self.rate <= MAX_RATE:
                raise UndecodableError("undecodable", f"the header gives a sample rate of {self.rate} Hz")
            self._close = stack.pop_all().close

    def _open(self, stack: ExitStack, options: dict[str, str]) -> Iterator[np.ndarray]:
        """Open the file with FFmpeg. The first frame is decoded: a header may give another rate than the sound has."""
        try:
            container = stack.enter_context(av.open(f"file:{self._path}", options=options))
        except av.error.ArgumentError as error:  # FFmpeg knows the format, but it is not in FORMATS
            raise UndecodableError("undecodable", "the format is not one of music, but perhaps a playlist") from error
        except (av.FFmpegError, ValueError) as error:
            raise UndecodableError("undecodable", _message(error)) from error
        stream = container.streams.best("audio")
        if stream is None or stream.codec_context is None:
            raise UndecodableError("undecodable", "the file has no sound of a known format")
        if stream.codec_context.name == "flac":  # else a damaged frame is noise
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
        self._format = container.format.name.partition(",")[0]
        self._container, self._stream = container, stream
        self.seconds = container.duration / av.time_base if container.duration else None
        frames = self._decode()
        first = next(frames, None)
        if first is None:
            if self._error:
                raise _undecodable(self._error)
            raise UndecodableError("empty", "the file has a header but no samples")
        self.rate, self.channels = first.sample_rate, first.layout.nb_channels
        self._bit_rate = stream.codec_context.bit_rate or 0
        return map(self._to_array, chain([first], frames))

    def _open_with_libsndfile(self, stack: ExitStack, error: UndecodableError) -> Iterator[np.ndarray]:
        """Open a file that FFmpeg refuses: AIFF and W64 files that a program has written to a pipe."""
        if self._kind not in (b"FORM", b"riff"):
            raise error
        try:
            file = stack.enter_context(soundfile.SoundFile(self._path))
        except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError):
            raise error from None
        if not file.frames:
            raise error
        self._format, self.rate, self.channels, self.seconds = "", file.samplerate, file.channels, None
        return self._read_with_libsndfile(file)

    def _read_with_libsndfile(self, file: soundfile.SoundFile) -> Iterator[np.ndarray]:
        try:
            while len(block := file.read(FRAMES_PER_READ, dtype="float32", always_2d=True)):
                yield block.T
        except (soundfile.SoundFileError, RuntimeError) as error:
            self._break = f"cannot be read ({_message(error)})", 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def blocks(self) -> Iterator[np.ndarray]:
        """Decode all samples and mix them to mono: (n,) float32 blocks, n > 0. At the end, set `loss`.

        Samples may lie outside [-1, 1], be NaN or infinite: see `limit`. UndecodableError with the reason "changed" if
        the file was written to meanwhile.
        """
        for block in self._blocks(max(1, BLOCK_SAMPLES // self.channels)):
            self.samples += block.shape[1]
            yield _mix_to_mono(_to_float(block))
        try:
            if _state(self._path) != self._state:
                raise UndecodableError("changed", "the file was written to while it was read")
            self.loss = self._find_loss()
        except OSError as error:
            raise _undecodable(error) from error

    def _blocks(self, length: int) -> Iterator[np.ndarray]:
        """(channels, length) samples as stored; the last block may be shorter.

        Blocks of one length in every format: the sum over channels may depend on a sample's position in the block.
        """
        parts: list[np.ndarray] = []
        samples = 0
        for array in self._arrays:
            parts.append(array)
            samples += array.shape[1]
            if samples >= length:
                joined = np.concatenate(parts, axis=1)
                for start in range(0, samples - length + 1, length):
                    yield joined[:, start : start + length]
                samples %= length
                parts = [joined[:, joined.shape[1] - samples :]]
        if samples:
            yield np.concatenate(parts, axis=1)

    def _to_array(self, frame: AudioFrame) -> np.ndarray:
        """(channels, n) samples as stored."""
        array = frame.to_ndarray()
        return array if frame.format.is_planar else array.reshape(-1, self.channels).T

    def _decode(self) -> Iterator[AudioFrame]:
        """Decoded frames, up to the first break. A packet that cannot be decoded is skipped, and may leave a gap."""
        first_kind = ""
        end: float | None = None  # seconds
        for packet in self._packets():
            try:
                frames: list[Any] = packet.decode()  # of sound
            except (av.FFmpegError, ValueError, MemoryError) as error:
                self._error = error
                continue
            for frame in frames:
                if not frame.samples:
                    continue
                kind = f"{frame.sample_rate} Hz, {frame.layout.nb_channels} channels, {frame.format.name}"
                if kind != (first_kind := first_kind or kind):
                    self._break = f"continues with {kind}", 0.0
                    return
                time = end if frame.pts is None else frame.time
                if end is not None and time is not None and time - end > MAX_GAP_SECONDS:
                    self._break = f"is damaged: {time - end:.2f} s are missing", self.seconds or 0.0
                    return
                end = None if time is None else time + frame.samples / frame.sample_rate
                yield frame
            if packet.pos is not None:
                self._end = max(self._end, packet.pos + packet.size)

    def _packets(self) -> Iterator[av.Packet]:
        """All packets, also those that the decoder still holds at the end of the file."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                yield next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                if isinstance(error, OSError) and not isinstance(error, BlockingIOError):  # of a damaged MPEG stream
                    raise _undecodable(error) from error
                self._break = f"cannot be read ({_message(error)})", 0.0
                return

    def _find_loss(self) -> Loss | None:
        """The sound that was not read: after a break, up to the header's length, or in bytes that follow the sound."""
        seconds = self.samples / self.rate
        promised = self._promised_seconds(seconds)
        unread = self._state[0] - self._end
        estimate = self._to_seconds(unread, seconds) if self._end else math.nan
        if self._break:
            reason, full_seconds = self._break
            lost = max(promised, full_seconds) - seconds
            return Loss(lost if lost > 0 else estimate, f"{reason} after {seconds:.2f} s")
        if promised - seconds > MIN_LOSS_SECONDS:
            return Loss(promised - seconds, f"ends after {seconds:.2f} s, its header says {promised:.2f} s")
        slack = OGG_PAGE_BYTES if self._format == "ogg" else 0
        if self._format in ENDS_WITH_SOUND and unread > slack and estimate > MIN_LOSS_SECONDS:
            detail = f"{unread:,} bytes after {seconds:.2f} s cannot be read: damaged, or another file follows"
            return Loss(estimate, detail)
        return None

    def _promised_seconds(self, seconds: float) -> float:
        """The length that the header promises; 0 if it can keep no promise. `seconds` were read."""
        if self._claimed:
            return seconds + self._to_seconds(self._claimed - self._state[0], seconds)
        if self._format == "mp3":
            return (mp3_samples(self._path) or 0) / self.rate
        if self._format not in PROMISING:
            return 0.0
        if self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        return 0.0 if self._container.streams.video else self.seconds or 0.0  # pictures may last longer than sound

    def _to_seconds(self, size: int, seconds: float) -> float:
        """The seconds of `size` bytes, if the file holds `seconds`: exact for samples that are not compressed."""
        is_constant = self._kind in UNCOMPRESSED and self._bit_rate
        return 8 * size / self._bit_rate if is_constant else seconds * size / (self._end or self._state[0])


def _undecodable(error: Exception) -> UndecodableError:
    if isinstance(error, UndecodableError):
        return error
    reason = "unreadable" if isinstance(error, OSError) else "undecodable"
    return UndecodableError(reason, _message(error))


def _message(error: Exception) -> str:
    """The text of an error, without the path: tables are compared between machines."""
    if isinstance(error, av.error.PatchWelcomeError | BlockingIOError):
        return "damaged, or unknown to FFmpeg"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _to_float(block: np.ndarray) -> np.ndarray:
    """Stored samples of any type as float32: integers in [-1, 1), floats as they are."""
    if block.dtype == np.uint8:
        return (block.astype(np.float32) - 128) / 128
    if block.dtype.kind == "i":
        return block.astype(np.float32) * np.float32(2.0 ** (1 - 8 * block.itemsize))
    with np.errstate(over="ignore", invalid="ignore"):  # of a float64; stage windows checks for these
        return block.astype(np.float32, copy=False)


def _mix_to_mono(block: np.ndarray) -> np.ndarray:
    """(channels, n) to their mean (n,); the product is several times as fast as `mean`."""
    if len(block) == 1:
        return block[0]
    with np.errstate(invalid="ignore", over="ignore"):  # stage windows checks for NaN and infinity
        return np.full(len(block), 1 / len(block), np.float32) @ block


def _state(path: Path) -> tuple[int, int]:
    """Size and time of the last change; raises OSError for a pipe or a device, which may never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, "not a regular file")
    return status.st_size, status.st_mtime_ns


def limit(block: np.ndarray) -> np.ndarray:
    """Clip samples to [-1, 1], and replace NaN and infinity by 0."""
    if max(block.max(), -block.min()) <= 1:  # false for NaN
        return block
    return np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0).clip(-1, 1)
