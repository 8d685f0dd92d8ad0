"""What the header of an audio file says about its length."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

HEAD_BYTES = 8192
# Programs that do not know the length write 0, or a size near 2 or 4 GiB (SoX: 0x7f000000 in AIFF), or another one that
# is far larger than the file.
UNKNOWN_SIZES = (range(1), range(0x7F000000, 2**31 + 2**16), range(2**32 - 2**16, 2**32 + 2**16))
LARGE_SIZE, MAX_RATIO = 2**30, 16
APE_TAG = b"APETAGEX"
TAGS = (b"ID3", b"TAG", APE_TAG, b"LYRICSBEGIN", b"3DI")
W64_HEADER_BYTES = 104
MP3_DELAY = 2304  # samples that an encoder adds at both ends, at most

Order = Literal["little", "big"]


@dataclass(frozen=True)
class Samples:
    """Where the samples of an uncompressed file (WAV, AIFF, AU, W64, CAF) begin and end, in bytes."""

    start: int
    end: int | None  # by the header; None: it does not know
    rest: int | None = None  # where more samples begin, or another file, which was appended
    goes_on: bool = False  # there are samples right after `end`


def locate_samples(path: Path) -> Samples | None:
    """What the header says about the samples; None if the file is not of these formats."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(40)
        kind, form = head[:4], head[8:12]
        if kind in (b"RIFF", b"RIFX", b"RF64", b"BW64") and form == b"WAVE":
            return _locate_chunk(file, size, kind, "big" if kind == b"RIFX" else "little")
        if (kind == b"FORM" and form in (b"AIFF", b"AIFC")) or kind == b"caff":
            return _locate_chunk(file, size, kind, "big")
        if kind in (b".snd", b"dns."):
            start, length = (int.from_bytes(head[at : at + 4], "big" if kind == b".snd" else "little") for at in (4, 8))
            end = _end(start, length, size)
            return Samples(start, end, rest=end if end and not is_tag(path, end) else None)
        if kind == b"riff":  # libsndfile reads to the end of the file
            return Samples(W64_HEADER_BYTES, _end(0, int.from_bytes(head[16:24], "little"), size))
        return None


def _locate_chunk(file: BinaryIO, size: int, kind: bytes, order: Order) -> Samples | None:
    """The chunk of samples in a file of chunks."""
    wide_length = None  # of an RF64
    for name, start, length in _chunks(file, size, kind, order):
        if name == b"ds64":
            file.seek(start + 8)
            wide_length = int.from_bytes(file.read(8), "little")
        if name not in (b"data", b"SSND"):
            continue
        end = _end(start, length if wide_length is None else wide_length, size)
        if end is None:  # FFmpeg reads an RF64 without a length only if it ignores it
            return Samples(start, None, goes_on=wide_length is not None)
        end += end % 2 * (kind != b"caff")
        file.seek(4)
        whole = int.from_bytes(file.read(4), order) + 8
        for position in (end, whole + whole % 2):
            file.seek(position)
            if file.read(4) == kind:
                return Samples(start, end, rest=position)
        goes_on = _has_samples(file, size, end, order)
        return Samples(start, end, rest=end if goes_on else None, goes_on=goes_on and kind in (b"RIFF", b"RF64"))
    return None


def _chunks(file: BinaryIO, size: int, kind: bytes, order: Order) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and length of each chunk."""
    position, head_bytes = (8, 12) if kind == b"caff" else (12, 8)
    while position + head_bytes <= size:
        file.seek(position)
        head = file.read(head_bytes)
        length = int.from_bytes(head[4:], order)
        yield head[:4], position + head_bytes, length
        position += head_bytes + length + length % 2 * (kind != b"caff")


def _has_samples(file: BinaryIO, size: int, position: int, order: Order) -> bool:
    """Whether the rest of a file is samples: neither chunks, nor tags, nor zeros.

    So it is if a recorder was killed after it had written the header, or if the size did not fit into 32 bits.
    """
    file.seek(position)
    following = file.read(8)
    is_chunk = bool(re.match(rb"[ -~]{4}", following)) and position + 8 + int.from_bytes(following[4:], order) <= size
    if len(following) < 8 or is_chunk or following.startswith(TAGS):
        return False
    file.seek(max(position, size - HEAD_BYTES))
    return any(following) or any(file.read())


def _end(start: int, length: int, size: int) -> int | None:
    """The end of `length` bytes from `start` in a file of `size` bytes; None if the length cannot be true."""
    is_unknown = any(length in sizes for sizes in UNKNOWN_SIZES)
    return None if is_unknown or length > max(LARGE_SIZE, MAX_RATIO * size) else start + length


def is_tag(path: Path, start: int, end: int | None = None) -> bool:
    """Whether the bytes from `start` to `end` (None: the end of the file) are a tag, such as a title or a cover."""
    end = path.stat().st_size if end is None else end
    with path.open("rb") as file:
        file.seek(start)
        if file.read(12).startswith(TAGS):
            return True
        file.seek(max(start, end - 256))
        return APE_TAG in file.read(256)  # it may have a footer alone


def mp3_samples(path: Path) -> int | None:
    """The samples per channel that the Xing header of an MP3 gives, at least; None if it has none."""
    with path.open("rb") as file:
        head = file.read(10)
        tag_bytes = 0
        if head[:3] == b"ID3":  # its size has 7 bits per byte
            tag_bytes = 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        file.seek(tag_bytes)
        head = file.read(HEAD_BYTES)
    match = re.search(rb"\xff([\xe0-\xff])..(?:.{9,32})(?:Xing|Info)...([\x01-\x0f])(.{4})", head, re.DOTALL)
    if not match or not match[2][0] & 1:
        return None
    is_mpeg1 = match[1][0] & 0x18 == 0x18
    return int.from_bytes(match[3], "big") * (1152 if is_mpeg1 else 576) - MP3_DELAY
