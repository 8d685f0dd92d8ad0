"""A folder with all defects that were seen in recordings, and the expected result for each file."""

import io
import os
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tests.recordings import chord

SECONDS = 2.5  # of a window; most recordings have 6 s, which are two windows


@dataclass(frozen=True)
class Expected:
    """The used windows of a file, their repair, and the rejections."""

    used: int
    repair: str | None = None
    rejected: tuple[tuple[float | None, str], ...] = ()  # start in seconds (None: the file), reason
    detail: str = ""  # a part of it


GOOD = Expected(2)
# DVC hashes the folder before a stage runs, and cannot read these files: they need entries in .dvcignore.
UNREADABLE_BY_DVC = ["pipe.wav", "broken link.wav", "link loop.wav", "not UTF-8 *.wav", "no permission.wav"]
COPIES = {"jazz/copy.flac": "rock/good2.flac", "jazz/copy.aiff": "rock/good3.flac", "jazz/link.wav": "rock/good0.flac"}


def rejected(reason: str, detail: str = "") -> Expected:
    """The file is rejected."""
    return Expected(0, None, ((None, reason),), detail)


def both_rejected(reason: str, detail: str = "") -> Expected:
    """Both windows are rejected."""
    return Expected(0, None, ((0.0, reason), (2.5, reason)), detail)


def encode(kind: str, subtype: str, audio: np.ndarray) -> bytes:
    """A file of mono audio at 8 kHz."""
    content = io.BytesIO()
    soundfile.write(content, audio, 8000, format=kind, subtype=subtype)
    return content.getvalue()


def make_defects(folder: Path) -> dict[str, Expected]:
    """Fill `folder`; the expected result of each file by its path in the tables."""
    results: dict[str, Expected] = {}
    seeds = iter(range(1000))

    def music(rate: int = 8000, seconds: float = 6.0) -> np.ndarray:
        return chord(next(seeds), seconds, rate)

    def add(name: str, expected: Expected) -> Path:
        results[name] = expected
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        return folder / name

    def wav(name: str, expected: Expected, audio: np.ndarray, rate: int = 8000, subtype: str = "PCM_16") -> Path:
        path = add(f"jazz/{name}.wav", expected)
        with path.open("wb") as file:  # libsndfile itself refuses unusual names
            soundfile.write(file, audio, rate, format="WAV", subtype=subtype)
        return path

    for label in ("jazz", "rock"):
        for number in range(8):
            soundfile.write(add(f"{label}/good{number}.flac", GOOD), music(), 8000)

    # Files without usable samples
    for name in ("jazz/text.wav", "rock/text.mp3"):
        add(name, rejected("undecodable")).write_text("This is a letter, not a recording.\n" * 40)
    add("jazz/no bytes.wav", rejected("empty", "no bytes")).touch()
    wav("no samples", rejected("empty", "a header but no samples"), np.zeros(0, np.float32))
    wav("two seconds", rejected("too_short", "2.00 s, a window takes 2.5 s"), music(seconds=2.0))
    cut = wav("cut off", Expected(1, None, ((2.5, "truncated"),), "its header says 6.00 s"), music())
    cut.write_bytes(cut.read_bytes()[: int(3.0 * 16000)])
    wav("silent", both_rejected("silent"), np.zeros(48000))
    wav("constant", both_rejected("constant"), np.full(48000, 0.25))
    phase = music()
    wav("opposite channels", both_rejected("silent"), np.stack([phase, -phase], 1))

    # Headers that claim another length than the file has
    for name, size in (("arecord", 2**31), ("to a pipe", 2**32 - 36), ("killed recorder", 0), ("old header", 20_000)):
        content = wav(name, GOOD, music()).read_bytes()
        sizes = struct.pack("<I", min(size + 36, 2**32 - 1)), struct.pack("<I", min(size, 2**32 - 1))
        add(f"jazz/{name}.wav", GOOD).write_bytes(content[:4] + sizes[0] + content[8:40] + sizes[1] + content[44:])
    flac = bytearray(encode("FLAC", "PCM_16", music()))
    flac[21], flac[22:26] = flac[21] & 0xF0, bytes(4)
    add("jazz/streamed.flac", GOOD).write_bytes(flac)
    for name, kind, subtype in (("joined.flac", "FLAC", "PCM_16"), ("chained.ogg", "OGG", "VORBIS")):
        parts = (encode(kind, subtype, music(seconds=seconds)) for seconds in (2.0, 4.0))
        add(f"jazz/{name}", GOOD).write_bytes(b"".join(parts))
    twice = encode("WAV", "PCM_16", music()) + encode("WAV", "PCM_16", music())
    add("jazz/two files.wav", Expected(2, None, ((5.0, "truncated"),), " bytes more than the 6.00 s")).write_bytes(
        twice
    )
    damaged = bytearray(encode("FLAC", "PCM_16", music()))
    at = len(damaged) * 6 // 10
    damaged[at : at + 10] = bytes(10)
    late = add("jazz/damaged.flac", Expected(1, None, ((2.5, "truncated"),), "has a gap of"))
    late.write_bytes(damaged)

    # Unusable or repaired windows
    not_finite = Expected(1, None, ((2.5, "non_finite"),), "NaN or infinite in 1 of 20,000 samples")
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        audio = music()
        audio[25000] = value
        wav(name, not_finite, audio, subtype="FLOAT")
    loud = music()
    loud[100:105] = 1.3
    wav("a little loud", Expected(2, "limited"), loud, subtype="FLOAT")
    wav("scaled by 32768", both_rejected("out_of_range", "beyond -1 and 1"), 32768 * music(), subtype="FLOAT")
    wav("nearly full", Expected(2, "padded"), music(seconds=4.95))

    # Sample rates, sample formats, channels
    for rate in (8000, 11025, 48000, 192000):
        wav(f"{rate} Hz", GOOD, music(rate), rate)
    for subtype in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        wav(subtype, GOOD, music(), subtype=subtype)
    wav("stereo", GOOD, np.stack([music(), music()], 1))
    wav("six channels", GOOD, np.stack([music() for _ in range(6)], 1))

    # Names, links, and entries that are no files
    for name in (
        ".38",
        "...And",
        "- dash",
        "sp ace  s",
        "q'uo\"te",
        "$HOME & <b>%20</b>;#",
        "ünï 音楽 🎵",
        "new\nline",
        "back\\slash",
    ):
        wav(name, GOOD, music())
    add("jazz/link.wav", GOOD).symlink_to("../rock/good0.flac")
    add("jazz/broken link.wav", rejected("unreadable", "No such file")).symlink_to("nowhere.wav")
    add("jazz/link loop.wav", rejected("unreadable", "symbolic links")).symlink_to("link loop.wav")
    os.mkfifo(add("jazz/pipe.wav", rejected("unreadable", "not a regular file")))
    (folder / "jazz" / "folder.wav").mkdir()  # not listed
    shutil.copy(folder / "rock" / "good1.flac", os.fsencode(folder / "jazz") + b"/not UTF-8 \xe9.wav")
    results["jazz/not UTF-8 \\xe9.wav"] = rejected("unreadable", "rename the file")
    if os.geteuid():  # root may read everything
        wav("no permission", rejected("unreadable", "Permission denied"), music()).chmod(0)

    # Copies with the same bytes, and with the same samples
    shutil.copy(folder / "rock" / "good2.flac", add("jazz/copy.flac", GOOD))
    audio, rate = soundfile.read(folder / "rock" / "good3.flac", dtype="int16")
    soundfile.write(add("jazz/copy.aiff", GOOD), audio, rate)
    return results
