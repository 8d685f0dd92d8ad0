"""Files made to do harm: whatever the bytes say, a file is used or rejected, in bounded time and memory.

libsndfile is C: all of it runs in one process of its own, so that a crash there is a failed test here.
"""

import io
import os
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.audio.representation import WaveformConfig
from pipeline.cache.plan import Row, Shard, TrackRows
from pipeline.cache.shard import RowEncoder, decode_rows
from pipeline.core.errors import DataError
from pipeline.sources.config import SourceConfig
from pipeline.sources.folder import entries
from pipeline.sources.tracks import read_track as header
from pipeline.sources.tracks import table
from pipeline.windows.config import WindowsConfig
from pipeline.windows.inspection import REASONS, inspect_recording

ROOT = Path(__file__).parents[1]
SECONDS = 0.2
CONFIG = WindowsConfig(seconds=SECONDS, silence_db=-90)
RATES = (3000, 8000)
FORMATS = [
    *(("WAV", subtype, 2) for subtype in ("PCM_16", "PCM_U8", "PCM_24", "FLOAT", "DOUBLE", "IMA_ADPCM", "MS_ADPCM")),
    *(("WAVEX", "FLOAT", 2), ("RF64", "PCM_16", 2), ("WAV", "GSM610", 1), ("AU", "PCM_16", 2), ("AU", "FLOAT", 1)),
    *(("AIFF", "PCM_16", 2), ("AIFF", "FLOAT", 1), ("FLAC", "PCM_16", 2), ("FLAC", "PCM_24", 1)),
    *(("OGG", "VORBIS", 2), ("OGG", "OPUS", 1), ("MP3", "MPEG_LAYER_III", 2)),
]
MOST_SECONDS = 5.0  # of one file, also on a busy machine: the good ones take some milliseconds
MOST_MEGABYTES = 150  # more than the process had


def written(kind: str, subtype: str, channels: int) -> bytes:
    """Half a second of noise."""
    audio = np.random.default_rng(0).uniform(-0.9, 0.9, (4000, channels))
    content = io.BytesIO()
    soundfile.write(content, audio, 8000, format=kind, subtype=subtype)
    return content.getvalue()


BASES = [written(*kind) for kind in FORMATS]
MAGIC = [b"", b"RIFF\xff\xff\xff\x7fWAVE", b"fLaC", b"OggS", b"FORM", b".snd", b"ID3\x04", b"\xff\xfb"]
numbers = st.sampled_from([0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**60, 2**63 - 1, 2**64 - 1, 1000])
place = st.integers(0, 60) | st.integers(0, 300) | st.integers(0, 20_000)
change = st.tuples(
    place,
    st.binary(min_size=1, max_size=8)
    | st.builds(lambda n, size, order: n.to_bytes(8, order)[-size:] if order == "big" else n.to_bytes(8, order)[:size],
                numbers, st.sampled_from([2, 4, 8]), st.sampled_from(["little", "big"])),
    st.sampled_from(["over", "in", "out"]),
)  # fmt: skip


def changed(base: bytes, changes: list[tuple[int, bytes, str]], keep: float) -> bytes:
    content = bytearray(base)
    for at, new, how in changes:
        at %= len(content) or 1
        content[at : at + (0 if how == "in" else len(new))] = b"" if how == "out" else new
    return bytes(content[: round(keep * len(content))])


def check(path: Path) -> bool:
    """Whether the file is used; it must be that or named, and what is used must be fit for use."""
    begun = time.monotonic()
    found = inspect_recording((path.name, None), path.parent, CONFIG)
    assert found.windows or found.rejections
    assert all(bad.reason in REASONS and bad.path == path.name and bad.detail for bad in found.rejections)
    starts = [window.start_seconds for window in found.windows] or [0.0, SECONDS]
    track = TrackRows(path.name, "x", "x", tuple(Row(n, start, SECONDS, 1) for n, start in enumerate(starts)))
    for rate in RATES:
        config = WaveformConfig(sample_rate=rate)
        encoder = RowEncoder(Shard("x", "train", SECONDS, (track,)), config, SECONDS)
        try:
            for row, audio in zip(track.rows, decode_rows(track, rate, path.parent), strict=True):
                assert audio.shape == config.shape(SECONDS) and np.isfinite(audio).all()
                stored = encoder.encode(track, row, audio)["waveform"]
                assert stored.dtype == np.int16 and np.abs(stored.astype(int)).max() <= 32767
        except DataError as error:
            assert not found.windows, error
    assert time.monotonic() - begun < MOST_SECONDS
    return bool(found.windows)


quick = settings(
    max_examples=600, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def fuzz(folder: Path) -> None:
    """What runs in a process of its own."""
    warnings.simplefilter("error")  # a warning would end up before a user's eyes, once for each such file
    path = folder / "hostile.wav"
    for base in BASES:  # unchanged they are all used, or the rest would prove little
        path.write_bytes(base)
        assert check(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    used = []

    @quick
    @given(st.sampled_from(BASES), st.lists(change, min_size=1, max_size=4), st.just(1.0) | st.floats(0, 1))
    def headers(base: bytes, changes: list[tuple[int, bytes, str]], keep: float) -> None:
        path.write_bytes(changed(base, changes, keep))
        used.append(check(path))

    @quick
    @given(st.sampled_from(MAGIC), st.binary(max_size=400))
    def noise(magic: bytes, rest: bytes) -> None:
        path.write_bytes(magic + rest)
        check(path)

    headers()
    noise()
    assert 50 < sum(used) < len(used) - 50, f"{sum(used)} of {len(used)} are used: that is no test"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < MOST_MEGABYTES, f"{grown:.0f} MiB more"
    print(f"{sum(used)} of {len(used)} changed files are used, {grown:.0f} MiB more")


def test_no_bytes_get_further_than_a_rejection(tmp_path):
    code = f"from pathlib import Path; from tests.test_hostile import fuzz; fuzz(Path({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"exit code {done.returncode} (below 0: a signal)\n{done.stderr[-3000:]}"
    print(done.stdout)


def wav(frames: int, channels: int, rate: int, bits: int = 16) -> bytes:
    """A WAV whose header promises all that, with 8,000 bytes of samples."""
    align = channels * bits // 8
    size = min(frames * align, 2**32 - 1)
    parts = (1, 2), (channels, 2), (rate, 4), (min(rate * align, 2**32 - 1), 4), (align % 2**16, 2), (bits, 2)
    form = b"".join(value.to_bytes(width, "little") for value, width in parts)
    head = b"RIFF" + size.to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little") + form
    return head + b"data" + size.to_bytes(4, "little") + np.random.default_rng(0).bytes(8000)


def test_headers_that_promise_too_much_are_held_to_what_is_there(tmp_path):
    for name, content, reason in (
        ("frames.wav", wav(2**31, 1, 8000), None),
        ("channels.wav", wav(2, 1000, 8000), "too_short"),
        ("more channels.wav", wav(2, 60_000, 8000), "undecodable"),
        ("one hertz.wav", wav(4000, 1, 1), "undecodable"),
        ("gigahertz.wav", wav(4000, 1, 2_000_000_000), "undecodable"),
        ("no rate.wav", wav(4000, 1, 0), "undecodable"),
        ("no channels.wav", wav(4000, 0, 8000), "undecodable"),
        ("rf64.wav", _rf64(2**60), None),
    ):
        (tmp_path / name).write_bytes(content)
        assert check(tmp_path / name) is (reason is None), name
        if reason:
            assert inspect_recording((name, None), tmp_path, CONFIG).rejections[0].reason == reason, name


def _rf64(frames: int) -> bytes:
    """An RF64 whose 64-bit sizes are a lie."""
    content = bytearray(written("RF64", "PCM_16", 1))
    content[20:44] = b"".join(n.to_bytes(8, "little") for n in (2 * frames + 100, 2 * frames, frames))
    return bytes(content)


def test_a_folder_lists_whatever_has_the_suffix_and_headers_are_read_of_files_alone(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("a/folder.wav", "a/.hidden"):
        (tmp_path / name).mkdir()
    soundfile.write(tmp_path / "a" / "good.wav", np.zeros(10), 8000)
    for name in ("a/._good.wav", "a/.hidden/good.wav", "a/notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    os.mkfifo(tmp_path / "a" / "pipe.wav")  # to open it would wait for ever
    (tmp_path / "a" / "gone.wav").symlink_to("nowhere")
    (tmp_path / "a" / "loop.wav").symlink_to("loop.wav")
    (tmp_path / "a" / "link.wav").symlink_to("good.wav")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav")).write_bytes(b"x")
    names = ["\\xff.wav", *(f"a/{name}.wav" for name in ("gone", "good", "link", "loop", "pipe"))]
    found = entries(SourceConfig(name="folder", path=str(tmp_path)))
    assert [entry.path for entry in found] == names
    tracks = table(header(entry, tmp_path) for entry in found)
    tracks.to_parquet(tmp_path / "tracks.parquet")  # which takes no name that is not UTF-8
    assert tracks.set_index("path")["frames"].notna().to_dict() == {
        name: name in ("a/good.wav", "a/link.wav") for name in names
    }
