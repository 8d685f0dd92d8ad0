"""A folder with every defect that recordings were seen with, made by code, and what becomes of each."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tests.recordings import chord

SECONDS = 2.5  # of a window; the recordings are SIX seconds and have two
SIX = 6.0


@dataclass(frozen=True)
class Fate:
    """What becomes of a file: how many of its windows are used, how they are repaired, and why others are not."""

    used: int
    repair: str | None = None
    rejected: tuple[tuple[float | None, str], ...] = ()  # start in seconds (None: the file), reason
    says: str = ""  # part of the detail


GOOD = Fate(2)
# DVC hashes the folder of the recordings before a stage sees it, and cannot read these: they go into .dvcignore.
UNSEEN_BY_DVC = ["pipe.wav", "broken link.wav", "link loop.wav", "not UTF-8 *.wav", "no permission.wav"]
COPIES = {"jazz/copy.flac": "rock/good2.flac", "jazz/copy.aiff": "rock/good3.flac", "jazz/link.wav": "rock/good0.flac"}


def lost(reason: str, says: str = "") -> Fate:
    """A file of which nothing is used."""
    return Fate(0, None, ((None, reason),), says)


def make_defects(folder: Path) -> dict[str, Fate]:
    """Fill `folder`; the fate of each file by its path, as the tables name it."""
    fates: dict[str, Fate] = {}
    seeds = iter(range(1000))

    def music(rate: int = 8000, seconds: float = SIX) -> np.ndarray:
        return chord(next(seeds), seconds, rate)

    def place(name: str, fate: Fate) -> Path:
        fates[name] = fate
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        return folder / name

    def wav(name: str, fate: Fate, audio: np.ndarray, rate: int = 8000, subtype: str = "PCM_16") -> Path:
        path = place(f"jazz/{name}.wav", fate)
        with path.open("wb") as file:  # libsndfile itself takes no odd names
            soundfile.write(file, audio, rate, format="WAV", subtype=subtype)
        return path

    for label in ("jazz", "rock"):
        for number in range(8):
            soundfile.write(place(f"{label}/good{number}.flac", GOOD), music(), 8000)

    # Files without usable samples.
    place("jazz/text.wav", lost("undecodable")).write_text("This is a letter, not a recording.\n" * 40)
    place("rock/text.mp3", lost("undecodable")).write_text("This is a letter, not a recording.\n" * 40)
    place("jazz/no bytes.wav", lost("empty", "no bytes")).touch()
    wav("no samples", lost("empty", "a header but no samples"), np.zeros(0, np.float32))
    wav("two seconds", lost("too_short", "2.00 s, a window takes 2.5 s"), music(seconds=2.0))
    cut = wav("cut off", Fate(1, None, ((2.5, "truncated"),), "its header says 6.00 s"), music())
    cut.write_bytes(cut.read_bytes()[: int(3.0 * 16000)])
    wav("silent", Fate(0, None, ((0.0, "silent"), (2.5, "silent"))), np.zeros(48000))
    wav("constant", Fate(0, None, ((0.0, "constant"), (2.5, "constant"))), np.full(48000, 0.25))
    phase = music()
    wav("opposite channels", Fate(0, None, ((0.0, "silent"), (2.5, "silent"))), np.stack([phase, -phase], 1))

    # Windows without them.
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        audio = music()
        audio[25000] = value
        wav(
            name,
            Fate(1, None, ((2.5, "non_finite"),), "NaN or infinite in 1 of 20,000 samples"),
            audio,
            subtype="FLOAT",
        )
    loud = music()
    loud[100:105] = 1.3
    wav("a little loud", Fate(2, "limited"), loud, subtype="FLOAT")
    scaled = Fate(0, None, ((0.0, "out_of_range"), (2.5, "out_of_range")), "beyond -1 and 1")
    wav("scaled by 32768", scaled, 32768 * music(), subtype="FLOAT")
    wav("nearly full", Fate(2, "padded"), music(seconds=4.95))

    # Rates, widths, channels.
    for rate in (8000, 11025, 48000, 192000):
        wav(f"{rate} Hz", GOOD, music(rate), rate)
    for subtype in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        wav(subtype, GOOD, music(), subtype=subtype)
    wav("stereo", GOOD, np.stack([music(), music()], 1))
    wav("six channels", GOOD, np.stack([music() for _ in range(6)], 1))

    # Names, links, and what is no file.
    for name in ("- dash", "sp ace  s", "q'uo\"te", "$HOME & <b>%20</b>;#", "ünï 音楽 🎵", "new\nline", "back\\slash"):
        wav(name, GOOD, music())
    place("jazz/link.wav", GOOD).symlink_to("../rock/good0.flac")
    place("jazz/broken link.wav", lost("unreadable", "No such file")).symlink_to("nowhere.wav")
    place("jazz/link loop.wav", lost("unreadable", "symbolic links")).symlink_to("link loop.wav")
    os.mkfifo(place("jazz/pipe.wav", lost("unreadable", "not a regular file")))
    (folder / "jazz" / "folder.wav").mkdir()  # no entry
    shutil.copy(folder / "rock" / "good1.flac", os.fsencode(folder / "jazz") + b"/not UTF-8 \xe9.wav")
    fates["jazz/not UTF-8 \\xe9.wav"] = lost("unreadable", "rename the file")
    if os.geteuid():  # root reads everything
        wav("no permission", lost("unreadable", "Permission denied"), music()).chmod(0)

    # Copies: of the same bytes, and of the same samples.
    shutil.copy(folder / "rock" / "good2.flac", place("jazz/copy.flac", GOOD))
    soundfile.write(
        place("jazz/copy.aiff", GOOD), soundfile.read(folder / "rock" / "good3.flac", dtype="int16")[0], 8000
    )
    return fates
