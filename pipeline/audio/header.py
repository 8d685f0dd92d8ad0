"""What the header of an audio file says about the length of the file."""

import re
from pathlib import Path

HEAD_BYTES = 4096
UNCOMPRESSED = {b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"riff", b".snd"}  # most of these files are
# Programs that do not know the length write 0, or a size near 2 or 4 GiB (SoX: 0x7f000000 in AIFF).
UNKNOWN_SIZES = (range(9), range(0x7F000000, 2**31 + 2**16), range(2**32 - 2**16, 2**32 + 2**16))
MAX_SIZE = 2**60


def read_header(path: Path) -> tuple[bytes, int | None]:
    """The first four bytes, and the size of the whole file that a WAV, AIFF, AU or W64 header gives, if it can be true.

    A program that writes to a pipe, or that was killed, leaves a size that stands for "unknown".
    """
    with path.open("rb") as file:
        head = file.read(40)
    kind = head[:4]
    size: int
    if kind in (b"RIFF", b"RIFX", b"FORM"):
        size = int.from_bytes(head[4:8], "little" if kind == b"RIFF" else "big") + 8
    elif kind in (b"RF64", b"BW64"):
        size = int.from_bytes(head[20:28], "little") + 8
    elif kind == b"riff":
        size = int.from_bytes(head[16:24], "little")
    elif kind == b".snd":
        size = int.from_bytes(head[4:8], "big") + int.from_bytes(head[8:12], "big")
    else:
        return kind, None
    is_unknown = size >= MAX_SIZE or any(size in sizes for sizes in UNKNOWN_SIZES)
    return kind, None if is_unknown else size


def has_audio_after(path: Path, position: int) -> bool:
    """Whether a WAV continues with samples where it should end: what follows is neither a chunk, a tag nor zeros.

    So it is if a recorder was killed after it had written the header, or if the size did not fit into 32 bits.
    """
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return False
        file.seek(position)
        following = file.read(8)
    return len(following) == 8 and any(following) and not re.match(rb"\0?[ -~]{4}", following)


def mp3_samples(path: Path) -> int | None:
    """The samples per channel that the Xing header of an MP3 gives; None if it has none."""
    with path.open("rb") as file:
        head = file.read(10)
        tag_bytes = 0
        if head[:3] == b"ID3":  # its size has 7 bits per byte
            tag_bytes = 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        file.seek(tag_bytes)
        head = file.read(HEAD_BYTES)
    match = re.search(rb"\xff([\xe0-\xff])..[\s\S]{9,32}(?:Xing|Info)...([\x01-\x0f])(.{4})", head, re.DOTALL)
    if not match or not match[2][0] & 1:
        return None
    is_mpeg1 = match[1][0] & 0x18 == 0x18
    return int.from_bytes(match[3], "big") * (1152 if is_mpeg1 else 576)
