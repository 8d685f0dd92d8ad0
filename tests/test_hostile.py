"""Malicious audio files: any bytes are used or rejected, in bounded time and memory.

FFmpeg is written in C. The fuzz test runs in its own process, so that a crash is a failed test.
"""

import io
import os
import resource
import struct
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
from pipeline.core.imports import ROOT
from pipeline.sources.config import SourceConfig
from pipeline.sources.folder import list_files
from pipeline.sources.tracks import read_track, tracks_table
from pipeline.windows.config import WindowsConfig
from pipeline.windows.inspection import REASONS, inspect_recording
from tests.recordings import encode_with_ffmpeg

SECONDS = 0.2
CONFIG = WindowsConfig(seconds=SECONDS, silence_db=-90)
RATES = (3000, 8000)
FORMATS = [
    *(("WAV", subtype, 2) for subtype in ("PCM_16", "PCM_U8", "PCM_24", "FLOAT", "DOUBLE", "IMA_ADPCM", "MS_ADPCM")),
    *(("WAVEX", "FLOAT", 2), ("RF64", "PCM_16", 2), ("WAV", "GSM610", 1), ("AU", "PCM_16", 2), ("AU", "FLOAT", 1)),
    *(("AIFF", "PCM_16", 2), ("AIFF", "FLOAT", 1), ("FLAC", "PCM_16", 2), ("FLAC", "PCM_24", 1)),
    *(("OGG", "VORBIS", 2), ("OGG", "OPUS", 1), ("MP3", "MPEG_LAYER_III", 2)),
]
MAX_SECONDS = 5.0  # per file, on a busy machine; a good file takes milliseconds
MAX_MEGABYTES = 150  # growth of the process


def encode_noise(kind: str, subtype: str, channels: int) -> bytes:
    """Half a second of noise."""
    audio = np.random.default_rng(0).uniform(-0.9, 0.9, (4000, channels))
    content = io.BytesIO()
    soundfile.write(content, audio, 8000, format=kind, subtype=subtype)
    return content.getvalue()


NOISE = np.random.default_rng(0).uniform(-0.9, 0.9, 16_000).astype(np.float32)
CODECS = [
    ("m4a", "aac"),
    ("m4a", "alac"),
    ("mp4", "mp3"),
    ("mka", "flac"),
    ("wma", "wmav2"),
    ("wv", "wavpack"),
    ("tta", "tta"),
]
GOOD_FILES = [
    *(encode_noise(*kind) for kind in FORMATS),
    *(encode_with_ffmpeg(suffix, codec, NOISE, 44100 if codec == "wmav2" else 16000) for suffix, codec in CODECS),
]
MAGIC = [b"", b"RIFF\xff\xff\xff\x7fWAVE", b"fLaC", b"OggS", b"FORM", b".snd", b"ID3\x04", b"\xff\xfb"]
numbers = st.sampled_from([0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**60, 2**63 - 1, 2**64 - 1, 1000])
positions = st.integers(0, 60) | st.integers(0, 300) | st.integers(0, 20_000)
edits = st.tuples(
    positions,
    st.binary(min_size=1, max_size=8)
    | st.builds(lambda n, size, order: n.to_bytes(8, order)[-size:] if order == "big" else n.to_bytes(8, order)[:size],
                numbers, st.sampled_from([2, 4, 8]), st.sampled_from(["little", "big"])),
    st.sampled_from(["overwrite", "insert", "delete"]),
)  # fmt: skip


def apply_edits(base: bytes, edits: list[tuple[int, bytes, str]], share: float) -> bytes:
    """The edited bytes, cut to a share of their length."""
    content = bytearray(base)
    for position, new, action in edits:
        position %= len(content) or 1
        content[position : position + (0 if action == "insert" else len(new))] = b"" if action == "delete" else new
    return bytes(content[: round(share * len(content))])


def is_used(path: Path) -> bool:
    """Check that stages windows and cache use the file or reject it with a reason, and that used samples are valid."""
    start = time.monotonic()
    inspection = inspect_recording(path.name, path.parent, CONFIG)
    assert inspection.windows or inspection.rejections
    if inspection.seconds is not None:  # all of it is in a window, in a row, or in an end that is too short for one
        rows = sum(row.seconds for row in inspection.rejections if row.reason != "truncated")
        assert -0.06 * SECONDS <= inspection.seconds - SECONDS * len(inspection.windows) - rows < 0.96 * SECONDS
    assert all(bad.reason in REASONS and bad.path == path.name and bad.detail for bad in inspection.rejections)
    starts = [window.start_seconds for window in inspection.windows] or [0.0, SECONDS]
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
            assert not inspection.windows, error
    assert time.monotonic() - start < MAX_SECONDS
    return bool(inspection.windows)


def fuzz(folder: Path) -> None:
    """Run the generated files in this process."""
    warnings.simplefilter("error")  # a user would see each warning once per file
    path = folder / "hostile.wav"
    for content in GOOD_FILES:
        path.write_bytes(content)
        assert is_used(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = []
    checks = list(HealthCheck)
    quick = settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=checks)

    @quick
    @given(st.sampled_from(GOOD_FILES), st.lists(edits, min_size=1, max_size=4), st.just(1.0) | st.floats(0, 1))
    def edited(base: bytes, edits: list[tuple[int, bytes, str]], share: float) -> None:
        path.write_bytes(apply_edits(base, edits, share))
        results.append(is_used(path))

    @quick
    @given(st.sampled_from(MAGIC), st.binary(max_size=400))
    def random_bytes(magic: bytes, rest: bytes) -> None:
        path.write_bytes(magic + rest)
        is_used(path)

    edited()
    random_bytes()
    assert 25 < sum(results) < len(results) - 25, f"only {sum(results)} of {len(results)} files are used"
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert growth < MAX_MEGABYTES, f"{growth:.0f} MiB more"


def test_any_bytes_are_used_or_rejected(tmp_path):
    code = f"from pathlib import Path; from tests.test_hostile import fuzz; fuzz(Path({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"exit code {done.returncode} (negative: a signal)\n{done.stderr[-3000:]}"


def make_wav(frames: int, channels: int, rate: int, bits: int = 16) -> bytes:
    """A WAV with these values in its header, but 8,000 bytes of samples."""
    align = channels * bits // 8
    size, bytes_per_second = (min(count * align, 2**32 - 1) for count in (frames, rate))
    form = struct.pack("<HHIIHH", 1, channels, rate, bytes_per_second, align % 2**16, bits)
    head = struct.pack("<4sI8sI16s4sI", b"RIFF", size, b"WAVEfmt ", 16, form, b"data", size)
    return head + np.random.default_rng(0).bytes(8000)


def make_rf64(frames: int) -> bytes:
    """An RF64 with wrong 64-bit sizes."""
    content = bytearray(encode_noise("RF64", "PCM_16", 1))
    struct.pack_into("<3Q", content, 20, 2 * frames + 100, 2 * frames, frames)
    return bytes(content)


def test_a_header_with_too_large_values_is_not_trusted(tmp_path):
    for name, content, reason in (
        ("frames.wav", make_wav(2**31, 1, 8000), None),
        ("channels.wav", make_wav(2, 1000, 8000), "undecodable"),
        ("more channels.wav", make_wav(2, 60_000, 8000), "undecodable"),
        ("one hertz.wav", make_wav(4000, 1, 1), "undecodable"),
        ("gigahertz.wav", make_wav(4000, 1, 2_000_000_000), "undecodable"),
        ("no rate.wav", make_wav(4000, 1, 0), "undecodable"),
        ("no channels.wav", make_wav(4000, 0, 8000), "undecodable"),
        ("rf64.wav", make_rf64(2**60), None),
    ):
        (tmp_path / name).write_bytes(content)
        assert is_used(tmp_path / name) is (reason is None), name
        if reason:
            assert inspect_recording(name, tmp_path, CONFIG).rejections[0].reason == reason, name


def test_a_folder_lists_pipes_and_links_but_only_files_are_read(tmp_path):
    (tmp_path / "a/folder.wav").mkdir(parents=True)
    (tmp_path / "a/.git").mkdir()
    soundfile.write(tmp_path / "a/good.wav", np.zeros(10), 8000)
    for name in ("a/._good.wav", "a/.git/good.wav", "a/notes.txt"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")  # AppleDouble
    os.mkfifo(tmp_path / "a/pipe.wav")  # opening it would wait for ever
    for name, target in {"gone": "nowhere", "loop": "loop.wav", "link": "good.wav"}.items():
        (tmp_path / f"a/{name}.wav").symlink_to(target)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav")).write_bytes(b"x")
    paths = ["\\xff.wav", *(f"a/{name}.wav" for name in ("gone", "good", "link", "loop", "pipe"))]
    files = list_files(SourceConfig(name="folder", path=str(tmp_path)), tmp_path)
    assert [file.path for file in files] == paths
    tracks = tracks_table(read_track(file, tmp_path) for file in files)
    tracks.to_parquet(tmp_path / "tracks.parquet")  # fails for a name that is not UTF-8
    expected = {path: path in ("a/good.wav", "a/link.wav") for path in paths}
    assert tracks.set_index("path")["bytes"].notna().to_dict() == expected
