"""Read the sound of any file as blocks of mono float32, so that memory does not grow with its length.

FFmpeg decodes (through PyAV): it knows all formats, and reads streams without a length, joined and damaged files.
libsndfile reads uncompressed files, of which it knows more kinds, and faster. All sound that is there is read, whatever
length the header gives; `MissingSound` says what is not there.
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

from pipeline.audio.header import is_tag, locate_samples, mp3_samples

BLOCK_SAMPLES = 2**20  # samples of all channels together: 4 MiB
MAX_FRAMES = 2**62  # libsndfile gives more if it does not know the length
MIN_RATE, MAX_RATE = 1000, 768_000  # Hz; another rate means a broken header
MAX_GAP_SECONDS = 0.05  # timestamps are rounded, and players skip a bad frame; a longer gap means that sound is lost
MIN_MISSING_SECONDS = 0.15
MAX_HEADER_BYTES = 2**16  # of a file without samples
MAX_OVERHEAD = 4096  # bytes from one packet to the next; more are damaged
MAX_OGG_PAGE = 65_307  # bytes of a page, whose packets all have its position

# FFmpeg's readers of files with sound. Others read playlists, which name further files.
FORMATS = (
    "wav,w64,aiff,au,caf,flac,ogg,mp3,aac,mov,matroska,asf,avi,wv,ape,tta,mpc,mpc8,ac3,eac3,dts,amr,voc,rm,dsf,iff,tak,"
    "shn,mpeg,mpegts,flv,oma,nistsphere,ircam,epaf,avr,xwma,truehd,mlp,dtshd"
)
# In these, the header gives the length, so a file that holds less was cut off.
WITH_LENGTH = {"caf", "flac", "mov", "matroska", "asf", "avi", "flv", "rm", "wv", "ape", "tta", "mpc8", "dsf", "tak",
             "iff"}  # fmt: skip
# In these, a gap between timestamps may be a pause; in others, sound is lost there.
WITH_PAUSES = {"mov", "matroska", "asf", "avi", "flv", "mpegts", "mpeg", "rm"}
# Frames without timestamps, one after the other: decoders skip what is no frame.
STREAMS = {"mp3", "aac", "ac3", "eac3", "dts"}
WITH_CHECKSUMS = {"flac", "tta", "wavpack", "ape", "tak"}
OPTIONS = {
    "format_whitelist": FORMATS,
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
class MissingSound:
    """Sound that should follow the last sample: its seconds, and what is wrong.

    The seconds are an estimate if only bytes are known, and NaN if nothing is.
    """

    seconds: float
    detail: str


class Recording:
    """An open file with sound: `rate` in Hz, `channels`, and `seconds`, its likely length (None: unknown).

    `samples` per channel were read so far. After all blocks, `missing` says whether sound is missing.

    UndecodableError with the reason "unreadable" (missing, no permission, not a regular file), "empty" (no bytes, or no
    samples) or "undecodable".
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.samples = 0
        self.missing: MissingSound | None = None
        self._break: str | None = None  # why the sound ends early
        self._has_gap = False  # the break is a gap, so `seconds` is known from the timestamps after it
        self._error: Exception | None = None  # of the last packet that could not be decoded
        self._end = 0  # bytes up to the last packet of sound that was decoded
        self._skipped = 0  # bytes before that, which are in no such packet
        self._other_end = 0.0  # seconds up to the last picture
        try:
            self._state = _state(path)
            if not self._state[0]:
                raise UndecodableError("empty", "the file has no bytes")
            self._stored = locate_samples(path)
        except OSError as error:
            raise UndecodableError("unreadable", _message(error)) from error
        with ExitStack() as stack:  # closes the file if it cannot be used
            is_plain = self._stored is not None and not self._stored.goes_on
            self._arrays = (self._open_with_libsndfile(stack) if is_plain else None) or self._open(stack)
            if not MIN_RATE <= self.rate <= MAX_RATE:
                raise UndecodableError("undecodable", f"the header gives a sample rate of {self.rate} Hz")
            self._close = stack.pop_all().close

    def _open_with_libsndfile(self, stack: ExitStack) -> Iterator[np.ndarray] | None:
        """The samples as arrays (channels, n); None if libsndfile does not know the format, or finds no samples."""
        try:
            file = stack.enter_context(soundfile.SoundFile(self._path))
        except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError):
            return None
        if not 0 < file.frames < MAX_FRAMES or file.subtype.startswith(("ALAC", "MPEG")):  # it hides their damage
            return None
        self._format, self.rate, self.channels = "", file.samplerate, file.channels
        self.seconds: float | None = file.frames / self.rate
        return self._read_with_libsndfile(file)

    def _read_with_libsndfile(self, file: soundfile.SoundFile) -> Iterator[np.ndarray]:
        frames = max(1, BLOCK_SAMPLES // self.channels)
        dtype = "int16" if file.subtype == "PCM_16" else "float32"  # libsndfile is slow at converting 16-bit samples
        try:
            while len(block := file.read(frames, dtype=dtype, always_2d=True)):
                yield block.T
        except (soundfile.SoundFileError, RuntimeError) as error:
            self._break = f"cannot be read ({_message(error)})"

    def _open(self, stack: ExitStack) -> Iterator[np.ndarray]:
        """The samples as arrays (channels, n), by FFmpeg.

        The first frame is decoded: a header may give another rate than the sound has.
        """
        options = OPTIONS | ({"ignore_length": "1"} if self._stored and self._stored.goes_on else {})
        try:
            container = stack.enter_context(av.open(f"file:{self._path}", options=options))
        except av.error.ArgumentError as error:  # FFmpeg knows the format, but it is not in FORMATS
            raise UndecodableError("undecodable", "the format is not one of music, but perhaps a playlist") from error
        except (av.FFmpegError, ValueError) as error:
            raise UndecodableError("undecodable", _message(error)) from error
        stream = container.streams.best("audio")
        if stream is None or stream.codec_context is None:
            raise UndecodableError("undecodable", "the file has no sound of a known format")
        if stream.codec_context.name in WITH_CHECKSUMS:  # else a damaged frame is noise
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
        self._format = container.format.name.partition(",")[0]
        self._container, self._stream = container, stream
        self.seconds = container.duration / av.time_base if container.duration else None
        frames = self._decode()
        first = next(frames, None)
        if first is None:
            if problem := self._break or (self._error and _message(self._error)):
                raise UndecodableError("undecodable", problem)
            if self._state[0] > MAX_HEADER_BYTES:
                raise UndecodableError("undecodable", "no sound can be decoded")
            raise UndecodableError("empty", "the file has a header but no samples")
        self.rate, self.channels = first.sample_rate, first.layout.nb_channels
        return map(self._to_array, chain([first], frames))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def blocks(self) -> Iterator[np.ndarray]:
        """Decode all samples and mix them to mono: (n,) float32 blocks, n > 0. At the end, set `missing`.

        Samples may lie outside [-1, 1], be NaN or infinite (see `scale.limit`). UndecodableError with the reason
        "changed" if the file was written to meanwhile.
        """
        for block in self._blocks(max(1, BLOCK_SAMPLES // self.channels)):
            self.samples += block.shape[1]
            yield _mix_to_mono(_to_float(block))
        try:
            if _state(self._path) != self._state:
                raise UndecodableError("changed", "the file was written to while it was read")
            self.missing = self._find_missing()
        except OSError as error:
            raise UndecodableError("unreadable", _message(error)) from error

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
        array = frame.to_ndarray()
        return array if frame.format.is_planar else array.reshape(-1, self.channels).T

    def _decode(self) -> Iterator[AudioFrame]:
        """Decoded frames, up to the first break. A packet that cannot be decoded is skipped, and may leave a gap."""
        first_kind = ""
        end: float | None = None  # seconds
        is_damaged = False
        for packet, is_after_damage in self._packets():
            is_damaged = is_damaged or is_after_damage
            try:
                frames: list[Any] = packet.decode()  # of sound
            except (av.FFmpegError, ValueError, MemoryError) as error:
                self._error, is_damaged = error, True
                continue
            for frame in frames:
                if not frame.samples:
                    continue
                if frame.format.name.startswith("s64"):
                    self._break = "has samples of 64 bits"
                    return
                kind = f"{frame.sample_rate} Hz, {frame.layout.nb_channels} channels, {frame.format.name}"
                if kind != (first_kind := first_kind or kind):
                    self._break = f"continues with {kind}"
                    return
                time = end if frame.pts is None or self._format in STREAMS else frame.time
                gap = 0.0 if time is None or end is None else time - end
                if gap > MAX_GAP_SECONDS and (is_damaged or self._format not in WITH_PAUSES):
                    self._break, self._has_gap = f"has a gap of {gap:.2f} s", True
                    return
                end = None if time is None else time + frame.samples / frame.sample_rate
                is_damaged = False
                yield frame
            if packet.pos is not None:
                self._skip(packet.pos)
                self._end = max(self._end, packet.pos + packet.size)

    def _skip(self, position: int) -> None:
        """Count the bytes of a stream up to `position` that are in no packet, except for tags."""
        if self._format in STREAMS and position > self._end > 0 and not is_tag(self._path, self._end, position):
            self._skipped += position - self._end

    def _packets(self) -> Iterator[tuple[av.Packet, bool]]:
        """All packets of the sound, and whether damaged bytes come before it."""
        packets = self._container.demux()
        end = 0  # bytes up to the last packet of any stream
        is_damaged = False
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self._break = f"cannot be read ({_message(error)})"
                return
            if packet.pos is not None and self._format != "mov":  # its packets are in any order
                is_damaged = is_damaged or packet.pos - end > MAX_OVERHEAD
                end = max(end, packet.pos + packet.size)
            if packet.stream.index == self._stream.index:
                yield packet, is_damaged
                is_damaged = False
            elif packet.pts is not None and packet.time_base:
                self._other_end = max(self._other_end, float((packet.pts + (packet.duration or 0)) * packet.time_base))

    def _find_missing(self) -> MissingSound | None:
        """The sound that was not read: up to the length that the header gives, or in bytes that follow."""
        seconds, size = self.samples / self.rate, self._state[0]
        in_header = self._header_seconds(seconds)
        if self._break:
            ends = [in_header, self.seconds if self._has_gap else seconds * size / self._end if self._end else None]
            known = [end - seconds for end in ends if end is not None]
            return MissingSound(max(0.0, *known) if known else math.nan, f"{self._break} after {seconds:.2f} s")
        if in_header is not None and in_header - seconds > MIN_MISSING_SECONDS:
            return MissingSound(in_header - seconds, f"ends after {seconds:.2f} s, its header says {in_header:.2f} s")
        unread = self._unread_bytes(has_length=in_header is not None)
        missing = seconds * unread / max(1, size - unread)
        detail = f"{unread:,} bytes more than the {seconds:.2f} s that can be read"
        return MissingSound(missing, detail) if missing > MIN_MISSING_SECONDS else None

    def _header_seconds(self, seconds: float) -> float | None:
        """The length that the header gives; None if it gives none. `seconds` were read."""
        if self._stored and self._format != "caf":
            end, size = self._stored.end or 0, self._state[0]
            return seconds * (end - self._stored.start) / (size - self._stored.start) if end > size else None
        if self._format == "mp3":
            samples = mp3_samples(self._path)
            return samples and samples / self.rate
        if self._format not in WITH_LENGTH or not self.seconds:
            return None
        duration, time_base = self._stream.duration, self._stream.time_base
        in_header = float(duration * time_base) if duration and time_base else self.seconds
        if self._stored and self._stored.end:  # FFmpeg does not see that a CAF was cut off
            start = self._stored.start
            in_header = max(in_header, seconds * (self._stored.end - start) / (self._state[0] - start))
        # Pictures may last longer than the sound: then only they can show that a file was cut off.
        return in_header if self._other_end < in_header - MIN_MISSING_SECONDS else min(in_header, seconds)

    def _unread_bytes(self, has_length: bool) -> int:
        """Bytes of sound that belong to no packet. With a length in the header, damage shows in the length."""
        size = self._state[0]
        if self._stored:
            return size - max(self._stored.rest or size, self._end)
        if self._format == "ogg" and not self._other_end:
            return size - self._end if size - self._end > MAX_OGG_PAGE else 0
        if has_length or self._format not in (*STREAMS, "flac", "mpegts"):
            return 0
        self._skip(size)
        tail = 0 if self._format in STREAMS or is_tag(self._path, self._end) else size - self._end
        return self._skipped + tail


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
